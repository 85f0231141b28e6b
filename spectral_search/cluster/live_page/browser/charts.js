// Charts, drawn by Plotly as SVG. It reads texts as a little markup of its own, so that all go through `plain`.
import { headed, number, value } from "./words.js"

const COLOURS = ["#2f6fde", "#d9822b", "#2a9d6f", "#b5489b", "#7a6ff0", "#c2452d", "#3aa6b9", "#8a7f2d"]
const MOST_POINTS = 20000
const LONGEST = 24
const drawn = new Set()

export function plain(text, longest = LONGEST) {
  const line = String(text).replace(/\s+/g, " ")
  const cut = line.length > longest ? `${line.slice(0, longest - 1)}…` : line
  return cut.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
}

function ink(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim()
}

export function colour(place) {
  return COLOURS[place % COLOURS.length]
}

function axis(title, more = {}) {
  const lines = { gridcolor: ink("--line"), zeroline: false, linecolor: ink("--line"), automargin: true }
  return { title: { text: plain(title, 60), standoff: 8 }, ...lines, ...more }
}

function draw(place, label, traces, layout) {
  place.setAttribute("role", "img")
  place.setAttribute("aria-label", label)
  const whole = {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.documentElement).fontFamily, size: 13, color: ink("--ink") },
    margin: { l: 56, r: 12, t: 12, b: 48 },
    hovermode: "closest",
    hoverlabel: { namelength: 40 },
    showlegend: false,
    dragmode: false,
    ...layout,
  }
  const { hidden } = document
  if (!hidden) globalThis.Plotly.react(place, traces, whole, { displayModeBar: false, responsive: true })
  drawn.add(place)
}

export function forget(place) {
  if (drawn.delete(place)) globalThis.Plotly.purge(place)
}

// All curves as one line with gaps, each thinned so that a browser can still draw the whole.
function joined(curves) {
  const points = curves.reduce((sum, curve) => sum + curve.values.length, 0)
  const step = Math.max(1, Math.ceil(points / MOST_POINTS))
  const x = []
  const y = []
  for (const { values } of curves) {
    for (let place = 0; place < values.length; place += 1) {
      if (place % step && place !== values.length - 1) continue
      x.push(place + 1)
      y.push(values[place])
    }
    x.push(null)
    y.push(null)
  }
  return { x, y }
}

// Where most values lie: a trial that began or ended far off would flatten all others.
function span(metric, curves) {
  const values = curves.flatMap((curve) => curve.values).filter((found) => found !== null).sort((a, b) => a - b)
  if (values.length < 2) return undefined
  const at = (part) => values[Math.round(part * (values.length - 1))]
  const [low, high] = metric.higher ? [at(0.1), at(1)] : [at(0), at(0.9)]
  const margin = (high - low) * 0.08 || Math.abs(high) * 0.05 || 1
  return [low - margin, high + margin]
}

export function drawCurves(place, { metric, curves }, best) {
  const live = curves.filter((curve) => curve.state === "running")
  const rest = curves.filter((curve) => curve.state !== "running" && curve.trial !== best)
  const winner = curves.find((curve) => curve.trial === best)
  const line = (curve, name, style) => ({
    type: "scatter",
    mode: curve.values.length > 1 ? "lines" : "markers",
    x: curve.values.map((_, epoch) => epoch + 1),
    y: curve.values,
    hoverinfo: "text",
    text: curve.values.map((found, epoch) => plain(`${name}, epoch ${epoch + 1}: ${number(metric, found)}`, 60)),
    name: plain(name),
    line: style,
    marker: { color: style.color },
  })
  const traces = []
  if (rest.length) {
    const over = { type: "scatter", mode: "lines", hoverinfo: "skip", name: "over or waiting", ...joined(rest) }
    traces.push({ ...over, line: { color: ink("--faint"), width: 1 }, opacity: rest.length > 60 ? 0.5 : 0.9 })
  }
  live.filter((curve) => curve.trial !== best)
    .forEach((curve, nth) => traces.push(line(curve, `trial ${curve.trial}`, { color: colour(nth + 1), width: 1.8 })))
  if (winner) traces.push(line(winner, `trial ${best}, the best`, { color: colour(0), width: 3 }))
  const label = `${metric.label} on val by epoch, of ${curves.length} trials, ${live.length} of them training`
  const legend = { showlegend: traces.length > 1 && traces.length < (innerWidth < 600 ? 4 : 10), legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 } }
  draw(place, label, traces, {
    ...legend,
    margin: { l: 56, r: 12, t: 34, b: 48 },
    xaxis: axis("epoch", { rangemode: "tozero" }),
    yaxis: axis(`val ${headed(metric)}`, { range: span(metric, curves) }),
  })
}

export function drawImportance(place, { share, trials, epoch }) {
  const shown = share.slice(0, 10).reverse()
  const bars = {
    type: "bar",
    orientation: "h",
    x: shown.map((part) => part.part),
    y: shown.map((_, nth) => nth),
    text: shown.map((part) => `${Math.round(100 * part.part)}%`),
    hoverinfo: "skip",
    marker: { color: colour(0) },
    cliponaxis: false,
  }
  const told = share.map((part) => `${part.name} ${Math.round(100 * part.part)}%`).join(", ")
  draw(place, `What decided, over ${trials} trials at epoch ${epoch}: ${told}`, [bars], {
    height: 70 + 30 * shown.length,
    margin: { l: 12, r: 40, t: 4, b: 36 },
    xaxis: axis("part of what decides who is among the best", { tickformat: ".0%", rangemode: "tozero" }),
    yaxis: axis("", { tickvals: shown.map((_, nth) => nth), ticktext: shown.map((part) => plain(`${part.name} `)), showgrid: false }),
  })
}

// Where a parameter's values lie on its axis, from 0 to 1, and what stands beside it.
function scale(param, values) {
  const there = values.filter((found) => found !== null && found !== undefined)
  if (there.every((found) => typeof found === "number")) {
    const log = param.log && Math.min(...there) > 0
    const on = (found) => (log ? Math.log(found) : found)
    const [low, high] = [Math.min(...there), Math.max(...there)]
    const of = (found) => (high === low ? 0.5 : (on(found) - on(low)) / (on(high) - on(low)))
    const middle = log ? Math.exp((on(low) + on(high)) / 2) : (low + high) / 2
    return { of, ticks: [low, middle, high].map((found) => [of(found), value(found)]) }
  }
  const texts = [...new Set(there.map((found) => JSON.stringify(found)))].sort()
  const of = (found) => (texts.length < 2 ? 0.5 : texts.indexOf(JSON.stringify(found)) / (texts.length - 1))
  return { of, ticks: texts.slice(0, 12).map((text) => [of(JSON.parse(text)), value(JSON.parse(text))]) }
}

// Parallel coordinates: a line a trial, its colour by how good it is.
export function drawParallel(place, { metric, params, trials }) {
  const scored = trials.filter((trial) => typeof trial.value === "number" && trial.state !== "failed")
  const column = (nth) => scored.map((trial) => trial.params[nth])
  const varied = params
    .map((param, nth) => ({ ...param, nth }))
    .filter(({ nth }) => new Set(column(nth).map((found) => JSON.stringify(found))).size > 1)
  if (scored.length < 2 || !varied.length) return false
  const axes = varied.map((param) => ({ name: param.name, ...scale(param, column(param.nth)), nth: param.nth }))
  // By rank: one bad trial would else leave the good ones a single colour.
  const groups = 6
  const traces = Array.from({ length: groups }, () => ({ x: [], y: [] }))
  scored.forEach((trial, rank) => {
    const group = traces[groups - 1 - Math.min(groups - 1, Math.floor((rank * groups) / scored.length))]
    axes.forEach((found, at) => {
      const here = trial.params[found.nth]
      group.x.push(at)
      group.y.push(here === null || here === undefined ? null : found.of(here))
    })
    group.x.push(axes.length, null)
    group.y.push(1 - rank / Math.max(1, scored.length - 1), null)
  })
  const styles = traces.map((trace, group) => ({
    type: "scatter",
    mode: "lines",
    hoverinfo: "skip",
    ...trace,
    line: { color: group === groups - 1 ? colour(0) : ink("--faint"), width: group === groups - 1 ? 2.2 : 1 },
    opacity: 0.25 + (0.75 * (group + 1)) / groups,
  }))
  const upright = axes.map((_, at) => at).concat(axes.length)
  const shapes = upright.map((at) => ({ type: "line", x0: at, x1: at, y0: 0, y1: 1, line: { color: ink("--ink"), width: 1 } }))
  const ends = [scored[scored.length - 1], scored[0]].map((trial, nth) => [nth, number(metric, trial.value)])
  const ticks = axes.flatMap((found, at) => found.ticks.map(([y, text]) => [at, y, text]))
    .concat(ends.map(([y, text]) => [axes.length, y, text]))
  const note = { showarrow: false, font: { size: 12, color: ink("--ink") } }
  const annotations = ticks
    .map(([x, y, text]) => ({ x, y, text: plain(text, 14), xanchor: "left", xshift: 4, bgcolor: ink("--paper"), borderpad: 1, opacity: 0.9, ...note }))
    .concat([...axes.map((found) => found.name), `val ${metric.label}`].map((text, x) => ({ x, y: 1.1, text: `<b>${plain(text, 18)}</b>`, ...note })))
  place.style.minWidth = `${Math.max(300, 92 * upright.length)}px`
  const label = `Parameters of ${scored.length} trials: ${varied.map((param) => param.name).join(", ")}; the best sixth stands out`
  draw(place, label, styles, {
    shapes,
    annotations,
    height: 360,
    margin: { l: 44, r: 64, t: 30, b: 14 },
    xaxis: { visible: false, range: [-0.15, axes.length + 0.25], fixedrange: true },
    yaxis: { visible: false, range: [-0.06, 1.16], fixedrange: true },
  })
  return true
}

export function drawBestSoFar(place, metric, runs) {
  const traces = runs.map((run, nth) => ({
    type: "scatter",
    mode: run.curve.length > 1 ? "lines" : "markers",
    x: run.curve.map(([epochs]) => epochs),
    y: run.curve.map(([, best]) => best),
    name: plain(run.name, 30),
    text: run.curve.map(([epochs, best]) => plain(`${run.name}: ${number(metric, best)} after ${epochs} epochs`, 90)),
    hoverinfo: "text",
    line: { shape: "hv", color: colour(nth), width: 2.2, dash: ["solid", "dash", "dot"][Math.floor(nth / COLOURS.length) % 3] },
  }))
  const values = runs.map((run) => ({ values: run.curve.map(([, best]) => best) }))
  draw(place, `Best ${metric.label} so far against epochs trained, of ${runs.map((run) => run.name).join(", ")}`, traces, {
    showlegend: true,
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    margin: { l: 56, r: 12, t: 40, b: 48 },
    xaxis: axis("epochs trained, all trials together", { rangemode: "tozero" }),
    yaxis: axis(`best val ${headed(metric)} so far`, { range: span(metric, values) }),
  })
}

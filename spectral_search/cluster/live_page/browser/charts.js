// Charts, drawn by Plotly as SVG. It reads texts as a little markup of its own, so that all go through `plain`.
import { headed, number } from "./words.js"

const COLOURS = ["#2f6fde", "#d9822b", "#2a9d6f", "#b5489b", "#7a6ff0", "#c2452d", "#3aa6b9", "#8a7f2d"]
const MOST_POINTS = 20000
const MOST_NAMED = 24
const LONGEST = 24
const drawn = new Map()

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

// What is drawn already is left alone: a run that trains is read every two seconds, and much of it stays as it was.
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
  const before = drawn.get(place)
  const now = { told: JSON.stringify([label, traces, whole]), width: place.clientWidth }
  drawn.set(place, now)
  if (before?.told !== now.told) globalThis.Plotly.react(place, traces, whole, { displayModeBar: false, responsive: true })
  // A window that changed while the chart was in a hidden pane.
  else if (before.width !== now.width) globalThis.Plotly.Plots.resize(place)
}

export function forget(place) {
  if (drawn.delete(place)) globalThis.Plotly.purge(place)
}

// A value that has none beside it, as that of a trial of one epoch: no line leads to it.
function isLone(values, at) {
  return [values[at - 1], values[at + 1]].every((beside) => typeof beside !== "number") && typeof values[at] === "number"
}

// All curves as one line with gaps, each thinned so that a browser can still draw the whole; lone values as points.
function joined(curves, name, style, more = {}) {
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
  const lone = curves.flatMap(({ values }) => values.map((found, at) => [at + 1, found]).filter((_, at) => isLone(values, at)))
  const all = { type: "scatter", hoverinfo: "skip", name, ...more }
  return [
    { ...all, mode: "lines", x, y, line: style },
    { ...all, mode: "markers", x: lone.map(([epoch]) => epoch), y: lone.map(([, found]) => found), marker: { color: style.color, size: 4 }, showlegend: false },
  ]
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

// Arguments: the place, the curves, the number of the best trial, and the selected ones where any are.
export function drawCurves(place, { metric, curves }, best, chosen) {
  const live = curves.filter((curve) => curve.state === "running")
  const isNamed = (curve) => (chosen ? chosen.has(curve.trial) : curve.state === "running")
  const winner = curves.find((curve) => curve.trial === best)
  const named = curves.filter((curve) => curve !== winner && isNamed(curve))
  const rest = curves.filter((curve) => curve !== winner && !isNamed(curve))
  const line = (curve, name, style) => ({
    type: "scatter",
    mode: curve.values.some((_, at) => isLone(curve.values, at)) ? "lines+markers" : "lines",
    x: curve.values.map((_, epoch) => epoch + 1),
    y: curve.values,
    hoverinfo: "text",
    text: curve.values.map((found, epoch) => plain(`${name}, epoch ${epoch + 1}: ${number(metric, found)}`, 60)),
    name: plain(name),
    line: style,
    marker: { color: style.color, size: curve.values.map((_, at) => (isLone(curve.values, at) ? 7 : 0)) },
  })
  const others = { color: ink("--faint"), width: 1 }
  const traces = rest.length ? joined(rest, chosen ? "not selected" : "over or waiting", others, { opacity: rest.length > 60 ? 0.5 : 0.9 }) : []
  if (named.length > MOST_NAMED) traces.push(...joined(named, chosen ? "selected" : "training", { color: colour(1), width: 1.4 }))
  else named.forEach((curve, nth) => traces.push(line(curve, `trial ${curve.trial}`, { color: colour(nth + 1), width: 1.8 })))
  if (winner) traces.push(line(winner, `trial ${best}, the best`, { color: colour(0), width: 3 }))
  const names = traces.filter((trace) => trace.showlegend !== false).length
  const label = `${metric.label} on val by epoch, of ${curves.length} trials, ${live.length} of them training`
  const legend = { showlegend: names > 1 && names < (innerWidth < 600 ? 4 : 10), legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 } }
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
    xaxis: axis("part of what decides", { tickformat: ".0%", rangemode: "tozero" }),
    yaxis: axis("", { tickvals: shown.map((_, nth) => nth), ticktext: shown.map((part) => plain(`${part.name} `)), showgrid: false }),
  })
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

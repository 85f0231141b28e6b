// Parallel coordinates: a line a trial, from its parameters to its rank. Ranges on the axes select trials.
import { el, refill } from "./parts.js"
import { number, value } from "./words.js"

const SVG = "http://www.w3.org/2000/svg"
const FEW = 6
const STEPS = 20
const SIXTHS = 6
const CLICK_PIXELS = 4

// Arguments: what is called with the numbers of the selected trials, or with null where no range is given.
export function parallelView(changed) {
  const ranges = new Map() // of an axis, by its key: its least and its largest selected value
  const nodes = new Map()
  const picture = svg("svg", { preserveAspectRatio: "none", "aria-hidden": "true" })
  const element = el("div", { class: "parallel", role: "group", "aria-label": "Ranges of parameters" })
  let axes = []
  let trials = []

  function show({ metric, params, trials: all }) {
    trials = all.filter((trial) => typeof trial.value === "number" && trial.state !== "failed")
    axes = axesOf(params, trials)
    if (trials.length < 2) return "A line a trial, from its parameters to its rank: shown once two trials have a value."
    if (!axes.length) return "The trials differ in no parameter."
    axes.push(rankAxis(metric, trials))
    const keys = axes.map((axis) => axis.key)
    if (keys.join() !== [...nodes.keys()].join()) place(keys)
    draw()
    return null
  }

  function place(keys) {
    const before = new Map(nodes)
    nodes.clear()
    for (const key of keys) nodes.set(key, before.get(key) ?? axisNode(key))
    keys.forEach((key, nth) => (nodes.get(key).style.left = `${(100 * nth) / (keys.length - 1)}%`))
    element.style.setProperty("--axes", keys.length)
    element.classList.toggle("crowded", keys.length > FEW)
    picture.setAttribute("viewBox", `0 0 ${keys.length - 1} 1`)
    element.replaceChildren(picture, ...nodes.values())
  }

  function axisNode(key) {
    const on = { pointerdown: (event) => drag(key, event), keydown: (event) => step(key, event) }
    return el("div", { class: "axis", role: "slider", tabindex: 0, "aria-orientation": "vertical", "aria-valuemin": 0, "aria-valuemax": 100, "data-key": `axis ${key}`, on })
  }

  function axisOf(key) {
    return axes.find((axis) => axis.key === key)
  }

  // Where the range of an axis lies on it, from 0 to 1.
  function placesOf(axis) {
    return ranges.has(axis.key) ? ranges.get(axis.key).map(axis.at) : [0, 1]
  }

  function select(key, low, high) {
    const { back } = axisOf(key)
    if (low <= 0 && high >= 1) ranges.delete(key)
    else ranges.set(key, [back(Math.max(0, low)), back(Math.min(1, high))])
    draw()
    changed(selected())
  }

  function clear() {
    ranges.clear()
    draw()
    changed(null)
  }

  function selected() {
    const given = axes.filter((axis) => ranges.has(axis.key)).map((axis) => [axis, ...placesOf(axis)])
    if (!given.length) return null
    const within = (nth) => given.every(([{ places }, low, high]) => places[nth] !== null && places[nth] >= low - 1e-9 && places[nth] <= high + 1e-9)
    return new Set(trials.filter((_, nth) => within(nth)).map((trial) => trial.trial))
  }

  function draw() {
    const chosen = selected()
    for (const axis of axes) drawAxis(axis)
    const isIn = (trial) => !chosen || chosen.has(trial.trial)
    const lines = trials.map((trial, nth) => ({ isIn: isIn(trial), sixth: Math.floor((nth * SIXTHS) / trials.length), d: lineOf(nth) }))
    const path = (part, kind, opacity) => svg("path", { class: kind, d: part.map((line) => line.d).join(""), "stroke-opacity": opacity })
    // The best last, so that it lies on top. By rank, since one bad trial would leave the good ones a single shade.
    const sixths = Array.from({ length: SIXTHS }, (_, nth) => SIXTHS - 1 - nth)
    picture.replaceChildren(
      path(lines.filter((line) => !line.isIn), "out", 0.15),
      ...sixths.map((sixth) => path(lines.filter((line) => line.isIn && line.sixth === sixth), chosen || !sixth ? "in" : "", 1 - sixth / (SIXTHS + 2))),
    )
  }

  function lineOf(nth) {
    let pen = "M"
    return axes.map(({ places }, x) => {
      const command = pen
      pen = places[nth] === null ? "M" : "L"
      return places[nth] === null ? "" : `${command}${x} ${(1 - places[nth]).toFixed(4)}`
    }).join("")
  }

  function drawAxis(axis) {
    const node = nodes.get(axis.key)
    const [low, high] = placesOf(axis)
    const range = el("span", { class: "range" })
    range.style.bottom = `${100 * Math.max(0, low - axis.margin)}%`
    range.style.top = `${100 * Math.max(0, 1 - high - axis.margin)}%`
    refill(node, el("span", { class: "name", title: axis.name }, axis.name), axis.ticks.map(tick), ranges.has(axis.key) ? range : "")
    node.setAttribute("aria-label", axis.name)
    node.setAttribute("aria-valuenow", Math.round(50 * (low + high)))
    node.setAttribute("aria-valuetext", ranges.has(axis.key) ? ranges.get(axis.key).map(axis.told).join(" to ") : "all")
  }

  // From where the pointer goes down to where it is; going down and up in one place clears the axis.
  function drag(key, down) {
    if (down.button) return
    const node = nodes.get(key)
    const at = ({ clientY }) => {
      const { top, height } = node.getBoundingClientRect()
      return Math.min(1, Math.max(0, 1 - (clientY - top) / height))
    }
    let moved = false
    const move = (event) => {
      moved ||= Math.abs(event.clientY - down.clientY) > CLICK_PIXELS
      if (moved) select(key, Math.min(at(down), at(event)), Math.max(at(down), at(event)))
    }
    const end = (event) => {
      node.removeEventListener("pointermove", move)
      if (!moved && event.type === "pointerup") select(key, 0, 1)
    }
    node.setPointerCapture(down.pointerId)
    node.addEventListener("pointermove", move)
    for (const kind of ["pointerup", "pointercancel"]) node.addEventListener(kind, end, { once: true })
  }

  // An arrow narrows the range in its direction, with Shift it widens it.
  function step(key, event) {
    const axis = axisOf(key)
    const [low, high] = placesOf(axis)
    const to = {
      ArrowUp: event.shiftKey ? [low, high + axis.step] : [Math.min(high, low + axis.step), high],
      ArrowDown: event.shiftKey ? [low - axis.step, high] : [low, Math.max(low, high - axis.step)],
      Escape: [0, 1],
      Delete: [0, 1],
    }[event.key]
    if (!to) return
    event.preventDefault()
    select(key, ...to)
  }

  return { element, show, clear, selected }
}

function svg(tag, attributes) {
  const made = document.createElementNS(SVG, tag)
  for (const [name, given] of Object.entries(attributes)) made.setAttribute(name, given)
  return made
}

function tick([at, text]) {
  const made = el("span", { class: "tick" }, text)
  made.style.bottom = `${100 * at}%`
  return made
}

// An axis for each parameter of which the trials have more than one value.
function axesOf(params, trials) {
  return params.flatMap((param, nth) => {
    const values = trials.map((trial) => trial.params[nth] ?? null)
    const there = values.filter((found) => found !== null)
    const texts = new Set(there.map((found) => JSON.stringify(found)))
    if (texts.size < 2) return []
    const isContinuous = texts.size > FEW && there.every((found) => typeof found === "number")
    const scale = isContinuous ? continuous(there, param.log) : discrete([...texts])
    const places = values.map((found) => (found === null ? null : scale.at(found)))
    return [{ key: param.key, name: param.name, told: value, places, ...scale }]
  })
}

// Between a value and its place on the axis, from 0 to 1, and back; what stands beside it; how far an arrow goes.
function continuous(values, isLog) {
  const [least, most] = [Math.min(...values), Math.max(...values)]
  const [on, off] = isLog && least > 0 ? [Math.log, Math.exp] : [(found) => found, (found) => found]
  const at = (found) => (on(found) - on(least)) / (on(most) - on(least))
  const back = (place) => off(on(least) + place * (on(most) - on(least)))
  return { at, back, step: 1 / STEPS, margin: 0, ticks: [0, 0.5, 1].map((place) => [place, value(back(place))]) }
}

function discrete(texts) {
  const found = texts.map((text) => JSON.parse(text))
  const isNumeric = found.every((one) => typeof one === "number")
  const sorted = texts.sort(isNumeric ? (a, b) => a - b : undefined)
  const step = 1 / (sorted.length - 1)
  const at = (one) => sorted.indexOf(JSON.stringify(one)) * step
  const back = (place) => JSON.parse(sorted[Math.round(place / step)])
  const shown = sorted.length > 2 * FEW ? [sorted[0], sorted.at(-1)] : sorted
  return { at, back, step, margin: 0.3 * step, ticks: shown.map((text) => [at(JSON.parse(text)), value(JSON.parse(text))]) }
}

// Trials come best first.
function rankAxis(metric, trials) {
  const last = trials.length - 1
  const isWorse = (one, other) => (metric.higher ? one < other : one > other)
  const at = (found) => {
    const better = trials.findIndex((trial) => !isWorse(found, trial.value))
    return better < 0 ? 0 : 1 - better / last
  }
  const back = (place) => trials[Math.round((1 - place) * last)].value
  const told = (found) => number(metric, found)
  const ticks = [[0, told(trials[last].value)], [1, told(trials[0].value)]]
  return { key: "", name: `val ${metric.label}`, told, at, back, ticks, step: Math.max(1 / STEPS, 1 / last), margin: 0, places: trials.map((trial) => at(trial.value)) }
}

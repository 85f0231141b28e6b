// All runs, newest first; those that are ticked can be compared.
import { badge, bar, command, el, refill, table } from "./parts.js"
import { count, date, duration, number, over, plural, told } from "./words.js"

const ticked = new Set()
let wanted = ""

export function listView() {
  const faults = el("div")
  const lead = el("p", { class: "lead" })
  const body = el("div", { class: "runs" })
  const ticks = el("div", { class: "ticked", "aria-live": "polite" })
  const find = el("input", { type: "search", placeholder: "find by name, stage, task or state", "aria-label": "Find runs", value: wanted })
  let last = null
  find.addEventListener("input", () => {
    wanted = find.value
    if (last) fill(last)
  })

  function fill(found) {
    last = found
    const there = new Set(found.runs.map((run) => run.name))
    for (const name of ticked) if (!there.has(name)) ticked.delete(name)
    const running = found.runs.filter((run) => run.state === "running").length
    refill(lead, found.runs.length ? `${plural(found.runs.length, "run")}, ${running} running, in ` : "", found.runs.length ? el("code", {}, found.root) : "")
    find.hidden = found.runs.length < 2
    const words = wanted.toLowerCase().split(/\s+/).filter(Boolean)
    const text = (run) => [run.name, run.stage, run.task, run.state].join(" ").toLowerCase()
    const shown = found.runs.filter((run) => words.every((word) => text(run).includes(word)))
    if (!found.runs.length) refill(body, ...empty(found))
    else if (!shown.length) refill(body, el("p", {}, "No run is called so."))
    else refill(body, runTable(shown, tell))
    tell()
  }

  function tell() {
    const names = [...ticked]
    const go = el("a", { class: "button", "data-key": "compare", href: `#/compare/${names.map(encodeURIComponent).join(",")}` }, `Compare ${plural(names.length, "run")}`)
    const none = el("button", { type: "button", class: "quiet", "data-key": "untick", on: { click: untick } }, "Untick all")
    refill(ticks, names.length ? go : "", names.length ? none : "")
  }

  function untick() {
    ticked.clear()
    for (const box of body.querySelectorAll("input[type=checkbox]")) box.checked = false
    tell()
  }

  return {
    title: "Searches",
    element: el("div", {}, el("h1", { class: "unseen" }, "All runs"), faults, lead, el("div", { class: "tools" }, find), body, ticks),
    sources: () => [{ url: "api/runs", take: fill }],
    fault: (said) => refill(faults, said),
  }
}

function empty(found) {
  const why = found.exists ? "There is no run yet in " : "There is no results folder yet at "
  return [
    el("section", { class: "begin" },
      el("h2", {}, "Nothing has been searched here yet"),
      el("p", {}, why, el("code", {}, found.root), ". This makes a first run, in minutes on two cores, on data that it simulates:"),
      el("p", {}, command(found.begin)),
      el("p", {}, "It appears here as soon as it begins. Runs elsewhere? Start this page with ", el("code", {}, "--results DIR"), ".")),
  ]
}

function runTable(runs, tell) {
  const heads = [
    { text: "compare", left: true, node: el("span", { class: "unseen" }, "compare") },
    { text: "run", left: true, row: true },
    { text: "state", left: true },
    { text: "best on val" },
    { text: "re-test" },
    { text: "progress", left: true },
    { text: "time" },
    { text: "begun" },
  ]
  return table("Runs, newest first", heads, runs.map((run) => row(run, tell)), { class: "cards" })
}

function row(run, tell) {
  const tick = el("input", {
    type: "checkbox",
    "aria-label": `Compare ${run.name}`,
    "data-key": `tick ${run.name}`,
    on: {
      change: (event) => {
        if (event.target.checked) ticked.add(run.name)
        else ticked.delete(run.name)
        tell()
      },
    },
  })
  tick.checked = ticked.has(run.name)
  const stage = run.stage && !run.name.startsWith(run.stage) ? run.stage : ""
  const task = run.is_default_task ? "" : run.task
  const about = [stage, task].filter(Boolean).join(" · ")
  const link = el("a", { href: `#/run/${encodeURIComponent(run.name)}`, "data-key": `run ${run.name}` }, run.name)
  const cells = [tick, el("span", {}, link, about ? el("small", {}, about) : ""), badge(run.state)]
  if (run.state === "unreadable") {
    return { class: "unreadable", cells: [...cells, el("span", { class: "fault" }, run.fault ?? "cannot be read"), "", "", "", ""] }
  }
  const best = run.best === null ? "–" : el("span", {}, el("small", {}, `${run.metric.label} `), el("b", {}, told(run.metric, run.best)))
  const retest = run.retest === null ? "–" : number(run.metric, run.retest)
  return { cells: [...cells, best, retest, progress(run), duration(run.wall_seconds), date(run.created_at)] }
}

function progress(run) {
  if (!run.counts) return run.planned ? plural(run.planned, "trial") : "–"
  const done = over(run.counts)
  const text = `${done} of ${run.planned ?? "?"} trials, ${count(run.epochs)} epochs`
  return el("span", {}, run.planned ? bar(done / run.planned, text) : "", el("small", {}, text))
}

// Runs that were ticked, side by side: best so far against cost, and what the test set says of them.
import { colour, drawBestSoFar, forget } from "./charts.js"
import { badge, el, refill, table } from "./parts.js"
import { count, duration, headed, number, shortKeys, value } from "./words.js"

export function compareView(names) {
  const faults = el("div")
  const body = el("div")
  const charts = new Map()

  function fill(found) {
    const kinds = new Map()
    for (const run of found.runs) {
      const key = `${run.task} ${run.metric.key}`
      kinds.set(key, [...(kinds.get(key) ?? []), run])
    }
    refill(body, [...kinds].map(([key, runs]) => kind(key, runs)))
    for (const [key, runs] of kinds) {
      if (runs.some((run) => run.curve.length)) drawBestSoFar(charts.get(key), runs[0].metric, runs)
    }
  }

  function kind(key, runs) {
    if (!charts.has(key)) charts.set(key, el("div", { class: "chart" }))
    const verdicts = runs.map((run) => run.against_first?.verdict).filter(Boolean)
    return [
      el("section", {}, el("h2", {}, `Best ${headed(runs[0].metric)} on val so far`), runs.some((run) => run.curve.length) ? charts.get(key) : el("p", { class: "hint" }, "No epoch has been told yet.")),
      el("section", {}, el("h2", {}, "Numbers"), el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Numbers of these runs" }, numbers(runs))),
      verdicts.length ? el("ul", { class: "verdicts" }, verdicts.map((text) => el("li", {}, text))) : "",
      el("section", {}, el("h2", {}, "Best parameters"), el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Best parameters of these runs" }, parameters(runs))),
    ]
  }

  return {
    title: `${names.join(", ")} – searches`,
    element: el("div", {}, el("h1", {}, names.length > 1 ? `${names.length} runs side by side` : names[0]), faults, body),
    sources: () => [{ url: `api/compare?${names.map((name) => `run=${encodeURIComponent(name)}`).join("&")}`, take: fill }],
    fault: (said) => refill(faults, said),
    leave: () => charts.forEach(forget),
  }
}

function runLink(run, nth) {
  const dot = el("span", { class: "dot", "aria-hidden": "true" })
  dot.style.background = colour(nth)
  return el("span", {}, dot, el("a", { href: `#/run/${encodeURIComponent(run.name)}`, "data-key": `run ${run.name}` }, run.name))
}

function numbers(runs) {
  const first = runs.find((run) => run.first)?.first
  const { metric } = runs[0]
  const heads = [{ text: "run", left: true, row: true }, { text: "state", left: true }, { text: `best val ${headed(metric)}` }, { text: "re-test (95%)" }, { text: "test" }, { text: first ? `test, against ${first} (paired 95%)` : "against" }, { text: "trials" }, { text: "epochs" }, { text: "time" }]
  const rows = runs.map((run, nth) => [runLink(run, nth), badge(run.state), el("b", {}, number(metric, run.best)), interval(metric, run.retest), number(metric, run.test), paired(metric, run, first), count(run.trials), count(run.epochs), duration(run.wall_seconds)])
  return table("Runs side by side", heads, rows)
}

function interval(metric, found) {
  if (typeof found?.value !== "number") return "–"
  return `${number(metric, found.value)} (${number(metric, found.low)} to ${number(metric, found.high)})`
}

function paired(metric, run, first) {
  if (run.name === first) return "itself"
  const gain = run.against_first?.gain
  if (!gain) return run.against_first ? "not comparable" : "–"
  const signed = (found) => `${found < 0 ? "−" : "+"}${Math.abs(found).toFixed(metric.digits)}`
  return `${signed(gain.value)} (${signed(gain.low)} to ${signed(gain.high)})`
}

function parameters(runs) {
  const keys = [...new Set(runs.flatMap((run) => Object.keys(run.params)))]
  const names = shortKeys(keys)
  const heads = [{ text: "parameter", left: true, row: true }, ...runs.map((run) => ({ text: run.name }))]
  const of = (run, key) => (Object.hasOwn(run.params, key) ? value(run.params[key]) : "–")
  return table("Best parameters of each", heads, keys.map((key) => [names.get(key), ...runs.map((run) => of(run, key))]))
}

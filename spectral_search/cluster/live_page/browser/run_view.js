// One run: how good, how far, how long; then its curves, trials, parameters, failures and where it lies.
import { drawCurves, drawImportance, forget } from "./charts.js"
import { parallelView } from "./parallel.js"
import { badge, bar, chips, command, el, refill, table } from "./parts.js"
import { count, date, duration, headed, number, over, plural, rate, shortKeys, told, value } from "./words.js"

const TABS = ["progress", "leaderboard", "parameters", "failures", "details"]
const FIRST_ROWS = 20

// Arguments: the run, the tab to begin with, and what reads anew: another tab needs other documents.
export function runView(name, first, again) {
  const api = `api/runs/${encodeURIComponent(name)}`
  const faults = new Map()
  const faultPlace = el("div")
  const head = el("header", { class: "run" })
  const tiles = el("div", { class: "tiles" })
  const charts = { curves: chart(), importance: chart() }
  const parallel = parallelView(takeChosen)
  const places = Object.fromEntries(["live", "rungs", "leaderboard", "importance", "parallel", "failures", "details"].map((key) => [key, el("div")]))
  const selections = ["curves", "leaderboard", "parallel"].map(() => el("div"))
  const state = { tab: TABS.includes(first) ? first : TABS[0], run: null, trials: null, curves: null, chosen: null, all: false, sort: null }

  const panels = {
    progress: [section("Curves", selections[0], charts.curves), section("Training now", places.live), section("Rungs", places.rungs)],
    leaderboard: [selections[1], places.leaderboard],
    parameters: [
      section("What mattered", places.importance, charts.importance),
      section("Parameters of every trial", places.parallel, el("div", { class: "scroll" }, parallel.element), selections[2]),
    ],
    failures: [places.failures],
    details: [places.details],
  }
  const tabs = TABS.map((tab) => el("button", { type: "button", role: "tab", id: `tab-${tab}`, "aria-controls": `panel-${tab}`, "data-key": `tab ${tab}`, on: { click: () => choose(tab), keydown: step } }, tab))
  const panes = TABS.map((tab) => el("div", { role: "tabpanel", id: `panel-${tab}`, "aria-labelledby": `tab-${tab}`, tabindex: 0 }, panels[tab]))

  function open(tab) {
    state.tab = tab
    TABS.forEach((known, nth) => {
      tabs[nth].setAttribute("aria-selected", known === tab)
      tabs[nth].tabIndex = known === tab ? 0 : -1
      panes[nth].hidden = known !== tab
    })
    drawShown()
  }

  function choose(tab) {
    open(tab)
    history.replaceState(null, "", `#/run/${encodeURIComponent(name)}/${tab}`)
    again()
  }

  function step(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    const to = event.key === "Home" ? 0 : event.key === "End" ? TABS.length - 1 : by === undefined ? null : TABS.indexOf(state.tab) + by
    if (to === null) return
    event.preventDefault()
    const at = (to + TABS.length) % TABS.length
    choose(TABS[at])
    tabs[at].focus()
  }

  // Plotly measures what it draws into, which a hidden pane has not.
  function drawShown() {
    if (state.tab === "progress" && state.curves) {
      const any = state.curves.curves.some((curve) => curve.values.length)
      charts.curves.hidden = !any
      if (any) drawCurves(charts.curves, state.curves, state.run?.best?.trial, state.chosen)
    }
    if (state.tab === "parameters" && state.importance) {
      charts.importance.hidden = !state.importance.share.length
      if (state.importance.share.length) drawImportance(charts.importance, state.importance)
    }
  }

  function takeRun(run) {
    state.run = run
    refill(head, el("h1", {}, run.name, " ", badge(run.state)), about(run))
    refill(tiles, ...headline(run))
    refill(places.live, training(run))
    refill(places.rungs, rungs(run))
    refill(places.failures, ...failures(run))
    refill(places.details, ...details(run))
    tabs[3].textContent = run.counts.failed ? `failures (${run.counts.failed})` : "failures"
    drawShown()
  }

  function takeTrials(trials) {
    state.trials = trials
    const lack = parallel.show(trials)
    parallel.element.hidden = lack !== null
    const how = "A line a trial, from its parameters to its rank; the best sixth is in colour. Drag along axes to select trials, here and on the other tabs; a click on an axis clears it. By keyboard: arrows narrow the range of an axis, with Shift they widen it, Escape clears it."
    refill(places.parallel, el("p", { class: "hint" }, lack ?? how))
    takeChosen(parallel.selected())
  }

  function takeChosen(chosen) {
    state.chosen = chosen
    for (const place of selections) refill(place, chosenLine(state, parallel.clear))
    fillLeaderboard()
    drawShown()
  }

  function fillLeaderboard() {
    refill(places.leaderboard, ...leaderboard(state, fillLeaderboard))
  }

  const sources = [
    { url: api, take: takeRun },
    { url: `${api}/curves`, take: (found) => ((state.curves = found), drawShown()) },
    { url: `${api}/trials`, take: takeTrials },
    { url: `${api}/importance`, take: takeImportance },
  ]

  function takeImportance(found) {
    state.importance = found
    const lack = `${plural(found.trials, "trial")} ${found.trials === 1 ? "is" : "are"} over; it takes ${found.needed} to say which parameters mattered.`
    const rests = `Optuna's PED-ANOVA over ${found.trials} trials, by their value at epoch ${found.epoch}, which all reached.`
    const none = `The ${plural(found.trials, "trial")} that ended differ in no parameter.`
    refill(places.importance, el("p", { class: "hint" }, found.share.length ? rests : found.trials < found.needed ? lack : none))
    drawShown()
  }

  open(state.tab)
  return {
    name,
    title: `${name} – searches`,
    element: el("div", {}, faultPlace, head, tiles, el("div", { role: "tablist", "aria-label": "About this run" }, tabs), panes),
    sources: () => sources.filter(({ url }) => wanted(url, state.tab)),
    fault(said, url) {
      faults.set(url, said)
      refill(faultPlace, [...faults.values()].find(Boolean) ?? "")
    },
    takes(next) {
      if (next.name !== name || !next.tab) return false
      open(next.tab)
      again()
      return true
    },
    tab: TABS.includes(first) ? first : TABS[0],
    leave: () => Object.values(charts).forEach(forget),
  }
}

// What the shown tab does not need is not read.
function wanted(url, tab) {
  if (url.endsWith("/curves")) return tab === "progress"
  if (url.endsWith("/importance")) return tab === "parameters"
  if (url.endsWith("/trials")) return tab === "leaderboard" || tab === "parameters"
  return true
}

function chart() {
  return el("div", { class: "chart" })
}

function section(title, ...children) {
  return el("section", {}, el("h2", {}, title), children)
}

function about(run) {
  const stage = run.name === run.stage ? "" : `${run.stage} · `
  return el("p", { class: "lead" }, `${stage}${run.task} · begun ${date(run.created_at)}`, run.description ? ` · ${run.description}` : "")
}

function tile(title, main, ...more) {
  return el("div", { class: "tile" }, el("h2", {}, title), el("p", { class: "big" }, main), more)
}

function headline(run) {
  const { metric, best, retest } = run
  const direction = metric.higher ? "higher is better" : "lower is better"
  const bestTile = best
    ? tile(`Best ${headed(metric)} on val`, number(metric, best.value), el("p", {}, `trial ${best.trial}, epoch ${best.epoch} · ${direction}`), el("p", {}, alsoTold(best.others)))
    : tile(`Best ${headed(metric)} on val`, "–", el("p", {}, "no epoch has been told yet"))
  const tiles = [bestTile]
  if (retest) {
    const range = `95% interval ${number(metric, retest.low)} to ${number(metric, retest.high)}`
    tiles.push(tile("Re-test of the winner", number(metric, retest.value), el("p", {}, range)))
  }
  const key = metric.key.replace(/^val_/, "")
  if (run.test && typeof run.test[key] === "number") {
    tiles.push(tile("Test set, once", number(metric, run.test[key]), el("p", {}, "has seen no choice at all")))
  }
  tiles.push(progressTile(run))
  if (best) tiles.push(el("div", { class: "tile wide" }, el("h2", {}, run.state === "finished" ? "Best parameters" : "Best parameters so far"), params(best.params)))
  return tiles
}

function alsoTold(others) {
  return others.filter((other) => typeof other.value === "number").map((other) => `${other.metric.label} ${told(other.metric, other.value)}`).join(" · ")
}

function progressTile(run) {
  const done = over(run.counts)
  const part = run.epochs_planned ? run.epochs / run.epochs_planned : 0
  const epochs = `${count(run.epochs)} of about ${count(run.epochs_planned)} epochs`
  const trials = `${done} of ${run.planned ?? run.counts.running + done} trials over`
  if (run.state !== "running") {
    const why = { interrupted: "its process is gone: `resume` goes on", failed: "see failures", finished: `${plural(done, "trial")}, ${plural(run.epochs, "epoch")}` }
    return tile("Took", duration(run.wall_seconds), run.state === "finished" ? "" : bar(part, epochs), el("p", {}, why[run.state] ?? ""), run.state === "finished" ? "" : el("p", {}, `${trials}, ${epochs}`))
  }
  const left = { training: run.left_seconds ? `~${duration(run.left_seconds)}` : "…", "re-test": "re-test" }[run.phase] ?? run.phase
  const speed = run.examples_per_second ? `${rate(run.examples_per_second)} ${run.examples}/s · ` : ""
  const title = run.phase === "training" ? "Training left, then the re-test" : "Now"
  return tile(title, left, bar(part, epochs), el("p", {}, `${trials}, ${epochs}`), el("p", {}, `${speed}${duration(run.wall_seconds)} so far`))
}

function params(found) {
  const keys = Object.keys(found)
  const names = shortKeys(keys)
  return keys.length ? chips(keys.map((key) => [names.get(key), value(found[key])])) : el("p", {}, "as in the spec: nothing is searched")
}

function training(run) {
  const at = new Map(run.workers.flatMap((worker) => worker.trials.map((trial) => [trial, worker.worker])))
  if (run.state !== "running") {
    const died = [...at.keys()]
    const said = died.length ? `Nothing trains. When its process died, it was training ${died.map((trial) => `trial ${trial}`).join(", ")}.` : "Nothing trains: the run is over."
    return el("p", { class: "hint" }, said)
  }
  if (!run.live.length) return el("p", { class: "hint" }, run.phase === "re-test" ? "All trials are over; the finalists are re-tested." : "No trial trains at this moment.")
  const { metric } = run
  const heads = [{ text: "trial", left: true, row: true }, { text: "worker", left: true }, { text: "epoch" }, { text: metric.label }, { text: "best" }, { text: "train loss" }, { text: "s / epoch" }, { text: "parameters", left: true }]
  const rows = run.live.map((trial) => [
    `${trial.trial}`,
    at.get(trial.trial) ?? "between two epochs",
    el("span", {}, bar(trial.epoch / trial.epochs, `epoch ${trial.epoch} of ${trial.epochs}`), el("small", {}, `${trial.epoch} of ${trial.epochs}`)),
    number(metric, trial.value),
    number(metric, trial.best),
    typeof trial.train_loss === "number" ? value(trial.train_loss) : "–",
    typeof trial.epoch_seconds === "number" ? value(trial.epoch_seconds) : "–",
    params(trial.params),
  ])
  const deaths = run.workers.filter((worker) => worker.deaths).map((worker) => `${worker.worker} was started again ${plural(worker.deaths, "time")}`)
  return [el("div", { class: "scroll" }, table("Trials that train now", heads, rows, { class: "cards" })), deaths.length ? el("p", { class: "hint" }, `${deaths.join("; ")}.`) : ""]
}

function rungs(run) {
  if (!run.rungs.length) return el("p", { class: "hint" }, "No trial is stopped for another: each trains to its end.")
  const { metric } = run
  const heads = [{ text: "after epoch", row: true }, { text: "came" }, { text: "went on" }, { text: "wait" }, { text: "stopped" }, { text: `worst ${metric.label} that went on` }]
  const rows = run.rungs.map((rung) => [`${rung.epoch}`, `${rung.reached}`, `${rung.went_on}`, `${rung.waiting}`, `${rung.stopped}`, number(metric, rung.worst_that_went_on)])
  return table("What became of trials at each rung", heads, rows, { class: "narrow" })
}

function chosenLine({ chosen, trials: { metric, trials } }, clear) {
  if (!chosen) return ""
  const best = trials.find((trial) => chosen.has(trial.trial))
  const which = best ? `, the best of them trial ${best.trial} with ${told(metric, best.value)}` : ""
  const all = el("button", { type: "button", "data-key": "select all", on: { click: clear } }, "Select all")
  return el("p", { class: "chosen", role: "status" }, `${chosen.size} of ${plural(trials.length, "trial")} selected${which}. `, all)
}

function leaderboard(state, again) {
  const { metric, others, params: searched, trials } = state.trials
  if (!trials.length) return [el("p", { class: "hint" }, "No trial has begun yet.")]
  const columns = [
    { text: "rank", of: (trial) => trial.rank, show: (trial) => `${trial.rank}` },
    { text: "trial", of: (trial) => trial.trial, show: (trial) => `${trial.trial}`, row: true },
    { text: "state", left: true, of: (trial) => trial.state, show: stateOf },
    { text: `val ${headed(metric)}`, of: (trial) => trial.value, show: (trial) => el("b", {}, number(metric, trial.value)) },
    ...others.map((other, nth) => ({ text: headed(other), of: (trial) => trial.others[nth], show: (trial) => number(other, trial.others[nth]) })),
    { text: "best epoch", of: (trial) => trial.best_epoch, show: (trial) => (trial.best_epoch === null ? "–" : `${trial.best_epoch} of ${trial.epochs}`) },
    { text: "time", of: (trial) => trial.seconds, show: (trial) => duration(trial.seconds) },
    ...searched.map((param, nth) => ({ text: param.name, left: true, of: (trial) => trial.params[nth], show: (trial) => (trial.params[nth] === null ? "–" : value(trial.params[nth])) })),
  ]
  const ranked = trials.map((trial, nth) => ({ ...trial, rank: nth + 1 }))
  const isChosen = (trial) => Boolean(state.chosen?.has(trial.trial))
  const rows = sorted(ranked, columns, state.sort).sort((one, other) => isChosen(other) - isChosen(one))
  const heads = columns.map((column, nth) => ({
    ...column,
    sort: state.sort?.column === nth ? (state.sort.down ? "descending" : "ascending") : null,
    node: el("button", { type: "button", class: "sort", "data-key": `sort ${nth}`, on: { click: () => sortBy(state, nth, again) } }, column.text),
  }))
  const shown = state.all ? rows : rows.slice(0, FIRST_ROWS)
  const made = table(`Trials, best first; ${metric.label} on val selected them`, heads, shown.map((trial) => ({ class: [trial.rank === 1 ? "first" : "", isChosen(trial) ? "chosen" : ""].join(" ").trim() || null, cells: columns.map((column) => column.show(trial)) })))
  const left = rows.length - shown.length
  const more = el("button", { type: "button", "data-key": "more", on: { click: () => ((state.all = !state.all), again()) } }, left ? `Show ${left} more` : "Show fewer")
  return [el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Leaderboard" }, made), rows.length > FIRST_ROWS ? more : ""]
}

// Why a trial failed, or what was seen of one that learnt nothing, beside its state.
function stateOf(trial) {
  const why = trial.error ?? trial.collapsed
  return el("span", {}, badge(trial.collapsed ? "collapsed" : trial.state), why ? el("small", { class: "why", title: why }, why) : "")
}

function sortBy(state, column, again) {
  state.sort = state.sort?.column === column ? { column, down: !state.sort.down } : { column, down: false }
  again()
}

function sorted(rows, columns, sort) {
  if (!sort) return [...rows]
  const key = columns[sort.column].of
  const missing = (found) => found === null || found === undefined
  const order = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(value(a)).localeCompare(String(value(b))))
  return [...rows].sort((one, other) => {
    const [a, b] = [key(one), key(other)]
    if (missing(a) || missing(b)) return missing(a) - missing(b)
    return sort.down ? order(b, a) : order(a, b)
  })
}

function failures(run) {
  if (!run.failures.length) return [el("p", { class: "hint" }, run.collapsed ? `No trial failed; ${run.collapsed} learnt nothing (see the leaderboard).` : "No trial failed.")]
  return run.failures.map((group) =>
    el("article", { class: "failure" },
      el("h2", {}, group.cause, " ", el("small", {}, `${group.count} of ${plural(group.of, "trial")}`)),
      group.where ? el("p", {}, "All at ", el("b", {}, group.where), ", and no other trial there.") : "",
      el("p", {}, `Such as trial ${group.example.trial}:`),
      el("pre", { tabindex: 0 }, group.example.error),
      el("p", { class: "hint" }, "In full in ", el("code", {}, group.example.log), `; trials ${group.trials.join(", ")}.`)),
  )
}

function details(run) {
  const facts = [
    ["folder", el("code", {}, run.path)],
    ["stage", run.stage],
    ["on", run.host ?? "–"],
    ["study", el("code", {}, run.study)],
    ["optuna-dashboard", command(run.optuna_command)],
    ["Ray's dashboard", run.ray_dashboard ? el("span", {}, rayLink(run.ray_dashboard), " (asks for the token in ~/.ray/auth_token)") : "none: no Ray of this run is there now"],
  ]
  const said = [...run.caveats, ...run.notes]
  return [
    el("dl", {}, facts.flatMap(([name, found]) => [el("dt", {}, name), el("dd", {}, found)])),
    said.length ? el("section", {}, el("h2", {}, "To be known"), el("ul", {}, said.map((text) => el("li", {}, text)))) : "",
  ]
}

// What a record holds as an address may be anything: only one of HTTP becomes a link.
function rayLink(address) {
  return /^http:\/\/[\w.:[\]-]+$/.test(address) ? el("a", { href: address, rel: "noreferrer" }, address) : address
}

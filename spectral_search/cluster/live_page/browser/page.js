// What is shown follows from the address (#/, #/run/NAME/TAB, #/compare/A,B); it is read anew every two seconds.
import { problem } from "./parts.js"
import { compareView } from "./compare_view.js"
import { listView } from "./run_list.js"
import { runView } from "./run_view.js"

class GoneError extends Error {}

const EVERY_MS = 2000
const main = document.getElementById("main")
const link = document.getElementById("link")
const tags = new Map()
let view = null
let timer = 0
let round = 0

function viewOf(hash) {
  const [page, ...rest] = hash.replace(/^#\/?/, "").split("/").map(decoded)
  if (page === "run" && rest[0]) return runView(rest[0], rest[1], refresh)
  if (page === "compare" && rest[0]) return compareView(rest[0].split(",").filter(Boolean))
  return listView()
}

function decoded(part) {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

function show() {
  if (location.hash === "#main") return
  const next = viewOf(location.hash)
  // Another tab of the same run is the same page.
  if (view && view.takes && view.takes(next)) return
  view?.leave?.()
  view = next
  tags.clear()
  document.title = view.title
  main.replaceChildren(view.element)
  scrollTo(0, 0)
  refresh()
}

async function refresh() {
  clearTimeout(timer)
  const mine = (round += 1)
  const shown = view
  if (!document.hidden) {
    try {
      await Promise.all(shown.sources().map((source) => read(shown, source)))
      if (mine === round) link.textContent = `live · ${new Date().toLocaleTimeString("en-GB")}`
      link.className = ""
    } catch (fault) {
      link.textContent = fault instanceof GoneError ? "the server is gone: what is shown is its last word" : String(fault)
      link.className = "gone"
    }
  }
  if (mine === round) timer = setTimeout(refresh, EVERY_MS)
}

// One document; the view is told only of what changed.
async function read(shown, { url, take }) {
  const answer = await fetch(url, { cache: "no-cache" }).catch(() => {
    throw new GoneError()
  })
  const document_ = await answer.json()
  // What nobody sees is not drawn: once it is seen, it is read again.
  if (shown !== view || document.hidden) return
  const tag = answer.ok ? answer.headers.get("ETag") : `fault ${document_.error}`
  if (tags.get(url) === tag) return
  tags.set(url, tag)
  shown.fault(answer.ok ? null : problem(document_.error), url)
  if (answer.ok) take(document_)
}

addEventListener("hashchange", show)
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh()
})
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  tags.clear()
  refresh()
})
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault()
  main.focus()
})
show()

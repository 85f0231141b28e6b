// Pieces of the page. Whatever was read is set as text, never as markup.

// An element: attributes by name, `on` for listeners; children are elements, texts, or nothing.
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, given] of Object.entries(attributes)) {
    if (name === "on") for (const [event, heard] of Object.entries(given)) made.addEventListener(event, heard)
    else if (given === true) made.setAttribute(name, "")
    else if (given !== false && given !== null && given !== undefined) made.setAttribute(name, given)
  }
  made.append(...present(children))
  return made
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== "")
}

// Put something else into an element, and the focus where it was: on the element of the same data-key. What says the
// same as before is left as it is, and with it what somebody has marked in it or scrolled to.
export function refill(place, ...children) {
  const active = document.activeElement
  const key = active && place.contains(active) ? active.dataset.key : undefined
  const next = place.cloneNode(false)
  next.append(...present(children))
  if (next.isEqualNode(place)) return
  place.replaceChildren(...next.childNodes)
  if (key === undefined) return
  const same = [...place.querySelectorAll("[data-key]")].find((found) => found.dataset.key === key)
  if (same) same.focus({ preventScroll: true })
}

export function badge(state) {
  return el("span", { class: `badge ${/^[a-z]+$/.test(state) ? state : ""}` }, state)
}

export function bar(part, label) {
  const percent = Math.round(100 * Math.min(1, Math.max(0, part)))
  const filled = el("span", { class: "filled" })
  filled.style.width = `${percent}%`
  const about = { role: "progressbar", "aria-valuenow": percent, "aria-valuemin": 0, "aria-valuemax": 100 }
  return el("span", { class: "bar", "aria-label": label, ...about }, filled)
}

// A table whose cells say on a phone, where rows become cards, what they are.
export function table(caption, heads, rows, options = {}) {
  const cells = (row) =>
    row.map((cell, place) => {
      const head = heads[place]
      const attributes = { "data-head": head.text ?? head, class: head.left ? "left" : null }
      return el(head.row ? "th" : "td", head.row ? { ...attributes, scope: "row" } : attributes, cell ?? "–")
    })
  const top = heads.map((head) =>
    el("th", { scope: "col", class: head.left ? "left" : null, "aria-sort": head.sort }, head.node ?? head.text ?? head),
  )
  return el(
    "table",
    { class: options.class },
    el("caption", { class: options.shown ? null : "unseen" }, caption),
    el("thead", {}, el("tr", {}, top)),
    el("tbody", {}, rows.map((row) => el("tr", { class: row.class }, cells(row.cells ?? row)))),
  )
}

export function chips(entries) {
  return el("ul", { class: "chips" }, entries.map(([name, text]) => el("li", {}, el("span", {}, name), " ", el("b", {}, text))))
}

export function command(text) {
  return el("code", { class: "command", tabindex: 0 }, text)
}

export function problem(text) {
  return el("p", { class: "problem", role: "alert" }, text)
}

// Numbers, times and parameters as people read them; the same wording as in the terminal.

export function number(metric, value) {
  return typeof value === "number" && Number.isFinite(value) ? value.toFixed(metric.digits) : "–"
}

export function told(metric, value) {
  const text = number(metric, value)
  return metric.unit && text !== "–" ? `${text} ${metric.unit}` : text
}

export function headed(metric) {
  return metric.unit ? `${metric.label} (${metric.unit})` : metric.label
}

export function duration(seconds) {
  if (typeof seconds !== "number") return "–"
  const total = Math.max(0, Math.round(seconds))
  const two = (part) => String(Math.floor(part)).padStart(2, "0")
  if (total < 100) return `${total} s`
  if (total < 6000) return `${Math.round(total / 60)} min`
  if (total < 172800) return `${Math.floor(total / 3600)} h ${two((total % 3600) / 60)}`
  return `${Math.floor(total / 86400)} d ${two((total % 86400) / 3600)} h`
}

export function rate(perSecond) {
  if (perSecond >= 1e6) return `${Number((perSecond / 1e6).toPrecision(3))}M`
  if (perSecond >= 1e3) return `${Number((perSecond / 1e3).toPrecision(3))}k`
  return `${Number(perSecond.toPrecision(3))}`
}

export function count(amount) {
  return amount.toLocaleString("en")
}

export function plural(amount, word) {
  return `${count(amount)} ${word}${amount === 1 ? "" : "s"}`
}

export function date(iso) {
  const found = new Date(iso)
  if (Number.isNaN(found.valueOf())) return "–"
  return found.toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" })
}

// Trials that are over, whatever became of them.
export function over(counts) {
  return counts.complete + counts.stopped + counts.failed
}

// A parameter as it would stand in a spec.
export function value(found) {
  if (typeof found === "number") {
    const usual = found === 0 || (Math.abs(found) >= 1e-3 && Math.abs(found) < 1e4)
    if (Number.isInteger(found) && usual) return String(found)
    return usual ? String(Number(found.toPrecision(3))) : found.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e")
  }
  if (Array.isArray(found)) return `[${found.map(value).join(", ")}]`
  return typeof found === "string" ? found : JSON.stringify(found ?? null)
}

// The shortest ending of each dotted key that no other key shares.
export function shortKeys(keys) {
  const names = new Map()
  for (const key of keys) {
    const parts = key.split(".")
    const endings = parts.map((_, place) => parts.slice(parts.length - 1 - place).join("."))
    const free = endings.find((end) => !keys.some((other) => other !== key && `.${other}`.endsWith(`.${end}`)))
    names.set(key, free ?? key)
  }
  return names
}

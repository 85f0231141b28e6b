"""A report as one HTML page that needs nothing else: figures inside, light and dark, for screens, phones and paper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from spectral_search.drawing.figure import Chapter, Figure
from spectral_search.drawing.plotting import THEME, Drawing
from spectral_search.record.finding import Finding

_BADGES = {"yes": "yes", "no": "no", "too close to call": "open", "measured": "number", "not yet run": "none"}
_NOT_RUN = "Not yet run"


@dataclass(frozen=True)
class Page:
    """What a report says.

    Attributes:
        title: Of the page.
        subtitle: One line below it.
        summary: The most important sentences.
        stops: Stop signals.
        verdicts: What is decided.
        numbers: What is measured of the whole.
        chapters: The figures.
        records: Name and value of what the report rests on.
        notes: What was left out.
    """

    title: str
    subtitle: str
    summary: Sequence[str]
    stops: Sequence[str]
    verdicts: Sequence[Finding]
    numbers: Sequence[Finding]
    chapters: Sequence[Chapter]
    records: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default=())


def render(page: Page, drawings: Mapping[str, Drawing]) -> str:
    """The page as HTML text: first what was found, then, in a section of its own, what was not run.

    Args:
        page: What it says.
        drawings: Of each figure that has data, by its key.
    """
    sections = {
        "In short": _summary(page),
        "Verdicts": _findings(page.verdicts, is_open=False),
        "Numbers": _findings(page.numbers, is_open=False),
        **{chapter.title: _chapter(chapter, drawings) for chapter in page.chapters},
        _NOT_RUN: _not_run(page, drawings),
        "Records": _table(page.records),
    }
    sections = {title: content for title, content in sections.items() if content}
    links = "".join(f'<a href="#{_anchor(title)}">{escape(title)}</a>' for title in sections)
    parts = [
        f"<header><h1>{escape(page.title)}</h1><p>{escape(page.subtitle)}</p></header><nav>{links}</nav>",
        *(_section(title, content) for title, content in sections.items()),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        # An empty icon keeps browsers from asking a server for one.
        f'<link rel="icon" href="data:,"><title>{escape(page.title)}</title><style>{_css()}</style></head>\n'
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _section(title: str, content: str) -> str:
    return f'<section id="{_anchor(title)}"><h2>{escape(title)}</h2>{content}</section>\n'


def _anchor(title: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in title.lower())


def _summary(page: Page) -> str:
    stops = "".join(f'<p class="stop">{_marked(text)}</p>' for text in page.stops)
    notes = "".join(f'<p class="note">{_marked(text)}</p>' for text in page.notes)
    return stops + "".join(f"<p>{_marked(text)}</p>" for text in page.summary) + notes


def _findings(findings: Sequence[Finding], *, is_open: bool) -> str:
    return "".join(_finding(finding) for finding in findings if finding.is_open == is_open)


def _not_run(page: Page, drawings: Mapping[str, Drawing]) -> str:
    """Verdicts, numbers and figures that nothing was run for, with the commands that would."""
    lacking = [figure for chapter in page.chapters for figure in chapter.figures if figure.key not in drawings]
    open_ones = _findings([*page.verdicts, *page.numbers], is_open=True)
    return open_ones + "".join(_figure(figure, None) for figure in lacking)


def _finding(finding: Finding) -> str:
    command = f"<p>Next: <code>{escape(finding.command)}</code></p>" if finding.command else ""
    badge = f'<span class="badge {_BADGES[finding.answer]}">{escape(finding.answer)}</span>'
    return (
        f'<article class="finding"><h3>{escape(finding.question)} {badge}</h3>'
        f"<p>{_marked(finding.evidence)}</p>{command}</article>"
    )


def _chapter(chapter: Chapter, drawings: Mapping[str, Drawing]) -> str:
    text = f"<p>{_marked(chapter.text)}</p>" if chapter.text else ""
    drawn = [(figure, drawings[figure.key]) for figure in chapter.figures if figure.key in drawings]
    return text + "".join(_figure(figure, drawing) for figure, drawing in drawn)


def _figure(figure: Figure, drawing: Drawing | None) -> str:
    command = f"<p>Next: <code>{escape(figure.command)}</code></p>" if figure.command else ""
    if drawing is None:
        body = f'<div class="lacking"><p>{_marked(figure.caption)}</p>{command}</div>'
        return f'<figure id="{_anchor(figure.key)}"><h3>{escape(figure.title)}</h3>{body}</figure>'
    caption = f"<figcaption><p>{_marked(figure.caption)}</p>{command}</figcaption>"
    table = _table(figure.rows) if figure.rows else ""
    body = f"<h3>{escape(figure.title)}</h3>{''.join(drawing.svg)}{caption}{table}"
    return f'<figure id="{_anchor(figure.key)}">{body}</figure>'


def _table(rows: Sequence[Sequence[str]]) -> str:
    header, *lines = rows
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    # On a phone each cell stands on a line of its own, with the header's word before it.
    body = "".join(
        "<tr>"
        + "".join(f'<td data-name="{escape(h)}">{escape(c)}</td>' for h, c in zip(header, line, strict=True))
        + "</tr>"
        for line in lines
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _marked(text: str) -> str:
    """Escaped text with what stands between backticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


def _css() -> str:
    light = "".join(f"--{name}:{colours[0]};" for name, colours in THEME.items())
    dark = "".join(f"--{name}:{colours[1]};" for name, colours in THEME.items())
    fonts = "--sans:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif"
    return (
        f":root{{{light}--page:#ffffff;--raised:#f5f6f8;--good:#0f6b4a;--bad:#a8340f;--warn:#7a5a00;{fonts}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}--page:#15181c;--raised:#1e2329;--good:#54cfa0;"
        f"--bad:#ff9570;--warn:#e5c35c}}}}{_RULES}"
    )


_RULES = """
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 var(--sans)}
main{max-width:860px;margin:0 auto;padding:1.5rem 1.1rem 4rem}
h1{font-size:1.7rem;line-height:1.2;margin:.5rem 0 .2rem}
h2{font-size:1.25rem;margin:2.6rem 0 .8rem;padding-top:.6rem;border-top:1px solid var(--grid)}
h3{font-size:1rem;margin:0 0 .35rem}
p{margin:.4rem 0}
header p,.note,figcaption{color:var(--muted)}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1rem;margin:1rem 0;font-size:.92rem}
a{color:var(--mlp)}
code{font:.88em ui-monospace,'DejaVu Sans Mono',monospace;background:var(--raised);padding:.1em .35em;border-radius:4px;
overflow-wrap:anywhere}
.finding,.lacking,.stop{background:var(--raised);border-radius:8px;padding:.7rem .9rem;margin:.6rem 0}
.finding p{font-size:.95rem}
.stop{border-left:4px solid var(--bad);font-weight:600}
.badge{display:inline-block;font-size:.78rem;font-weight:600;padding:.05rem .5rem;border-radius:99px;
border:1px solid currentColor;color:var(--muted);white-space:nowrap}
.badge.yes{color:var(--good)}.badge.no{color:var(--bad)}.badge.open{color:var(--warn)}
figure{margin:1.4rem 0 2.2rem}
figure svg{display:block;width:100%;height:auto}
svg.narrow{display:none}
figcaption{font-size:.94rem;max-width:72ch}
table{border-collapse:collapse;width:100%;margin:.8rem 0;font-size:.86rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.28rem .7rem .28rem 0;border-bottom:1px solid var(--grid);vertical-align:top;
overflow-wrap:break-word}
th{color:var(--muted);font-weight:600}
@media screen and (max-width:600px){
main{padding:1rem .9rem 3rem}
figure svg.wide{display:none}figure svg.narrow{display:block}
thead{display:none}
tr{display:block;padding:.4rem 0;border-bottom:1px solid var(--grid)}
td{display:flex;justify-content:space-between;gap:1rem;border:0;padding:.1rem 0;text-align:right}
td::before{content:attr(data-name);color:var(--muted);text-align:left;flex:none}
td:first-child{font-weight:600;text-align:left}
td:first-child::before{content:none}
}
@media print{
body{font-size:10.5pt}main{max-width:none;padding:0}nav{display:none}
figure,.finding,tr{break-inside:avoid}h2,h3{break-after:avoid}
a{color:inherit;text-decoration:none}
}
"""

"""The page of a report: what was found comes first, what was not run in a section near the end."""

import re

from spectral_search.drawing.figure import Chapter, Figure, lacking
from spectral_search.drawing.plotting import Drawing
from spectral_search.record.finding import Finding
from spectral_search.report.page import Page, render


def finding(key: str, answer: str) -> Finding:
    command = "spectral-search run step1" if answer == "not yet run" else None
    return Finding(key, f"Is {key} so?", answer, f"What {key} rests on.", command)  # type: ignore[arg-type]


def page(*verdicts: str, numbers: tuple[str, ...] = (), drawn: bool = True, absent: bool = True) -> str:
    """A page with verdicts and numbers of these answers, and a figure that is drawn beside one that is not."""
    figures = [lacking("absent", "An absent figure", "There is nothing to draw.", "spectral-search run step2")][:absent]
    drawings = {}
    if drawn:
        figures.append(Figure("there", "A drawn figure", "It shows something.", lambda layout: None, None))  # type: ignore[arg-type,return-value]
        drawings["there"] = Drawing(svg=("<svg></svg>",), files={})
    return render(
        Page(
            title="runs",
            subtitle="of today",
            summary=["The best run is this one."],
            stops=[],
            verdicts=[finding(f"verdict {place}", answer) for place, answer in enumerate(verdicts)],
            numbers=[finding(f"number {place}", answer) for place, answer in enumerate(numbers)],
            chapters=[Chapter("Methods", "", figures)],
            records=[["run"], ["one"]],
        ),
        drawings,
    )


def sections(text: str) -> dict[str, str]:
    """Title -> content, in the order of the page."""
    return dict(re.findall(r"<section.*?<h2>(.*?)</h2>(.*?)</section>", text, re.DOTALL))


def test_what_was_found_comes_first() -> None:
    found = sections(page("not yet run", "yes", "no", numbers=("measured", "not yet run")))
    assert list(found) == ["In short", "Verdicts", "Numbers", "Methods", "Not yet run", "Records"]
    assert "verdict 1" in found["Verdicts"] and "verdict 2" in found["Verdicts"]
    assert "A drawn figure" in found["Methods"]
    for key in ("verdict 0", "number 1", "An absent figure", "spectral-search run step1", "spectral-search run step2"):
        assert [title for title, content in found.items() if key in content] == ["Not yet run"], key


def test_sections_without_content_are_left_out_with_their_links() -> None:
    text = page("not yet run", drawn=False)
    assert list(sections(text)) == ["In short", "Not yet run", "Records"]
    links = re.findall(r"<nav>(.*?)</nav>", text)[0]
    assert re.findall(r'href="#(.*?)"', links) == ["in-short", "not-yet-run", "records"]
    assert {f'id="{anchor}"' in text for anchor in ("in-short", "not-yet-run", "records")} == {True}


def test_where_nothing_is_open_there_is_no_such_section() -> None:
    assert "Not yet run" not in sections(page("yes", numbers=("measured",), absent=False))
    assert "An absent figure" in sections(page("yes", numbers=("measured",)))["Not yet run"]

"""Reports of runs, two runs side by side, and whether more work on a run is worth it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spectral_search.errors import RequestError
from spectral_search.record.paths import results_root
from spectral_search.service.shown import Shown

if TYPE_CHECKING:
    from spectral_search.record.comparison import Comparison
    from spectral_search.record.run_records import RunRecord
    from spectral_search.report.write_report import Report


def report(names: Sequence[str], page: str | None, shown: Shown, results: str | None = None) -> "Report":
    """Write the report of runs: a page, its figures as files, and a table of results.

    Args:
        names: Runs; all finished ones when empty.
        page: The HTML file; report.html in the results folder when absent.
        shown: Where progress is shown.
        results: The results folder.

    Raises:
        RequestError: There is no such run, it has no result, or the page cannot be written.
    """
    from spectral_search.record.evidence import load_evidence
    from spectral_search.report.write_report import write_report

    root = results_root(results)
    file = root / "report.html" if page is None else Path(page)
    return write_report(load_evidence(root, names), file, progress=shown.progress("drawing figures"))


def compare(first: str, second: str, results: str | None = None) -> "Comparison":
    """Put two runs side by side: specs, best configs, test scores on the same examples, cost.

    Raises:
        RequestError: There is no such run, or it has no result.
    """
    from spectral_search.record.comparison import compare as put_side_by_side
    from spectral_search.record.evidence import load_evidence

    if first == second:
        raise RequestError(f"{first} was named twice: name two runs.")
    one, other = load_evidence(results_root(results), [first, second]).named
    return put_side_by_side(one, other)


def stop_signals(record: "RunRecord") -> list[str]:
    """What the results folder of a finished run says is not worth more work, in plain words."""
    if record.state != "finished":
        return []
    from spectral_search.record.evidence import load_evidence

    return load_evidence(record.paths.root, [record.paths.name]).stops

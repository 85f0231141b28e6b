"""Measurements beside floors and peers, where benchmarks/ of a checkout is there to make them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spectral_search.errors import RequestError
from spectral_search.places import given_path, require_folder
from spectral_search.record.durable import plain
from spectral_search.service.fetched import local_data
from spectral_search.service.shown import Shown


def bench(
    parts: Sequence[str],
    shown: Shown,
    *,
    quick: bool = False,
    figures: str | None = None,
    record: str | None = None,
    curves: str | None = None,
    examples: int | None = None,
    task: str | None = None,
    data_root: str | None = None,
) -> dict[str, Any]:
    """Measure against floors and peers; the tables are shown as they come, the whole is given as plain values.

    Args:
        parts: What to measure; all that need no asking for when empty.
        shown: Where the tables go.
        quick: Tiny sizes, to see that it runs.
        figures: Folder for figures of what was found.
        record: File of JSON lines that the document is appended to.
        curves: File of recorded tasks that the part efficiency replays searches on too.
        examples: Training examples of the part search, which is then carried out beside Ray Tune alone.
        task: Whose search is measured beside Ray Tune; that of the first task when absent.
        data_root: Images or readings of another task's search; made when absent.

    Raises:
        RequestError: This is no checkout, there is no such part, the curves cannot be read, or the record or the
            figures cannot be written.
        RunError: A measured search failed.
    """
    _find_benchmarks()
    from benchmarks.run_parts import append_record, check_record, run_bench

    if figures is not None:
        require_folder(given_path(figures, "--figures"))
    if record is not None:
        check_record(given_path(record, "--record"))
    found = run_bench(
        parts,
        shown,
        quick=quick,
        figures=None if figures is None else Path(figures),
        curves=None if curves is None else given_path(curves, "--curves"),
        examples=examples,
        task=task,
        data_root=None if data_root is None else local_data(data_root, "--data-root", shown),
    )
    document = plain(found)
    if record is not None:
        append_record(document, Path(record))
    return document


def _find_benchmarks() -> None:
    """Make benchmarks/ importable, which lies beside the package in a checkout and nowhere else.

    Raises:
        RequestError: This is no checkout.
    """
    folder = Path(__file__).parents[2]
    if not (folder / "benchmarks" / "run_parts.py").is_file():
        raise RequestError(
            f"There is no benchmarks/ in {folder}, for an installed package carries none: `bench` runs from a checkout "
            "of the project, after `make install` there."
        )
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

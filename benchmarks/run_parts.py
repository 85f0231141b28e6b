"""The parts of the benchmark, run one after the other, and the document that they make together."""

import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from benchmarks.bench_context import BenchContext
from benchmarks.bench_findings import Findings
from benchmarks.findings_table import render_head, render_part
from benchmarks.machine_state import look_at_machine
from benchmarks.repeated_spectra import cache_folder
from spectral_search.errors import RequestError
from spectral_search.places import require_output, writing
from spectral_search.record.durable import append_line

# Each is imported only when it runs: compress, training, packs and gpu work on a machine without Ray.
_PARTS = {
    "reading": "reading_speed",
    "compress": "compressing_speed",
    "training": "training_steps",
    "packs": "pack_epochs",
    "search": "searches_beside_peers",
    "overhead": "search_overhead",
    "efficiency": "search_efficiency",
    "page": "page_answers",
    "growth": "search_growth",
    "gpu": "gpu_epochs",
}
"""The module of benchmarks/parts that measures each part."""
_ASKED_FOR = ("growth", "gpu")
"""Parts that run only when named: the one runs many searches, the other needs a GPU."""
_TASKS = ("spectra", "pairs", "traffic")
"""Whose searches are measured beside a peer."""

_FEWEST_SPECTRA = 256
"""That a search is measured on: fewer would be no batch."""


class Shown(Protocol):
    """Where a benchmark is shown; the service's own fits."""

    @property
    def console(self) -> Console:
        """For the tables."""

    @property
    def progress(self) -> Callable[[str], Callable[[int, int], None]]:
        """Makes a progress callback for a long step, given its title."""

    def say(self, text: str) -> None:
        """Show one line."""


def run_bench(
    parts: Sequence[str],
    shown: Shown,
    *,
    quick: bool = False,
    figures: Path | None = None,
    curves: Path | None = None,
    examples: int | None = None,
    task: str | None = None,
    data_root: Path | None = None,
) -> dict[str, Any]:
    """Measure and give everything as one document of plain values.

    Args:
        parts: Names from PARTS; all that need no asking for when empty.
        shown: Where it is shown as it comes.
        quick: Tiny sizes, to see that it runs.
        figures: Folder for the figures of the parts that have one.
        curves: File of recorded tasks for the part efficiency.
        examples: Training examples, here spectra, of the part search.
        task: Whose search is measured; spectra when absent.
        data_root: Images or readings of another task's search.

    Raises:
        RequestError: There is no such part, the curves cannot be read, or an option is for a part that is not measured.
        RunError: A measured search failed.
    """
    if unknown := [name for name in parts if name not in _PARTS]:
        raise RequestError(f"There is no benchmark {', '.join(unknown)}: choose among {', '.join(_PARTS)}.")
    chosen = list(parts) or [name for name in _PARTS if name not in _ASKED_FOR]
    if curves is not None:
        _check_curves(curves, chosen)
    if examples is not None:
        _check_examples(examples, chosen)
    _check_task(task, data_root, examples, chosen)
    machine = look_at_machine()
    document: dict[str, Any] = {"machine": machine.document(), "busy": machine.is_busy, "quick": quick, "parts": {}}
    shown.console.print(render_head(document, machine.sentence()))
    # Not in /tmp, which may lie in memory: gigabytes are written.
    with writing(cache_folder()):
        cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".scratch-", dir=cache_folder()) as scratch:
        context = BenchContext(
            quick, Path(scratch), shown.say, shown.progress, curves, examples, task or "spectra", data_root
        )
        for name in chosen:
            found = _measured(name, context)
            document["parts"][name] = found.document()
            document |= found.summary
            shown.console.print(render_part(name, found.document(), quick=quick))
            if figures is not None and found.drawn:
                from benchmarks.bench_figures import DRAW

                DRAW[name](found.drawn, figures / f"{name}.png")
    return document


def _measured(part: str, context: BenchContext) -> Findings:
    measure: Callable[[BenchContext], Findings] = import_module(f"benchmarks.parts.{_PARTS[part]}").measure
    return measure(context)


def _check_curves(file: Path, parts: Sequence[str]) -> None:
    """Refuse a file of recorded tasks before anything is measured."""
    from benchmarks.recorded_tasks import read_tasks

    if "efficiency" not in parts:
        raise RequestError(f"--curves is for `bench efficiency`, not for {', '.join(parts)}: leave it out.")
    read_tasks(file)


def _check_examples(examples: int, parts: Sequence[str]) -> None:
    if "search" not in parts:
        raise RequestError(f"--examples is for `bench search`, not for {', '.join(parts)}: leave it out.")
    if examples < _FEWEST_SPECTRA:
        raise RequestError(f"--examples must be at least {_FEWEST_SPECTRA}, found {examples}.")


def _check_task(task: str | None, data_root: Path | None, examples: int | None, parts: Sequence[str]) -> None:
    """Refuse a task that no search is measured of, and what does not go with it."""
    if task is None and data_root is None:
        return
    if "search" not in parts:
        option = "--task" if task is not None else "--data-root"
        raise RequestError(f"{option} is for `bench search`, not for {', '.join(parts)}: leave it out.")
    if task not in (None, *_TASKS):
        raise RequestError(f"--task must be {', '.join(_TASKS[:-1])} or {_TASKS[-1]}, found {task!r}.")
    if task in (None, "spectra") and data_root is not None:
        raise RequestError("--data-root is for `bench search` of another task, such as --task pairs: leave it out.")
    if task not in (None, "spectra") and examples is not None:
        raise RequestError(f"--examples is for `bench search` of spectra, not of {task}: leave it out.")


def append_record(document: dict[str, Any], file: Path) -> None:
    """Add a document to a file of records, one JSON line each.

    Raises:
        RequestError: The file cannot be written.
        RunError: The disk is full.
    """
    with writing(file):
        append_line(file, document)


def check_record(file: Path) -> None:
    """Refuse a file of records that nothing can be added to, before anything is measured.

    Raises:
        RequestError: It cannot be written.
        RunError: The disk is full.
    """
    require_output(file)
    if file.exists():
        with writing(file):
            file.open("ab").close()

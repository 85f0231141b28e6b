"""Growth: wall time of whole searches against trials and against spectra, by input and by how trials train."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.bench_context import BenchContext
from benchmarks.bench_findings import Findings, Row
from benchmarks.repeated_spectra import repeated_shard
from benchmarks.timed_searches import ours

SERIES = (("shared", "standardize"), ("separate", "standardize"), ("shared", "signal"))
"""How trials train, and on what: all pixels, or the components of the signal."""
_PHYSICS = (
    "Whole searches by the command line, start-up included, no trial stopped early, on spectra that repeat one "
    "simulated block (only speed is measured). Separate trials pay the pass over the data each, so that their time "
    "grows with trials x spectra; trials that share a pass add only their own products and optimiser steps. On "
    "the components of the signal, which are made once, products are a thirtieth of those on pixels. The "
    "lines of ideal growth are proportional to trials, and to spectra, from the first point on."
)


@dataclass(frozen=True)
class Sizes:
    """Trials and spectra that are varied, what is fixed meanwhile, epochs and pixels."""

    trials: tuple[int, ...]
    spectra: tuple[int, ...]
    fixed_trials: int
    fixed_spectra: int
    epochs: int
    pixels: int


_FULL = Sizes((4, 8, 16, 32), (8192, 16_384, 32_768, 65_536), 8, 8192, 6, 4096)
_QUICK = Sizes((2, 4), (256, 512), 2, 256, 1, 64)


@dataclass(frozen=True)
class Point:
    """One search: what was varied ("trials" or "spectra"), how large it was, how, and how long it took."""

    axis: str
    executor: str
    input: str
    trials: int
    spectra: int
    epochs: int
    seconds: float

    @property
    def size(self) -> int:
        """The varied number."""
        return self.trials if self.axis == "trials" else self.spectra


def measure(context: BenchContext) -> Findings:
    """Run every search."""
    sizes = _QUICK if context.quick else _FULL
    points: list[Point] = []
    for spectra in sizes.spectra:
        root = context.scratch / f"growth-{spectra}"
        repeated_shard(root / "train_0" / "dataset.h5", spectra, sizes.pixels, "float32")
        repeated_shard(root / "val_0" / "dataset.h5", min(spectra, 1024), sizes.pixels, "float32")
        for trials in sizes.trials if spectra == sizes.fixed_spectra else (sizes.fixed_trials,):
            points += _each(context, sizes, root, trials, spectra)
        shutil.rmtree(root)
    listed = {"points": [asdict(point) for point in points]}
    return Findings(_rows(points), _PHYSICS, details=listed, drawn=listed)


def _each(context: BenchContext, sizes: Sizes, root: Path, trials: int, spectra: int) -> list[Point]:
    points = []
    for executor, kind in SERIES:
        seconds = _search_seconds(context, sizes, root, trials, executor, kind)
        context.say(f"growth: {trials} trials, {spectra:,} spectra, {kind}, {executor}: {seconds:.1f} s")
        axes = ["trials"] * (spectra == sizes.fixed_spectra) + ["spectra"] * (trials == sizes.fixed_trials)
        points += [Point(axis, executor, kind, trials, spectra, sizes.epochs, seconds) for axis in axes]
    return points


def _search_seconds(context: BenchContext, sizes: Sizes, root: Path, trials: int, executor: str, kind: str) -> float:
    options = {
        "--data-root": root,
        "--trials": trials,
        "--epochs": sizes.epochs,
        "--executor": executor,
        "--input": kind,
    }
    sets = ("search.pruner=none", "search.sampler=random", "search.retest_seeds=1", "data.num_train=null")
    arguments = ["step1", *(str(part) for option in options.items() for part in option)]
    return ours([*arguments, *(part for text in sets for part in ("--set", text))], context.scratch).seconds


def _rows(points: list[Point]) -> list[Row]:
    """Each search in shared passes beside what it stands in for: separate trials, or such passes on all pixels."""
    seconds = {(p.axis, p.size, p.executor, p.input): p.seconds for p in points}
    beside = {
        "standardize": ("separate", "standardize", "separate"),
        "signal": ("shared", "standardize", "on all pixels"),
    }
    rows = []
    for p in points:
        if p.executor == "shared":
            executor, kind, told = beside[p.input]
            what = f"{p.trials} trials, {p.spectra:,} spectra, shared, {p.input}"
            rows.append(Row(what, p.seconds, "s", told, seconds[p.axis, p.size, executor, kind]))
    return rows

"""Whole searches beside peers written as their own guides teach, each in a process of its own, start-up included."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.bench_context import BenchContext
from benchmarks.bench_findings import Findings, Row, Target
from benchmarks.measured_configs import hidden_of, step1
from benchmarks.parts import task_searches
from benchmarks.repeated_spectra import simulated_root
from benchmarks.timed_searches import Ended, ours, peer
from spectral_search.train.devices import cpu_count

_GRID = {
    "fit.lr": [3e-4, 1e-3, 3e-3],
    "model.dropout": [0.1, 0.3],
    "fit.schedule": ["constant", "cosine"],
    "fit.weight_decay": [1e-3],
}
"""Twelve points of step1's space, as one would lay them out by hand."""
_HEADLINE = "ray_tune", "Ray Tune"
_NAMES = {_HEADLINE[0]: _HEADLINE[1], "optuna": "Optuna alone", "grid": "a sequential grid"}
_MANY_SPECTRA = 32_000
"""From here on more is asked of the signal, since less of a search is its start."""
_PEER_GRACE_PERIOD, _PEER_REDUCTION_FACTOR = 3, 3
"""Of the peers' ASHA, as their guides have it; our rules are ours."""
_PHYSICS = (
    "Every search trains trials of step1's space on the same spectra with the same recipe and seed, each with its own"
    " proposals and stopping rule, the peers in float32 and with ASHA from epoch 3, one in 3, as their guides teach. "
    "It is timed from the command to its end: imports, cluster, loading, trials, and for ours also the winner's "
    "export and its re-test on fresh noise. What no peer does, training the finalists anew with other seeds, is left "
    "out of ours and has a row of its own. Ray Tune trains two trials at a time, each in a process that imports "
    "torch, shuffles, draws noise and multiplies for itself; Optuna and the grid train one at a time on all cores. "
    "Ours reads, noises and moves each batch once for all trials that are at the same epoch. The val spectra have "
    "recorded noise, the same for all, so the best val R2 compare. On the signal, ours trains on K components instead "
    "of all pixels; until the best of a peer is from the command to the first epoch that is as good as the best of "
    "that peer, beside when that peer had it."
)


@dataclass(frozen=True)
class Sizes:
    """Spectra to train and to validate on, pixels, trials and epochs."""

    train: int
    val: int
    pixels: int
    trials: int
    epochs: int


FULL = Sizes(16_384, 10_240, 4096, 12, 20)
_QUICK = Sizes(512, 256, 64, 3, 2)


def measure(context: BenchContext) -> Findings:
    """Run ours on all pixels and on the signal, and the peers, one after the other; of other tasks as theirs has it."""
    if context.task != "spectra":
        return task_searches.measure(context)
    sizes = _QUICK if context.quick else FULL
    if context.spectra is not None:
        sizes = replace(sizes, train=context.spectra)
    root = simulated_root(sizes.train, sizes.val, sizes.pixels, context.progress("simulating"))
    context.say(f"search: {sizes.trials} trials of step1 on {sizes.train:,} x {sizes.pixels}, {sizes.epochs} epochs")
    found = _ours(context, root, sizes)
    rows = []
    if not context.quick and context.spectra is None:
        pixels, whole = found["ours"], ours(arguments(root, sizes), context.scratch)
        rows.append(
            Row("ours, finalists also trained with other seeds", whole.seconds, "s", "ours without", pixels.seconds)
        )
        found["ours_with_seeds"] = whole
    config = peer_config(root, sizes)
    for name, words in _NAMES.items() if context.spectra is None else [_HEADLINE]:
        theirs = found[name] = peer(name, config, context.scratch)
        _told(context, words, theirs)
        rows += _beside(found["ours"], theirs, words, headline=name == _HEADLINE[0])
        rows += _signal_beside(found["ours_on_signal"], theirs, words, sizes, headline=name == _HEADLINE[0])
    return Findings(rows, _PHYSICS, details={name: vars(ended) for name, ended in found.items()})


def _ours(context: BenchContext, root: Path, sizes: Sizes) -> dict[str, Ended]:
    """Ours without what no peer does, on the input that the stage has for all pixels and on the signal."""
    alike = [*arguments(root, sizes), "--set", "search.retest_seeds=1", "--input"]
    found = {
        name: ours([*alike, kind], context.scratch)
        for name, kind in (("ours", "standardize"), ("ours_on_signal", "signal"))
    }
    _told(context, "ours on all pixels", found["ours"])
    _told(context, "ours on the signal", found["ours_on_signal"])
    return found


def _told(context: BenchContext, words: str, ended: Ended) -> None:
    context.say(f"  {words}: {ended.seconds:.1f} s, best val R2 {ended.best:.4f}")


def arguments(root: Path, sizes: Sizes) -> list[str]:
    """What follows `spectral-search run`."""
    options = {"--data-root": root, "--num-train": sizes.train, "--trials": sizes.trials, "--epochs": sizes.epochs}
    return ["step1", *(str(part) for option in options.items() for part in option)]


def peer_config(root: Path, sizes: Sizes) -> dict[str, Any]:
    """The same search in a peer's terms."""
    spec = step1()
    return {
        "root": str(root),
        "task": "spectra",
        "mode": "max",
        "trials": sizes.trials,
        "scheduler": {
            "max_t": sizes.epochs,
            "grace_period": min(_PEER_GRACE_PERIOD, sizes.epochs),
            "reduction_factor": _PEER_REDUCTION_FACTOR,
        },
        "space": {key: domain.to_yaml() for key, domain in spec.space.items()},
        "grid": _GRID,
        "cpus_per_trial": max(1, cpu_count() // 2),
        "recipe": {
            "hidden": hidden_of(spec.base),
            "epochs": sizes.epochs,
            "batch_size": spec.fit.batch_size,
            "grad_clip": spec.fit.grad_clip,
            "seed": spec.search.seed,
            "workers": 0,
        },
    }


def _beside(mine: Ended, theirs: Ended, words: str, *, headline: bool) -> list[Row]:
    gain = mine.best - theirs.best
    sooner, as_good = (Target("at most", 0.25), Target("at least", -0.01)) if headline else (None, None)
    return [
        Row(f"ours on all pixels beside {words}", mine.seconds, "s", words, theirs.seconds, sooner),
        Row(f"best val R2 above that of {words}", gain, "", target=as_good),
    ]


def _signal_beside(mine: Ended, theirs: Ended, words: str, sizes: Sizes, *, headline: bool) -> list[Row]:
    """Whole times, what was found, and how soon ours had found what the peer found at all."""
    many = sizes.train >= _MANY_SPECTRA
    sooner, better = (Target("at most", 1 / (6 if many else 3)), Target("at least", 0.02)) if headline else (None, None)
    gain = mine.best - theirs.best
    rows = [
        Row(f"ours on the signal beside {words}", mine.seconds, "s", words, theirs.seconds, sooner),
        Row(f"best val R2 on the signal above that of {words}", gain, "", target=better),
    ]
    reached, when = mine.seconds_to(theirs.best), theirs.seconds_to(theirs.best)
    if reached is not None and when is not None:
        soon = Target("at most", 1 / 8) if headline and many else None
        rows.append(Row(f"ours on the signal until the best of {words}", reached, "s", "its own time", when, soon))
    return rows

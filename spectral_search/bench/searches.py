"""Whole searches beside peers written as their own guides teach, each in a process of its own, start-up included."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectral_search.bench.around import Around
from spectral_search.bench.commands import PEERS, Ended, ours, peer, peers_are_here
from spectral_search.bench.findings import Findings, Row, Target
from spectral_search.bench.members import hidden_of, step1
from spectral_search.bench.spectra import simulated_root
from spectral_search.search.device import cpu_count

GRID = {
    "fit.lr": [3e-4, 1e-3, 3e-3],
    "model.dropout": [0.1, 0.3],
    "fit.schedule": ["constant", "cosine"],
    "fit.weight_decay": [1e-3],
}
"""Twelve points of step1's space, as one would lay them out by hand."""
NAMES = {"ray_tune": "Ray Tune", "optuna": "Optuna alone", "grid": "a sequential grid"}
PEER_GRACE_PERIOD, PEER_REDUCTION_FACTOR = 3, 3
"""Of the peers' ASHA, as their guides have it; our rules are ours."""
PHYSICS = (
    "Every search trains trials of step1's space on the same spectra with the same recipe and seed, each with its own"
    " proposals and stopping rule, the peers in float32 and with ASHA from epoch 3, one in 3, as their guides teach. "
    "It is timed from the command to its end: imports, cluster, loading, trials, and for ours also the winner's "
    "export and its re-test on fresh noise. What no peer does, training the finalists anew with other seeds, is left "
    "out of ours and has a row of its own. Ray Tune trains two trials at a time, each in a process that imports "
    "torch, shuffles, draws noise and multiplies for itself; Optuna and the grid train one at a time on all cores. "
    "Ours reads, noises and moves each batch once for all trials that are at the same epoch. The val spectra have "
    "recorded noise, the same for all, so the best val R2 compare."
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
QUICK = Sizes(512, 256, 64, 3, 2)


def measure(around: Around) -> Findings:
    """Run ours and the peers, one after the other."""
    sizes = QUICK if around.quick else FULL
    root = simulated_root(sizes.train, sizes.val, sizes.pixels, around.progress("simulating"))
    around.say(f"search: {sizes.trials} trials of step1 on {sizes.train:,} x {sizes.pixels}, {sizes.epochs} epochs")
    mine = ours([*arguments(root, sizes), "--set", "search.retest_seeds=1"], around.scratch)
    around.say(f"  ours: {mine.seconds:.1f} s, best val R2 {mine.best_val_r2:.4f}")
    rows: list[Row] = []
    details: dict[str, Any] = {"ours": vars(mine)}
    if not around.quick:
        whole = ours(arguments(root, sizes), around.scratch)
        rows.append(
            Row("ours, finalists also trained with other seeds", whole.seconds, "s", "ours without", mine.seconds)
        )
        details["ours_with_seeds"] = vars(whole)
    notes = []
    if not peers_are_here():
        notes.append(f"The peers are not part of an installed package ({PEERS} is missing): run this from a checkout.")
        return Findings(rows, PHYSICS, notes)
    config = peer_config(root, sizes)
    for name, words in NAMES.items():
        theirs = peer(name, config, around.scratch)
        around.say(f"  {words}: {theirs.seconds:.1f} s, best val R2 {theirs.best_val_r2:.4f}")
        rows += _beside(mine, theirs, words, headline=name == "ray_tune")
        details[name] = vars(theirs)
    return Findings(rows, PHYSICS, notes, details)


def arguments(root: Path, sizes: Sizes) -> list[str]:
    """What follows `spectral-search run`."""
    options = {"--data-root": root, "--num-train": sizes.train, "--trials": sizes.trials, "--epochs": sizes.epochs}
    return ["step1", *(str(part) for option in options.items() for part in option)]


def peer_config(root: Path, sizes: Sizes) -> dict[str, Any]:
    """The same search in a peer's terms."""
    spec = step1()
    return {
        "root": str(root),
        "trials": sizes.trials,
        "grace_period": min(PEER_GRACE_PERIOD, sizes.epochs),
        "reduction_factor": PEER_REDUCTION_FACTOR,
        "space": {key: domain.to_yaml() for key, domain in spec.space.items()},
        "grid": GRID,
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
    gain = mine.best_val_r2 - theirs.best_val_r2
    sooner, as_good = (Target("at most", 0.25), Target("at least", -0.01)) if headline else (None, None)
    return [
        Row(f"ours beside {words}", mine.seconds, "s", words, theirs.seconds, sooner),
        Row(f"best val R2 above that of {words}", gain, "", target=as_good),
    ]

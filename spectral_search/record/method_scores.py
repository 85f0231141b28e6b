"""Networks and baselines side by side: what each scored on which spectra, and how sure the differences are.

Shape suffixes: N spectra, K methods.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from spectral_search.record.durable import digest_of, read_arrays
from spectral_search.record.kept_baselines import Baselines
from spectral_search.record.kept_predictions import PREDICTED, read_test_predictions
from spectral_search.record.manifest import sampled
from spectral_search.record.run_records import RunRecord
from spectral_search.record.scores import Estimate, estimates, r2_samples
from spectral_search.spec.data import LEAKY_INPUTS
from spectral_search.spec.families import family_of
from spectral_search.spec.run import RunSpec, TrialConfig

if TYPE_CHECKING:
    import pandas as pd

BASELINES = {
    "ridge": "Ridge",
    "lightgbm": "LightGBM",
    "oracle_mixture": "oracle mixture",
    "ceiling": "ceiling",
    "ridge_signal": "Ridge on signal",
    "lightgbm_signal": "LightGBM on signal",
    "oracle_mixture_signal": "oracle mixture on signal",
}
"""Baselines by their key on disk."""
CEILING = "ceiling: lower bound"
"""What the ceiling's own predictions reach."""
UPPER = "ceiling: upper estimate"
BASELINE_INPUTS = {
    "ridge": "standardize",
    "lightgbm": "flux",
    "oracle_mixture": "standardize, true bin",
    "ceiling": "noise-free templates",
    "ridge_signal": "signal",
    "lightgbm_signal": "signal",
    "oracle_mixture_signal": "signal, true bin",
}
SAMPLED = "sample:"
"""Before the name of a test set of which no more than eight spectra of each shard are known, by earlier versions."""
BOOTSTRAP_SEED = 42
"""One for all: methods on the same spectra are compared on the same resampled spectra."""


@dataclass(frozen=True, eq=False)
class Method:
    """Something that predicts log g: the winner of a run, or a baseline.

    Attributes:
        name: Of the run or the baseline.
        family: MLP, CNN, ViT, MoE-CNN, or the baseline's name.
        input: What it reads.
        train_size: Training spectra.
        noise_level: Factor on the error.
        test_set: Names the test spectra and their noise level; equal names mean the same spectra in the same order.
        scores: r2, mae_dex, rmse_dex on test, as recorded.
        labels: Of the test spectra: id, log_g, T_eff, M_H, snr; None where the run keeps no predictions.
        predicted_N: log g in dex, NaN for spectra it did not predict.
        train_seconds: Training time of the winner alone.
        search_seconds: Wall time of the whole search.
        fair: Whether it is told nothing but the noisy flux.
        is_baseline: Whether it is a baseline.
        facts: What else is known of it.
    """

    name: str
    family: str
    input: str
    train_size: int
    noise_level: float
    test_set: str
    scores: dict[str, float]
    labels: "pd.DataFrame | None" = None
    predicted_N: np.ndarray | None = None
    train_seconds: float | None = None
    search_seconds: float | None = None
    fair: bool = True
    is_baseline: bool = False
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What it is called in a figure: a run by its name, a baseline by its family."""
        if self.family == "ceiling":
            return CEILING
        return self.family if self.is_baseline else self.name

    @property
    def upper_estimate(self) -> float | None:
        """Of the ceiling: the R2 that its posteriors promise."""
        value = self.facts.get("upper_estimate")
        return None if value is None else float(value)

    @property
    def r2_value(self) -> float:
        """R2 on test, as recorded."""
        return float(self.scores["r2"])

    @cached_property
    def true_N(self) -> np.ndarray:
        """Labels, dex; empty where there are no predictions."""
        return np.zeros(0) if self.labels is None else self.labels["log_g"].to_numpy(np.float64)

    @cached_property
    def residual_N(self) -> np.ndarray:
        """Predicted - true, dex; NaN where it did not predict; empty where there are no predictions."""
        return np.zeros(0) if self.predicted_N is None else np.asarray(self.predicted_N, np.float64) - self.true_N

    @cached_property
    def error2_N(self) -> np.ndarray:
        """Squared errors, dex^2; as `residual_N` else."""
        return self.residual_N**2

    @property
    def covered_N(self) -> np.ndarray:
        """Which spectra it predicted."""
        return np.isfinite(self.error2_N)

    @cached_property
    def r2(self) -> Estimate | None:
        """R2 with its interval; None where there are no predictions."""
        return r2_estimates([self])[0] if len(self.error2_N) else None


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run with its winner as a method.

    Attributes:
        record: All that the run's folder says.
        config: The winner's configuration.
        method: Its winner; None where there was no test set.
        test_set: As of `Method`.
        train_size: Training spectra.
    """

    record: RunRecord
    config: TrialConfig
    method: Method | None
    test_set: str
    train_size: int

    @property
    def name(self) -> str:
        return self.record.paths.name

    @property
    def family(self) -> str:
        """The label of its family of networks."""
        return family_of(self.config.model.kind).label


def load_run(record: RunRecord) -> Run | None:
    """A run's winner as a method; None where the run has no winner yet.

    Raises:
        RequestError: A file of the run is damaged.
    """
    best = record.best
    if best is None or best.best_epoch is None:
        return None
    config = RunSpec.from_dict(record.spec).with_params(best.params)
    test_set = test_set_name(record.manifest.data, config.data.noise_level)
    train_size = len(read_arrays(record.paths.split_npz)["train_rows"])
    method, table, family = None, None, family_of(config.model.kind)
    if record.test is not None:
        table = read_test_predictions(record.paths, best.number, best.best_epoch)
        method = Method(
            name=record.paths.name,
            family=family.label,
            input=config.data.input.kind,
            train_size=train_size,
            noise_level=config.data.noise_level,
            test_set=test_set,
            scores=record.test,
            labels=table,
            predicted_N=None if table is None else table[PREDICTED].to_numpy(np.float64),
            train_seconds=best.seconds,
            search_seconds=record.wall_seconds,
            fair=config.data.input.kind not in LEAKY_INPUTS and not family.needs_bin(config.model),
            facts={"val_r2": best.best_val_r2, "trial": best.number, "epoch": best.best_epoch},
        )
    return Run(record, config, method, test_set, train_size)


def test_set_name(data: Mapping[str, Any], noise_level: float) -> str:
    """A name that two methods share if they are tested on the same spectra at the same noise level.

    Args:
        data: Of a manifest, or of a document of baselines: its shards and their content.
        noise_level: Factor on the error.
    """
    shards = data.get("shards", {})
    tests = [name for name in sorted(shards) if name.startswith("test")]
    if sampled(shards):
        known = [f"{shards[name].get('sha256')} {shards[name]['spectra']}" for name in tests]
        return SAMPLED + digest_of("\n".join([*known, f"{noise_level:g}"]))[:12]
    content = data.get("content", {}).get("test", {})
    # What else a shard holds is not what was tested on: recorded noise is used at level 1 alone.
    used = [f"{name} {content[name]}" for name in sorted(content) if name != "noisy" or noise_level == 1.0]
    labels = [str(shards[name].get("labels")) for name in tests]
    return digest_of("\n".join([*labels, *used, f"{noise_level:g}"]))[:12]


def load_baselines(known: Baselines) -> list[Method]:
    """The baselines of one setting as methods; none where they were measured on val for want of a test set."""
    if known.part != "test":
        return []
    document, noise_level = known.document, float(known.document["settings"]["noise_level"])
    train, test = int(document["spectra"]["train"]), int(document["spectra"]["test"])
    found = []
    for key, entry in known.methods.items():
        table = known.predictions(key).set_index("row")
        labels = table[["id", "log_g", "T_eff", "M_H", "snr"]].reindex(range(test))
        found.append(
            Method(
                name=f"{BASELINES[key]} ({train:,})",
                family=BASELINES[key],
                input=BASELINE_INPUTS[key],
                train_size=train,
                noise_level=noise_level,
                test_set=test_set_name(document["data"], noise_level),
                scores={name: float(entry[name]) for name in ("r2", "mae_dex", "rmse_dex")},
                labels=labels,
                predicted_N=table[PREDICTED].reindex(range(test)).to_numpy(np.float64),
                train_seconds=entry.get("seconds"),
                fair=key.removesuffix("_signal") in ("ridge", "lightgbm"),
                is_baseline=True,
                facts={**entry.get("facts", {}), "warnings": entry.get("warnings", [])},
            )
        )
    return found


def r2_estimates(methods: Sequence[Method], part_N: np.ndarray | None = None) -> list[Estimate | None]:
    """R2 of methods on the same spectra, or on a part of them, each on what it predicted there.

    Args:
        methods: Of one test set, with predictions.
        part_N: Which spectra count.
    """
    found: list[Estimate | None] = []
    for method in methods:
        counted_N = method.covered_N if part_N is None else method.covered_N & part_N
        if counted_N.sum() < 2 or np.ptp(method.true_N[counted_N]) == 0:
            found.append(None)
            continue
        error2_N1 = np.nan_to_num(method.error2_N)[:, None]
        found += _estimates(*r2_samples(error2_N1, method.true_N, seed=BOOTSTRAP_SEED, part_N=counted_N))
    return found


def _estimates(value_K: np.ndarray, sample_RK: np.ndarray) -> list[Estimate]:
    with warnings.catch_warnings():
        # Small parts may be missing from some of the samples.
        warnings.filterwarnings("ignore", message="All-NaN")
        return estimates(value_K, sample_RK)


def leading(methods: Sequence[Method]) -> Method | None:
    """The network with the best val R2 of those that are told nothing but the flux, else of all; None without any.

    Val chooses it, so that no test number is the best of several.
    """
    networks = [method for method in methods if not method.is_baseline]
    fair = [method for method in networks if method.fair] or networks
    return max(fair, key=lambda method: float(method.facts.get("val_r2") or method.r2_value), default=None)


def comparable(first: Method, second: Method) -> bool:
    """Whether both predicted the same spectra, one by one."""
    return first.test_set == second.test_set and len(first.error2_N) == len(second.error2_N) > 0


def difference(first: Method, second: Method) -> Estimate | None:
    """R2 of the first minus R2 of the second on the spectra that both predicted, with a paired 95% interval.

    Returns:
        None where they did not predict the same spectra.
    """
    if not comparable(first, second):
        return None
    value_K, sample_RK = _both(first, second)
    return _estimates(value_K[:1] - value_K[1:], sample_RK[:, :1] - sample_RK[:, 1:])[0]


def r2_ratio(first: Method, second: Method) -> Estimate | None:
    """R2 of the first as a part of that of the second, on the spectra that both predicted, paired as a difference."""
    if not comparable(first, second):
        return None
    value_K, sample_RK = _both(first, second)
    return _estimates(value_K[:1] / value_K[1:], sample_RK[:, :1] / sample_RK[:, 1:])[0]


def _both(first: Method, second: Method) -> tuple[np.ndarray, np.ndarray]:
    error2_NK = np.nan_to_num(np.column_stack([first.error2_N, second.error2_N]))
    both_N = first.covered_N & second.covered_N
    return r2_samples(error2_NK, first.true_N, seed=BOOTSTRAP_SEED, part_N=both_N)

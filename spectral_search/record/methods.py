"""Networks and baselines side by side: what each scored on which examples, and how sure the differences are.

Shape suffixes: N examples, K methods, R bootstrap samples.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from spectral_search.record.resampling import Estimate, estimates, sampled_values
from spectral_search.task.metric import Metric

if TYPE_CHECKING:
    import pandas as pd

SAMPLED = "sample:"
"""Before the name of a test set of which no more than eight examples of each shard are known, by earlier versions."""
BOOTSTRAP_SEED = 42
"""One for all: methods on the same examples are compared on the same resampled examples."""
Role = Literal["network", "baseline", "bound", "ceiling"]
"""bound: told more than the others, so that it shows what may be reached; ceiling: reaches nearly all that can be."""


# Told apart by identity: comparing arrays gives an array, which is neither true nor false.
@dataclass(frozen=True, eq=False)
class Method:
    """Something that predicts: the winner of a run, or a baseline.

    Attributes:
        name: Of the run or the baseline.
        family: Of the winner's model, or the baseline's name.
        objective: What methods are compared by.
        input: What it reads.
        train_size: Training examples.
        test_set: Names the test examples as they were seen; equal names mean the same ones in the same order.
        scores: Every metric on test by name, as recorded.
        labels: Of the test examples; None where the run keeps no predictions.
        target_N: What was to be predicted of them; empty where there are no predictions.
        predicted_N: What it predicted, NaN where it did not; empty as `target_N` is.
        train_seconds: Training time of the winner alone.
        fair: Whether it is told nothing but what all others are.
        role: What it is to the others.
        called: A baseline's name in a sentence, where it is to be told of in one.
        facts: What else is known of it.
    """

    name: str
    family: str
    objective: Metric
    input: str
    train_size: int
    test_set: str
    scores: dict[str, float]
    labels: "pd.DataFrame | None" = None
    target_N: np.ndarray = field(default_factory=lambda: np.zeros(0))
    predicted_N: np.ndarray = field(default_factory=lambda: np.zeros(0))
    train_seconds: float | None = None
    fair: bool = True
    role: Role = "network"
    called: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_baseline(self) -> bool:
        """Whether it is no network of a search."""
        return self.role != "network"

    @property
    def label(self) -> str:
        """What it is called in a figure: a run by its name, a baseline by its family."""
        if self.role == "ceiling":
            return f"{self.family}: lower bound"
        return self.family if self.is_baseline else self.name

    @property
    def upper_label(self) -> str:
        """What the upper estimate of a ceiling is called in a figure."""
        return f"{self.family}: upper estimate"

    @property
    def upper_estimate(self) -> float | None:
        """Of a ceiling: the value that it promises, beside what its own predictions reach."""
        value = self.facts.get("upper_estimate")
        return None if value is None else float(value)

    @property
    def value(self) -> float:
        """The objective on test, as recorded."""
        return float(self.scores[self.objective.name])

    @property
    def gain(self) -> float:
        """The value in the direction in which more is better."""
        return self.objective.gain(self.value)

    @property
    def gain_on_val(self) -> float:
        """The same on val, which chooses among networks; that on test where it is not known."""
        value = self.facts.get(self.objective.val_name)
        return self.objective.gain(self.value if value is None else float(value))

    @cached_property
    def error_N(self) -> np.ndarray:
        """What each example adds to the objective; NaN where it did not predict."""
        return self.objective.measure.errors(self.predicted_N, self.target_N)

    @property
    def covered_N(self) -> np.ndarray:
        """Which examples it predicted."""
        return np.isfinite(self.error_N)

    @cached_property
    def estimate(self) -> Estimate | None:
        """The value with its interval; None where there are no predictions."""
        return part_estimates([self])[0] if len(self.error_N) else None


def part_estimates(methods: Sequence[Method], part_N: np.ndarray | None = None) -> list[Estimate | None]:
    """The objective of methods on the same examples, or on a part of them, each on what it predicted there.

    Args:
        methods: Of one test set, with predictions.
        part_N: Which examples count.
    """
    found: list[Estimate | None] = []
    for method in methods:
        counted_N = method.covered_N if part_N is None else method.covered_N & part_N
        # Metrics such as R2 divide by the spread of the targets.
        if counted_N.sum() < 2 or np.ptp(method.target_N[counted_N]) == 0:
            found.append(None)
            continue
        # The part leaves out what was not predicted; where a measure multiplies by it, a NaN would stay one.
        error_N1 = np.nan_to_num(method.error_N)[:, None]
        sampled = sampled_values(
            method.objective.measure, error_N1, method.target_N, seed=BOOTSTRAP_SEED, part_N=counted_N
        )
        found += _estimates(*sampled)
    return found


def _estimates(value_K: np.ndarray, sample_RK: np.ndarray) -> list[Estimate]:
    with warnings.catch_warnings():
        # Small parts may be missing from some of the samples.
        warnings.filterwarnings("ignore", message="All-NaN")
        return estimates(value_K, sample_RK)


def leading(methods: Sequence[Method]) -> Method | None:
    """The best network on val of those that are told nothing more than others, else of all; None without any.

    Val chooses it, so that no test number is the best of several.
    """
    networks = [method for method in methods if not method.is_baseline]
    fair = [method for method in networks if method.fair] or networks
    return max(fair, key=lambda method: method.gain_on_val, default=None)


def comparable(first: Method, second: Method) -> bool:
    """Whether both predicted the same examples, one by one."""
    return first.test_set == second.test_set and len(first.error_N) == len(second.error_N) > 0


def difference(first: Method, second: Method) -> Estimate | None:
    """The value of the first minus that of the second on what both predicted, with a paired 95% interval.

    Returns:
        None where they did not predict the same examples.
    """
    if not comparable(first, second):
        return None
    value_K, sample_RK = _both(first, second)
    return _estimates(value_K[:1] - value_K[1:], sample_RK[:, :1] - sample_RK[:, 1:])[0]


def ratio(first: Method, second: Method) -> Estimate | None:
    """The value of the first as a part of that of the second, on what both predicted, paired as a difference."""
    if not comparable(first, second):
        return None
    value_K, sample_RK = _both(first, second)
    return _estimates(value_K[:1] / value_K[1:], sample_RK[:, :1] / sample_RK[:, 1:])[0]


def _both(first: Method, second: Method) -> tuple[np.ndarray, np.ndarray]:
    error_NK = np.nan_to_num(np.column_stack([first.error_N, second.error_N]))
    both_N = first.covered_N & second.covered_N
    return sampled_values(first.objective.measure, error_NK, first.target_N, seed=BOOTSTRAP_SEED, part_N=both_N)

"""What a task measures: a number with a name, a unit and a direction. Nothing else in the core assumes any of these."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from spectral_search.task.measure import MEAN_ABSOLUTE_ERROR, Measure, Ranked

VAL = "val_"
"""What stands before a metric's name where it was measured on the val set."""


@dataclass(frozen=True)
class Metric:
    """One number that says how good predictions are.

    Attributes:
        name: Its key in records of a test set and, after `val_`, in records of epochs.
        label: For people, plain text.
        higher_is_better: Its direction.
        unit: Of the number, where it has one.
        worst: What a model of results is told instead of anything worse, so that one diverged trial flattens nothing.
        digits: After the decimal point, for people.
        chance: What predictions score that ignore their input, on a scale of about 1; None where nobody can say.
        symbol: As pages and figures show it, where that is not its label.
        measure: How it is computed, also of resampled examples.
        tolerance: Values that lie no further apart count as equally good where a report looks for the first or the
            cheapest good one.
        drawn_from: Figures leave out what is worse.
    """

    name: str
    label: str
    higher_is_better: bool
    unit: str = ""
    worst: float = -math.inf
    digits: int = 4
    chance: float | None = None
    symbol: str = ""
    measure: Measure | Ranked = MEAN_ABSOLUTE_ERROR
    tolerance: float = 0.0
    drawn_from: float | None = None

    @property
    def val_name(self) -> str:
        """Its key in the record of an epoch."""
        return VAL + self.name

    @property
    def shown(self) -> str:
        """Its symbol for pages and figures."""
        return self.symbol or self.label

    @property
    def headed(self) -> str:
        """Its label with its unit, as the head of a column."""
        return f"{self.label} {self.unit}".rstrip()

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """As Optuna calls it: maximize or minimize."""
        return "maximize" if self.higher_is_better else "minimize"

    @property
    def nothing(self) -> float:
        """Worse than any value."""
        return -math.inf if self.higher_is_better else math.inf

    def better(self, one: float, other: float) -> bool:
        """Whether one value is better than another; what is no number is better than none."""
        if math.isnan(one) or math.isnan(other):
            return not math.isnan(one)
        return one > other if self.higher_is_better else one < other

    def gain(self, value: float) -> float:
        """The value in the direction in which more is better."""
        return value if self.higher_is_better else -value

    def best(self, values: Iterable[float]) -> float:
        """The best finite value; `nothing` when there is none."""
        finite = [value for value in values if math.isfinite(value)]
        return (max if self.higher_is_better else min)(finite, default=self.nothing)

    def best_until(self, values: Mapping[int, float], epoch: int | None = None) -> float:
        """The best finite value by epoch, up to one where that is given; `nothing` when there is none."""
        return self.best(value for at, value in values.items() if epoch is None or at <= epoch)

    def held(self, value: float) -> float:
        """The value, or the worst that a model of results is told."""
        # The default is no bound: -inf would count as better than any value of a metric that falls.
        worse = math.isnan(value) or (self.gain(value) < self.gain(self.worst) if math.isfinite(self.worst) else False)
        # Without a worst of its own the default, which is that of metrics whose more is better, says nothing.
        return (self.worst if math.isfinite(self.worst) else self.nothing) if worse else value

    def reaches(self, value: float, goal: float) -> bool:
        """Whether a value is as good as a goal, or better."""
        return self.gain(value) >= self.gain(goal)

    def number(self, value: float | None) -> str:
        """The value for people, without its unit; a dash where there is none."""
        return "-" if value is None or not math.isfinite(value) else f"{value:.{self.digits}f}"

    def told(self, value: float | None) -> str:
        """The value for people, with its unit."""
        number = self.number(value)
        return f"{number} {self.unit}" if self.unit and number != "-" else number

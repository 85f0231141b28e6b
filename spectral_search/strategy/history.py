"""What is known of a search at one moment: all that proposers and rules decide by.

The records are made from the durable log of epochs and from the study, and never change, so that whoever decides by
them decides the same in whatever process, before and after a resume.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from spectral_search.spec.space_part import PausedPart
from spectral_search.task.metric import Metric

State = Literal["running", "complete", "stopped", "failed"]
"""What became of a trial; one that waits at a rung is running."""


@dataclass(frozen=True)
class Trial:
    """A trial as far as it has come.

    Attributes:
        number: From 0, its place in the history.
        params: Its searched values.
        epochs: That it may take.
        values: The objective after each epoch, from the first on.
        state: What became of it.
        passed: The last rung from which it went on; 0 before the first.
        held: The rung at which it waits; 0 where it does not.
        collapsed: Whether it was found to have learnt nothing.
        cause: What it failed of, where it failed.
    """

    number: int
    params: Mapping[str, Any]
    epochs: int
    values: tuple[float, ...] = ()
    state: State = "running"
    passed: int = 0
    held: int = 0
    collapsed: bool = False
    cause: str = ""

    @property
    def came_to_nothing(self) -> bool:
        """Whether it failed or collapsed: how far it came says nothing then."""
        return self.state == "failed" or self.collapsed

    @property
    def trains(self) -> bool:
        """Whether it is on its way to its next epoch."""
        return self.state == "running" and not self.held

    def gain(self, metric: Metric, until: int | None = None) -> float:
        """Its best finite value up to an epoch, in the direction in which more is better; -inf where it has none."""
        return metric.gain(metric.best(self.values[:until]))


@dataclass(frozen=True)
class History:
    """A search so far.

    Attributes:
        trials: All of them, by number.
        planned: Trials that the search will make in all.
        more: Whether new trials may still come.
        paused: Parts of the space that get no more trials.
    """

    trials: Sequence[Trial]
    planned: int
    more: bool = True
    paused: Sequence[PausedPart] = ()

    def refuses(self, params: Mapping[str, Any]) -> bool:
        """Whether a point lies where nothing more is tried."""
        return any(paused.part.holds(params) for paused in self.paused)

    def reached(self, rung: int, metric: Metric) -> dict[int, float]:
        """The best gain up to a rung of each trial that reached it, by number."""
        return {
            trial.number: trial.gain(metric, rung)
            for trial in self.trials
            # One that failed further on had passed this rung, and counts as it did then.
            if len(trial.values) >= rung and (trial.state != "failed" or trial.passed >= rung)
        }

    def waiting(self, rung: int | None = None) -> list[Trial]:
        """The trials that wait at a rung, or at any."""
        return [trial for trial in self.trials if trial.held and rung in (None, trial.held)]

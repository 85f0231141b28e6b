"""About how many epochs a search will have taken in the end, from how far its trials have come."""

from collections.abc import Sequence
from dataclasses import dataclass

from spectral_search.strategy.rule import Rule


@dataclass(frozen=True)
class Reached:
    """How far a trial has come.

    Attributes:
        epochs: That it took.
        longest: That it may take.
        state: "running", "waiting" (at a rung), "complete", "stopped" or "failed".
    """

    epochs: int
    longest: int
    state: str

    @property
    def is_over(self) -> bool:
        """Whether it takes no more."""
        return self.state not in ("running", "waiting")


def planned_epochs(trials: Sequence[Reached], planned: int, rule: Rule, longest: int) -> int:
    """Epochs that are done and that the rest will take.

    Where trials wait at rungs the rule knows about how many go on. Elsewhere trials to come are taken to end as early
    on average as those that are over, and a live one that has outlived that to go on to its last epoch.

    Args:
        trials: All trials so far.
        planned: Trials of the search in all.
        rule: Who is stopped.
        longest: Epochs of a trial, as far as trials do not vary them.
    """
    done = sum(trial.epochs for trial in trials)
    over = [trial for trial in trials if trial.is_over]
    if len(over) >= planned:
        return done
    if rule.waits:
        spared = sum(_spared(trial, rule, longest) for trial in over)
        surely = sum(_to_next_stop(trial, rule) for trial in trials if trial.state == "running")
        return max(done + surely, rule.planned_epochs(planned, longest) - spared)
    mean = sum(trial.epochs for trial in over) / len(over) if over else longest
    live = [trial for trial in trials if not trial.is_over]
    rest = sum(min(trial.longest, mean if trial.epochs < mean else trial.longest) - trial.epochs for trial in live)
    return done + round(rest + max(0, planned - len(trials)) * mean)


def _spared(trial: Reached, rule: Rule, longest: int) -> int:
    """Epochs that were planned for a trial and that it did not take, having ended before the next rung."""
    ends = [*([] if trial.state == "complete" else rule.rungs(longest)), longest]
    return min((end for end in ends if end >= trial.epochs), default=trial.epochs) - trial.epochs


def _to_next_stop(trial: Reached, rule: Rule) -> int:
    """Epochs that a trial takes before it can end otherwise than by itself."""
    ends = [*rule.rungs(trial.longest), trial.longest]
    return min((end for end in ends if end > trial.epochs), default=trial.epochs) - trial.epochs

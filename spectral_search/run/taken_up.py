"""What a study and the logs of its trials hold, as the process finds it that opens them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import optuna
from optuna.trial import FrozenTrial, TrialState

from spectral_search.record.durable import plain, write_atomic
from spectral_search.record.epoch_log import EpochRecord, read_epochs
from spectral_search.record.failure_causes import cause_of
from spectral_search.record.paths import RunPaths
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.collapse import COLLAPSED
from spectral_search.strategy.history import State, Trial
from spectral_search.strategy.space_points import Params

_STATES: dict[TrialState, State] = {
    TrialState.WAITING: "running",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
}
PARAMS, PASSED, HELD = "params", "passed_rung", "held_rung"
"""User attributes of a trial: its searched values, the last rung it survived, the one it waits at."""
CAUSE = "cause"
"""Likewise: what it failed of, in plain words."""


@dataclass
class LiveTrial:
    """A trial of this process.

    Attributes:
        number: Its number.
        params: Its searched values.
        epochs: The epochs recorded so far.
        passed: The last rung it survived.
        error: Why it failed, if it did.
        collapsed: What was seen and why that is likely, if it learnt nothing to its end.
    """

    number: int
    params: Params
    epochs: list[EpochRecord] = field(default_factory=list)
    passed: int = 0
    error: str | None = None
    collapsed: str | None = None

    @property
    def last_epoch(self) -> int:
        return self.epochs[-1]["epoch"] if self.epochs else 0

    @property
    def settled(self) -> int:
        """Epochs that need not be told again: whoever died after the last may have died before it was judged."""
        return max(0, self.last_epoch - 1)


def take_up(study: optuna.Study, paths: RunPaths, spec: RunSpec, val_name: str) -> tuple[list[Trial], list[LiveTrial]]:
    """The trials that there are, and those of them that are not over; what a dead process had begun is put in order.

    Nothing is judged here: a trial tells its last epoch again, together with those that reached it with it.

    Raises:
        RequestError: The log of a trial is damaged.
    """
    trials, unfinished = [], []
    for frozen in study.get_trials(deepcopy=False):
        epochs = mended_epochs(frozen, paths, val_name)
        trial = known_trial(frozen, spec, [record[val_name] for record in epochs])
        trials.append(trial)
        if trial.state == "running":
            unfinished.append(LiveTrial(trial.number, frozen.user_attrs[PARAMS], epochs, trial.passed))
        else:
            clean_up(paths, trial.number, trial.state)
    return trials, unfinished


def clean_up(paths: RunPaths, number: int, state: State) -> None:
    """Remove what a trial that is over no longer needs."""
    # A complete trial may be trained further, by `resume --epochs`, and a failed one run again, by `retry`; of one that
    # was stopped export needs the best.
    if state == "stopped":
        paths.trial(number).last_safetensors.unlink(missing_ok=True)


def mended_epochs(frozen: FrozenTrial, paths: RunPaths, val_name: str) -> list[EpochRecord]:
    """The epochs of a trial that no process trains; where its file was cut, it is put in order."""
    path = paths.trial(frozen.number).progress_jsonl
    epochs, as_written = read_epochs(path, val_name, frozen.intermediate_values)
    if not as_written and not frozen.state.is_finished():
        paths.trial(frozen.number).create()
        write_atomic(path, "".join(json.dumps(plain(record)) + "\n" for record in epochs))
    return epochs


def known_trial(frozen: FrozenTrial, spec: RunSpec, values: Sequence[float]) -> Trial:
    """A trial as strategies know it, from what the study and its log say."""
    attributes, state = frozen.user_attrs, _STATES[frozen.state]
    passed, held = attributes.get(PASSED, 0), attributes.get(HELD, 0)
    return Trial(
        number=frozen.number,
        params=attributes[PARAMS],
        epochs=attributes[PARAMS].get("fit.epochs", spec.fit.epochs),
        values=tuple(values),
        state=state,
        passed=passed,
        held=held if state == "running" and passed < held == len(values) else 0,
        collapsed=COLLAPSED in attributes,
        cause=str(attributes.get(CAUSE) or cause_of(attributes.get("error", ""))) if state == "failed" else "",
    )

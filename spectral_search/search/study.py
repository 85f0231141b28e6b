"""The durable record of a search: an Optuna study that holds every trial, its state and its val R2 at each epoch.

A trial is written with its parameters before it is launched and at every epoch after; ASHA's rungs live in the study
too (Optuna keeps them as attributes of the trials), so whoever opens the study again decides as if nothing had
happened.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import optuna
import yaml
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from spectral_search.errors import RequestError
from spectral_search.results.durable import append_line, read_lines, write_atomic
from spectral_search.results.paths import RunPaths
from spectral_search.search.proposals import Params, Proposals
from spectral_search.spec.run import RunSpec
from spectral_search.spec.search import SearchSpec

EpochRecord = dict[str, Any]
Outcome = Literal["complete", "stopped", "failed"]
STATES: dict[Outcome, TrialState] = {
    "complete": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
OUTCOMES: dict[TrialState, Outcome] = {state: outcome for outcome, state in STATES.items()}


@dataclass
class LiveTrial:
    """A trial that is not over: its number, parameters and the epochs recorded so far."""

    number: int
    params: Params
    epochs: list[EpochRecord] = field(default_factory=list)

    @property
    def last_epoch(self) -> int:
        return self.epochs[-1]["epoch"] if self.epochs else 0


def make_pruner(search: SearchSpec) -> BasePruner:
    """The rule that stops trials early."""
    if search.pruner == "none":
        return NopPruner()
    return SuccessiveHalvingPruner(min_resource=search.min_epochs, reduction_factor=search.reduction_factor)


def rung_epochs(search: SearchSpec, epochs: int) -> set[int]:
    """Epochs after which ASHA may stop a trial."""
    if search.pruner == "none" or search.min_epochs > epochs:
        return set()
    rungs = math.floor(math.log(epochs / search.min_epochs, search.reduction_factor) + 1e-9)
    return {search.min_epochs * search.reduction_factor**rung for rung in range(rungs + 1)}


def open_storage(url: str) -> BaseStorage:
    """The database of a study.

    Raises:
        RequestError: It cannot be reached.
    """
    try:
        return RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}} if url.startswith("sqlite") else None)
    except Exception as error:
        raise RequestError(
            f"The study's database cannot be opened ({type(error).__name__}): check search.storage and that the "
            "server runs."
        ) from error


class Study:
    """Asks, records and ends trials. One process at a time may hold it.

    Args:
        spec: The search.
        paths: The run's folder.
        storage: Where the study lies.
        name: Its name there.
        listener: Told of every change: ("started" | "epoch" | a trial's outcome, trial).
    """

    def __init__(
        self,
        spec: RunSpec,
        paths: RunPaths,
        storage: BaseStorage,
        name: str,
        listener: Callable[[str, LiveTrial], None] = lambda event, trial: None,
    ) -> None:
        self.spec, self.paths = spec, paths
        self.listener = listener
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(
            study_name=name,
            storage=storage,
            direction="maximize",
            sampler=RandomSampler(),  # never asked: proposals come from a shadow study
            pruner=make_pruner(spec.search),
            load_if_exists=True,
        )
        self._proposals = Proposals(spec)
        self._live: dict[int, tuple[LiveTrial, Trial]] = {}
        self._unfinished = self._find_unfinished()

    @property
    def planned(self) -> int:
        """Trials of the search in all."""
        return self._proposals.planned

    def trials(self) -> list[FrozenTrial]:
        """All trials so far, by number."""
        return self._study.get_trials(deepcopy=False)

    def next_trial(self) -> LiveTrial | None:
        """An unfinished trial to go on with, else a new one; None when there are no more."""
        if self._unfinished:
            trial = self._unfinished.pop(0)
        else:
            earlier = self.trials()
            params = self._proposals.propose(earlier)
            if params is None:
                return None
            trial = LiveTrial(len(earlier), params)
            self._record_new(trial)
        frozen = self.trials()[trial.number]
        self._live[trial.number] = (trial, Trial(self._study, frozen._trial_id))
        self.listener("started", trial)
        return trial

    def report(self, number: int, record: EpochRecord) -> bool:
        """Record an epoch; whether the trial must stop. An epoch that is recorded already changes nothing."""
        if number not in self._live:  # told again of a trial that is over
            return True
        trial, handle = self._live[number]
        if record["epoch"] <= trial.last_epoch:
            return False
        append_line(self.paths.trial(number).progress_jsonl, record)
        handle.report(record["val_r2"], record["epoch"])
        trial.epochs.append(record)
        self.listener("epoch", trial)
        return handle.should_prune()

    def finish(self, number: int, outcome: Outcome, error: str | None = None) -> None:
        """End a trial: complete with the val R2 of its best epoch, stopped at its last, or failed with the reason."""
        if number not in self._live:
            return
        trial, handle = self._live.pop(number)
        if error is not None:
            handle.set_user_attr("error", error)
        best = max((record["val_r2"] for record in trial.epochs), default=None)
        if outcome == "complete" and best is None:
            outcome = "failed"
        self._study.tell(handle, best if outcome == "complete" else None, STATES[outcome])
        self.listener(outcome, trial)

    def _record_new(self, trial: LiveTrial) -> None:
        params, distributions = self._proposals.frozen(trial.params)
        folder = self.paths.trial(trial.number).create()
        write_atomic(folder.params_yaml, yaml.safe_dump(trial.params, sort_keys=False))
        self._study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=params,
                distributions=distributions,
                user_attrs={"params": trial.params},
            )
        )

    def _find_unfinished(self) -> list[LiveTrial]:
        unfinished = []
        for frozen in self.trials():
            if frozen.state in (TrialState.RUNNING, TrialState.WAITING):
                recorded = {r["epoch"]: r for r in read_lines(self.paths.trial(frozen.number).progress_jsonl).records}
                epochs = [
                    recorded.get(epoch, {"epoch": epoch, "val_r2": value})
                    for epoch, value in sorted(frozen.intermediate_values.items())
                ]
                unfinished.append(LiveTrial(frozen.number, frozen.user_attrs["params"], epochs))
        return unfinished

"""Training finalists anew with other seeds, to see how much of a result is luck.

A copy has the configuration of a finalist and another fit.seed, so that initialisation and dropout differ, and the
order of the examples and their training noise are other ones than in the search. These all copies share, with the pass
over the data. A copy is trained for as many epochs as its original took to its best one and keeps its own best weights
by its value on val, as every trial does; where that costs too much (`search.retest_share`) it is stopped earlier, and
its value is compared with its original's by then.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from spectral_search.errors import DiskFullError
from spectral_search.record.kept_predictions import Retest
from spectral_search.record.paths import RunPaths, TrialPaths
from spectral_search.record.run_records import TrialRecord
from spectral_search.run.trial_session import CHECKPOINT_SHARE, failed_step
from spectral_search.spec.base import SEEDS
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.strategy.space_points import Params
from spectral_search.task.metric import Metric
from spectral_search.task.registry import task_of
from spectral_search.train.admission import NoRoomError
from spectral_search.train.checkpoint import (
    DamagedCheckpointError,
    discard_checkpoint,
    load_checkpoint,
    read_best,
    save_checkpoint,
)
from spectral_search.train.member import Member, NonFiniteLossError
from spectral_search.train.trainer import Trainer

if TYPE_CHECKING:
    from spectral_search.run.copy_progress import CopyProgress


Key = tuple[int, int]
"""Of a copy: the number of its trial, and its seed."""
Keep = Callable[[Retest, Callable[[Any], np.ndarray] | None], None]


@dataclass(frozen=True)
class Copy:
    """A finalist to be trained anew.

    Attributes:
        trial: Its number.
        params: Its parameters.
        seed: Replaces its own.
        epochs: For how long.
        original_value: Where that is less than its original took to its best epoch: the best it had by then.
    """

    trial: int
    params: Params
    seed: int
    epochs: int
    original_value: float | None = None

    def config(self, spec: RunSpec) -> TrialConfig:
        """What it trains."""
        config = spec.with_params(self.params)
        return config.model_copy(update={"fit": config.fit.model_copy(update={"seed": self.seed})})


def planned_copies(spec: RunSpec, finalists: Sequence[TrialRecord], epochs_trained: int) -> list[Copy]:
    """Which finalists are trained anew, best first: the winner with all its seeds, the others while the budget lasts.

    Seeds count on from that of the finalist.

    Args:
        spec: The search.
        finalists: The winner first.
        epochs_trained: Of all trials of the search together.
    """
    best_epochs, copies = [trial.best_epoch or 0 for trial in finalists], []
    for trial, (count, epochs) in zip(finalists, spec.search.copies_of(best_epochs, epochs_trained), strict=True):
        own = spec.with_params(trial.params).fit.seed
        by_then = None if epochs == trial.best_epoch else _best_by(trial, epochs, task_of(spec.task).objective)
        copies += [
            Copy(trial.number, trial.params, (own + number) % SEEDS, epochs, by_then) for number in range(1, count + 1)
        ]
    return copies


def _best_by(trial: TrialRecord, epochs: int, objective: Metric) -> float | None:
    """The best value that a trial had after so many epochs."""
    values = [value for epoch, value in trial.values.items() if epoch <= epochs]
    return max(values, key=objective.gain, default=None)


def train_copies(
    trainer: Trainer, spec: RunSpec, paths: RunPaths, copies: Sequence[Copy], progress: "CopyProgress", keep: Keep
) -> None:
    """Train copies to their end, from their checkpoints where they have any.

    Args:
        trainer: The data of the search.
        spec: The search.
        paths: The run's folder.
        copies: To train.
        progress: Where it is shown.
        keep: Told of each copy as it ends, with what predicts with its best weights; None where it failed or was
            stopped early.

    Raises:
        DiskFullError: A checkpoint could not be written.
    """

    def group(copy: Copy) -> int:
        return copy.config(spec).fit.batch_size

    progress.begin(copies)
    for _, members in groupby(sorted(copies, key=group), key=group):
        _Pack(trainer, spec, paths, list(members), progress, keep).train()


class _Pack:
    """Copies that can share a pass, from their beginning or their checkpoints to their end."""

    def __init__(
        self,
        trainer: Trainer,
        spec: RunSpec,
        paths: RunPaths,
        copies: list[Copy],
        progress: "CopyProgress",
        keep: Keep,
    ) -> None:
        self._trainer, self._spec, self._paths, self._progress, self._keep = trainer, spec, paths, progress, keep
        self._copies = {(copy.trial, copy.seed): copy for copy in copies}
        self._pass_seed = (spec.fit.seed + 1) % SEEDS
        self._members: dict[Key, Member] = {}
        self._saved_at, self._save_seconds = time.monotonic(), 0.0

    def train(self) -> None:
        left = list(self._copies)
        while left:
            left = self._begin(left)
            while self._members:
                self._end_finished()
                if self._members:
                    self._epoch()

    def _begin(self, keys: list[Key]) -> list[Key]:
        """Begin copies; those that there is no room for beside the others, which come after them."""
        crowded = []
        for key in keys:
            try:
                self._members[key] = self._begun(self._copies[key])
            except NoRoomError as error:
                if self._members:
                    crowded.append(key)
                else:
                    self._fail([key], error)
            except Exception as error:
                self._fail([key], error)
        return crowded

    def _begun(self, copy: Copy) -> Member:
        folder, config = self._folder(copy).create(), copy.config(self._spec)
        member = self._trainer.member(copy.trial, config, self._pass_seed)
        try:
            load_checkpoint(member, folder)
        except DamagedCheckpointError:
            discard_checkpoint(folder)
            member = self._trainer.member(copy.trial, config, self._pass_seed)
        return member

    def _epoch(self) -> None:
        # A process that died between two checkpoints left the copies at different epochs: the last catch up first.
        first = min(member.epoch for member in self._members.values())
        behind = {key: member for key, member in self._members.items() if member.epoch == first}
        try:
            results = self._trainer.run_epoch(list(behind.values()))
        except Exception as error:
            self._fail(list(behind), error)
            return
        for key, member in behind.items():
            result = results[member.key]
            if isinstance(result, NonFiniteLossError):
                self._fail([key], result)
            else:
                self._progress.epoch(self._copies[key], result)
        if time.monotonic() - self._saved_at >= self._save_seconds / CHECKPOINT_SHARE:
            self._save()

    def _save(self) -> None:
        started = time.monotonic()
        for key, member in self._members.items():
            save_checkpoint(member, self._folder(self._copies[key]))
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - started

    def _end_finished(self) -> None:
        for key, member in list(self._members.items()):
            copy = self._copies[key]
            if member.epoch >= copy.epochs or member.finished:
                self._end(copy, member)
                del self._members[key]

    def _end(self, copy: Copy, member: Member) -> None:
        folder = self._folder(copy)
        save_checkpoint(member, folder)
        weights, best = read_best(folder)
        member.network.model.load_state_dict(weights)
        objective = task_of(self._spec.task).objective
        value = best[objective.val_name]
        made = Retest(copy.trial, copy.seed, False, copy.epochs, best["epoch"], value, _nothing())
        told = f"{best['epoch']} epochs to its best val {objective.label}, {objective.told(value)}"
        if copy.original_value is None:
            self._keep(made, partial(self._predict, member))
        else:
            self._keep(replace(made, original_value=copy.original_value), None)
            told += f"; the original by then {objective.told(copy.original_value)}"
        self._progress.ended(copy, told)
        discard_checkpoint(folder)

    def _predict(self, member: Member, examples: Any) -> np.ndarray:
        return self._trainer.predict([member], examples)[0]

    def _fail(self, keys: list[Key], error: Exception) -> None:
        """Enter that copies failed: the run has its winner all the same."""
        for key in keys:
            copy, member = self._copies[key], self._members.pop(key, None)
            step = failed_step(self._folder(copy).create(), error)
            if step.full is not None:
                raise DiskFullError(step.full)
            epoch = 0 if member is None else member.epoch
            self._keep(Retest(*key, False, copy.epochs, epoch, None, _nothing(), str(error)), None)
            self._progress.ended(copy, f"failed: {error}")

    def _folder(self, copy: Copy) -> TrialPaths:
        return self._paths.retest(copy.trial, copy.seed)


def _nothing() -> np.ndarray:
    return np.empty((0, 0), np.float32)

"""Training finalists anew with other seeds, to see how much of a result is luck.

A copy has the configuration of a finalist and another fit.seed, so that initialisation, dropout, the order of the
spectra and their training noise all differ. It is trained for as many epochs as its original took to its best one and
keeps its own best weights by val R2, as every trial does. Copies with one seed and one batch size share their passes
over the data.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from spectral_search.data.dataset import Frozen
from spectral_search.errors import DiskFullError
from spectral_search.fit.admission import NoRoomError
from spectral_search.fit.checkpoint import (
    DamagedCheckpointError,
    discard_checkpoint,
    load_checkpoint,
    read_best,
    save_checkpoint,
)
from spectral_search.fit.member import Member, NonFiniteLossError
from spectral_search.fit.trainer import Trainer
from spectral_search.results.paths import RunPaths, TrialPaths
from spectral_search.results.predictions import Retest
from spectral_search.results.records import TrialRecord
from spectral_search.search.points import Params
from spectral_search.search.trial import CHECKPOINT_SHARE, failed_step
from spectral_search.spec.base import SEEDS
from spectral_search.spec.run import RunSpec, TrialConfig

if TYPE_CHECKING:
    from spectral_search.search.reseed_progress import CopyProgress


Keep = Callable[[Retest, Callable[[Frozen], np.ndarray] | None], None]


@dataclass(frozen=True)
class Copy:
    """A finalist to be trained anew: its trial and parameters, the seed that replaces its own, and for how long."""

    trial: int
    params: Params
    seed: int
    epochs: int

    def config(self, spec: RunSpec) -> TrialConfig:
        """What it trains."""
        config = spec.with_params(self.params)
        return config.model_copy(update={"fit": config.fit.model_copy(update={"seed": self.seed})})


def planned_copies(spec: RunSpec, finalists: Sequence[TrialRecord], epochs_trained: int) -> list[Copy]:
    """Which finalists are trained anew, best first: the winner with all its seeds, the others while the budget lasts.

    Args:
        spec: The search.
        finalists: The winner first.
        epochs_trained: Of all trials of the search together.
    """
    best_epochs, copies = [trial.best_epoch or 0 for trial in finalists], []
    for trial, count in zip(finalists, spec.search.copies_of(best_epochs, epochs_trained), strict=True):
        own = spec.with_params(trial.params).fit.seed
        copies += [
            Copy(trial.number, trial.params, (own + number) % SEEDS, trial.best_epoch or 0)
            for number in range(1, count + 1)
        ]
    return copies


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
        keep: Told of each copy as it ends, with what predicts with its best weights; None where it failed.

    Raises:
        DiskFullError: A checkpoint could not be written.
    """

    def group(copy: Copy) -> tuple[int, int]:
        return copy.seed, copy.config(spec).fit.batch_size

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
        self._copies = {copy.trial: copy for copy in copies}
        self._members: dict[int, Member] = {}
        self._saved_at, self._save_seconds = time.monotonic(), 0.0

    def train(self) -> None:
        left = list(self._copies)
        while left:
            left = self._begin(left)
            while self._members:
                self._end_finished()
                if self._members:
                    self._epoch()

    def _begin(self, numbers: list[int]) -> list[int]:
        """Begin copies; those that there is no room for beside the others, which come after them."""
        crowded = []
        for number in numbers:
            try:
                self._members[number] = self._begun(self._copies[number])
            except NoRoomError as error:
                if self._members:
                    crowded.append(number)
                else:
                    self._fail([number], error)
            except Exception as error:
                self._fail([number], error)
        return crowded

    def _begun(self, copy: Copy) -> Member:
        folder, config = self._folder(copy).create(), copy.config(self._spec)
        member = self._trainer.member(copy.trial, config)
        try:
            load_checkpoint(member, folder)
        except DamagedCheckpointError:
            discard_checkpoint(folder)
            member = self._trainer.member(copy.trial, config)
        return member

    def _epoch(self) -> None:
        # A process that died between two checkpoints left the copies at different epochs: the last catch up first.
        first = min(member.epoch for member in self._members.values())
        behind = [member for member in self._members.values() if member.epoch == first]
        try:
            results = self._trainer.run_epoch(behind)
        except Exception as error:
            self._fail([member.number for member in behind], error)
            return
        for number, result in results.items():
            if isinstance(result, NonFiniteLossError):
                self._fail([number], result)
            else:
                self._progress.epoch(self._copies[number], result)
        if time.monotonic() - self._saved_at >= self._save_seconds / CHECKPOINT_SHARE:
            self._save()

    def _save(self) -> None:
        started = time.monotonic()
        for number, member in self._members.items():
            save_checkpoint(member, self._folder(self._copies[number]))
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - started

    def _end_finished(self) -> None:
        for number, member in list(self._members.items()):
            copy = self._copies[number]
            if member.epoch < copy.epochs and not member.finished:
                continue
            folder = self._folder(copy)
            save_checkpoint(member, folder)
            weights, best = read_best(folder)
            member.network.model.load_state_dict(weights)
            made = Retest(number, copy.seed, False, copy.epochs, best["epoch"], best["val_r2"], _nothing())
            self._keep(made, partial(self._predict, member))
            self._progress.ended(copy, f"{best['epoch']} epochs to its best val R2, {best['val_r2']:.4f}")
            discard_checkpoint(folder)
            del self._members[number]

    def _predict(self, member: Member, frozen: Frozen) -> np.ndarray:
        return self._trainer.predict([member], frozen)[0]

    def _fail(self, numbers: list[int], error: Exception) -> None:
        """Enter that copies failed: the run has its winner all the same."""
        for number in numbers:
            copy, member = self._copies[number], self._members.pop(number, None)
            step = failed_step(self._folder(copy).create(), error)
            if step.full is not None:
                raise DiskFullError(step.full)
            epoch = 0 if member is None else member.epoch
            self._keep(Retest(number, copy.seed, False, copy.epochs, epoch, None, _nothing(), str(error)), None)
            self._progress.ended(copy, f"failed: {error}")

    def _folder(self, copy: Copy) -> TrialPaths:
        return self._paths.retest(copy.trial, copy.seed)


def _nothing() -> np.ndarray:
    return np.empty((0, 0), np.float32)

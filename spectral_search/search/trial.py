"""One trial in whatever process trains it: epochs one by one, checkpoints on the way, the real error if it fails."""

import time
import traceback
from dataclasses import dataclass

from spectral_search.fit.checkpoint import load_checkpoint, save_checkpoint
from spectral_search.fit.member import EpochRecord, NonFiniteLossError
from spectral_search.fit.trainer import Trainer
from spectral_search.results.durable import append_line
from spectral_search.results.paths import RunPaths
from spectral_search.search.proposals import Params
from spectral_search.search.study import rung_epochs
from spectral_search.spec.run import RunSpec

CHECKPOINT_SHARE = 0.05
"""Largest part of a trial's time that checkpoints between rungs may take."""


@dataclass(frozen=True)
class Step:
    """What an epoch of a trial came to."""

    record: EpochRecord | None
    done: bool
    failure: str | None = None


class TrialRun:
    """A trial on its way, begun anew or from its last checkpoint.

    Args:
        trainer: The data, on the device that trains.
        spec: The search.
        paths: The run's folder.
        number: The trial's number.
        params: Its searched values.
        recorded: Epochs that the study holds already; later ones in the checkpoint are reported again.
    """

    def __init__(
        self, trainer: Trainer, spec: RunSpec, paths: RunPaths, number: int, params: Params, recorded: int
    ) -> None:
        self._trainer = trainer
        self._paths = paths.trial(number).create()
        config = spec.with_params(params)
        self._member = trainer.member(number, config)
        load_checkpoint(self._member, self._paths)
        # What ASHA may stop must leave its best weights behind, so a rung is always followed by a checkpoint.
        self._rungs = rung_epochs(spec.search, config.fit.epochs)
        self._replay = list(self._member.history[recorded:])
        self._saved_at, self._save_seconds = time.monotonic(), 0.0

    def next_epoch(self) -> Step:
        """Train one epoch, or hand out one that was trained before the process died."""
        if self._replay:
            record = self._replay.pop(0)
            return Step(record, done=self._member.finished and not self._replay)
        if self._member.finished:
            return Step(self._member.history[-1], done=True)
        result = self._trainer.run_epoch([self._member])[self._member.number]
        if isinstance(result, NonFiniteLossError):
            return Step(None, done=True, failure=str(result))
        if self._member.finished or self._member.epoch in self._rungs or self._checkpoint_due():
            self.save()
        return Step(result, done=self._member.finished)

    def save(self) -> None:
        """Write a checkpoint."""
        started = time.monotonic()
        save_checkpoint(self._member, self._paths)
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - started

    def _checkpoint_due(self) -> bool:
        return time.monotonic() - self._saved_at >= self._save_seconds / CHECKPOINT_SHARE


def guarded_epoch(run: TrialRun, paths: RunPaths, number: int) -> Step:
    """`next_epoch`, with any error turned into the trial's failure and its traceback kept in the trial's log."""
    try:
        return run.next_epoch()
    except Exception as error:
        return failure(paths, number, error)


def failure(paths: RunPaths, number: int, error: Exception) -> Step:
    """The failed step that stands for an error; its traceback goes to the trial's log."""
    log = paths.trial(number).create().log_txt
    for line in traceback.format_exc().splitlines():
        append_line(log, line)
    reason = str(error).splitlines()[0] if str(error) else "no message"
    return Step(None, done=True, failure=f"{type(error).__name__}: {reason} (see {log.relative_to(paths.folder)})")

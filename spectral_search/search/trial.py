"""One trial in whatever process trains it: epochs one by one, checkpoints on the way, the real error if it fails."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from spectral_search.errors import RequestError
from spectral_search.fit.checkpoint import DamagedCheckpointError, discard_checkpoint, load_checkpoint, save_checkpoint
from spectral_search.fit.member import EpochRecord, NonFiniteLossError
from spectral_search.fit.trainer import Trainer
from spectral_search.results.durable import FULL, append_line
from spectral_search.results.paths import RunPaths, TrialPaths
from spectral_search.search.asha import rung_epochs
from spectral_search.search.proposals import Params
from spectral_search.spec.run import RunSpec

CHECKPOINT_SHARE = 0.05
"""Largest part of a trial's time that checkpoints between rungs may take."""
RETRIES = 3
"""How often a trial that raised, or whose process died, is started again from its checkpoint."""
LASTING = (
    RequestError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    NotImplementedError,
    TypeError,
    ValueError,
)
"""Errors that come again however often a trial is retried; any other (memory, device, disk) may have passed."""


@dataclass(frozen=True)
class Step:
    """What an epoch of a trial came to.

    Attributes:
        record: The epoch; None where there is none.
        done: Whether the trial is over.
        failure: Why it failed, with the path of its log.
        retry: Whether another attempt from the checkpoint may succeed where this one failed.
        full: Why nothing can be written any more: not the trial's fault, and the end of the run for now.
        note: What befell the trial on the way, for the record.
    """

    record: EpochRecord | None = None
    done: bool = True
    failure: str | None = None
    retry: bool = False
    full: str | None = None
    note: str | None = None


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
        self._note = None
        try:
            load_checkpoint(self._member, self._paths)
        except DamagedCheckpointError as error:
            # The same seed gives the same epochs again, so nothing is lost but time.
            discard_checkpoint(self._paths)
            self._member = trainer.member(number, config)
            self._note = f"Trained anew from epoch 1: {error}"
        # What ASHA may stop must leave its best weights behind, so a rung is always followed by a checkpoint.
        self._rungs = rung_epochs(spec.search, config.fit.epochs)
        self._replay = list(self._member.history[recorded:])
        self._saved_at, self._save_seconds = time.monotonic(), 0.0

    def next_epoch(self) -> Step:
        """Train one epoch, or hand out one that was trained before the process died."""
        note, self._note = self._note, None
        if self._replay:
            record = self._replay.pop(0)
            return Step(record, done=self._member.finished and not self._replay, note=note)
        if self._member.finished:
            return Step(self._member.history[-1], note=note)
        result = self._trainer.run_epoch([self._member])[self._member.number]
        if isinstance(result, NonFiniteLossError):
            log = _log(self._paths, str(result))
            return Step(failure=f"{result} (see {log})", note=note)
        if self._member.finished or self._member.epoch in self._rungs or self._checkpoint_due():
            self.save()
        return Step(result, done=self._member.finished, note=note)

    def save(self) -> None:
        """Write a checkpoint."""
        started = time.monotonic()
        save_checkpoint(self._member, self._paths)
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - started

    def _checkpoint_due(self) -> bool:
        return time.monotonic() - self._saved_at >= self._save_seconds / CHECKPOINT_SHARE


class GuardedTrial:
    """A `TrialRun` whose errors, also those of its beginning, become steps that tell of them.

    Args:
        paths: Of the trial.
        begin: Begins it.
    """

    def __init__(self, paths: TrialPaths, begin: Callable[[], TrialRun]) -> None:
        self._paths = paths
        self._run: TrialRun | None = None
        try:
            self._run = begin()
        except Exception as error:
            self._broken = failed_step(self._paths, error)

    def next_epoch(self) -> Step:
        if self._run is None:
            return self._broken
        try:
            return self._run.next_epoch()
        except Exception as error:
            return failed_step(self._paths, error)


def failed_step(paths: TrialPaths, error: Exception) -> Step:
    """The step that stands for an error; its traceback goes to the trial's log."""
    reason = str(error).splitlines()[0] if str(error) else "no message"
    told = f"{type(error).__name__}: {reason}"
    if isinstance(error, OSError) and error.errno in FULL:
        return Step(full=told)
    return Step(failure=f"{told} (see {_log(paths, traceback.format_exc())})", retry=not isinstance(error, LASTING))


def _log(paths: TrialPaths, text: str) -> str:
    """Append to a trial's log; its path within the run's folder."""
    for line in text.splitlines():
        append_line(paths.create().log_txt, line)
    return log_name(paths)


def log_name(paths: TrialPaths) -> str:
    """The path of a trial's log within the run's folder."""
    return "/".join(paths.log_txt.parts[-3:])

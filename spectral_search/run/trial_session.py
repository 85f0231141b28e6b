"""One fit in whatever process trains it: epochs one by one, checkpoints on the way, the real error if it fails."""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from spectral_search.errors import RequestError
from spectral_search.places import FULL
from spectral_search.record.durable import append_line
from spectral_search.record.epoch_log import EpochRecord
from spectral_search.record.paths import RunPaths, TrialPaths
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.strategy.collapse import has_collapsed
from spectral_search.strategy.rule import rule_of
from spectral_search.strategy.space_points import Params
from spectral_search.task.registry import task_of
from spectral_search.train.checkpoint import (
    DamagedCheckpointError,
    discard_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from spectral_search.train.member import NonFiniteLossError
from spectral_search.train.trainer import Trainer

CHECKPOINT_SHARE = 0.05
"""Largest part of a trial's time that checkpoints between rungs may take."""
_LASTING = (
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
        members: Trials that trained in the pass over the data that made the epoch, this one among them; 0 where it is
            told from a checkpoint.
    """

    record: EpochRecord | None = None
    done: bool = True
    failure: str | None = None
    retry: bool = False
    full: str | None = None
    note: str | None = None
    members: int = 0


@dataclass(frozen=True)
class Course:
    """What is trained, and how far: a trial of the search, or a copy of one.

    Attributes:
        number: Of the trial, of which initialisation and dropout follow.
        config: The network and its recipe.
        paths: The folder of its checkpoints and its log.
        epochs: After which it is over, where no patience ends it before.
        pass_seed: Of the order of the examples and their random draws; fit.seed when absent.
        judged: Whether somebody decides, after such a history of epochs, if it goes on.
    """

    number: int
    config: TrialConfig
    paths: TrialPaths
    epochs: int
    pass_seed: int | None = None
    judged: Callable[[Sequence[EpochRecord]], bool] = lambda history: False


def trial_course(spec: RunSpec, paths: RunPaths, number: int, params: Params) -> Course:
    """A trial of a search, which the study judges at its rungs and when it has collapsed."""
    config, metric = spec.with_params(params), task_of(spec.task).objective
    rungs, after = rule_of(spec).rungs(config.fit.epochs), spec.search.collapse_epochs

    def judged(history: Sequence[EpochRecord]) -> bool:
        return len(history) in rungs or has_collapsed(history, config.fit, after, metric)

    return Course(number, config, paths.trial(number), config.fit.epochs, spec.search.pass_seed, judged)


class TrialRun:
    """A trial or a copy on its way, begun anew or from its last checkpoint.

    Args:
        trainer: The data, on the device that trains.
        course: What is trained.
        settled: Epochs that need not be told again; later ones in the checkpoint are. None for all that it holds.
    """

    def __init__(self, trainer: Trainer, course: Course, settled: int | None = None) -> None:
        self._course, self._paths = course, course.paths.create()
        self._note: str | None = None
        self.member = trainer.member(course.number, course.config, course.pass_seed)
        try:
            load_checkpoint(self.member, self._paths)
        except DamagedCheckpointError as error:
            # The same seed gives the same epochs again, so nothing is lost but time.
            discard_checkpoint(self._paths)
            self.member = trainer.member(course.number, course.config, course.pass_seed)
            self.add_note(f"Trained anew from epoch 1: {error}")
        self._told = self.member.epoch if settled is None else settled
        self._replay = list(self.member.history[self._told :])
        self._saved_at, self._save_seconds = time.monotonic(), 0.0

    @property
    def epoch(self) -> int:
        """The epoch that the next step comes after."""
        return int(self._replay[0]["epoch"]) - 1 if self._replay else self.member.epoch

    @property
    def told(self) -> int:
        """The last epoch that was handed out."""
        return self._told

    @property
    def at_rung(self) -> bool:
        """Whether the last epoch that was handed out is one after which the trial may be stopped."""
        return self._judged_after(self._told)

    @property
    def finished(self) -> bool:
        """Whether no epoch is left to be trained."""
        return self.member.epoch >= self._course.epochs or self.member.finished

    def add_note(self, text: str) -> None:
        """Let the next step tell what befell the trial."""
        self._note = text if self._note is None else f"{self._note} {text}"

    def ready(self) -> Step | None:
        """The next step where it needs no training: an epoch trained before the process died, or the trial's end."""
        if self._replay:
            return self._step(self._replay.pop(0))
        return self._step(self.member.history[-1]) if self.finished else None

    def conclude(self, result: EpochRecord | NonFiniteLossError, members: int = 1) -> Step | None:
        """The step of an epoch that was just trained; None where it had been handed out before.

        Args:
            result: What the trainer made of it.
            members: Trials that trained in the same pass, which share the time between two checkpoints too.
        """
        if isinstance(result, NonFiniteLossError):
            return Step(failure=f"{result} (see {_log(self._paths, str(result))})", note=self._taken_note())
        # What may be stopped must leave its best weights behind, so a rung is always followed by a checkpoint.
        if self.finished or self._judged_after(self.member.epoch) or self._checkpoint_due(members):
            self.save()
        return self._step(result, members) if self.member.epoch > self._told or self.finished else None

    def fail(self, error: Exception) -> Step:
        """The step that stands for an error of this trial."""
        return replace(failed_step(self._paths, error), note=self._taken_note())

    def save(self) -> None:
        """Write a checkpoint."""
        started = time.monotonic()
        save_checkpoint(self.member, self._paths)
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - started

    def _judged_after(self, epoch: int) -> bool:
        return self._course.judged(self.member.history[:epoch])

    def _step(self, record: EpochRecord, members: int = 0) -> Step:
        self._told = max(self._told, int(record["epoch"]))
        done = self.finished and not self._replay
        return Step(record, done=done, note=self._taken_note(), members=members)

    def _taken_note(self) -> str | None:
        note, self._note = self._note, None
        return note

    def _checkpoint_due(self, members: int) -> bool:
        # What a save costs is unknown before the first, so the first epoch is always saved. Each member's save holds
        # up the whole pass, hence the factor.
        return time.monotonic() - self._saved_at >= members * self._save_seconds / CHECKPOINT_SHARE


def failed_step(paths: TrialPaths, error: Exception) -> Step:
    """The step that stands for an error; its traceback goes to the trial's log."""
    reason = str(error).splitlines()[0] if str(error) else "no message"
    told = f"{type(error).__name__}: {reason}"
    if isinstance(error, OSError) and error.errno in FULL:
        # Nothing goes to the log, which lies on the disk that is full.
        return Step(full=told)
    return Step(failure=f"{told} (see {_log(paths, traceback.format_exc())})", retry=not isinstance(error, _LASTING))


def _log(paths: TrialPaths, text: str) -> str:
    """Append to a trial's log; its path within the run's folder."""
    for line in text.splitlines():
        append_line(paths.create().log_txt, line)
    return log_name(paths)


def log_name(paths: TrialPaths) -> str:
    """The path of a trial's log within the run's folder."""
    return "/".join(paths.log_txt.parts[-3:])

"""A study that several processes work on together, each training trials of its own.

One at a time looks or writes, under a lock of the run, and sees then what the others wrote; whatever is decided follows
from that. A trial belongs to the process that holds the lock of its file. The system lets go of it when the process
dies, and then the trial is the next one's to go on with.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from optuna.trial import FrozenTrial

from spectral_search.record.epoch_log import EpochRecord, read_epochs
from spectral_search.record.file_lock import lock_of, open_to_lock, take_lock
from spectral_search.record.joiners import no_locks
from spectral_search.record.paths import RunPaths
from spectral_search.record.paused import read_paused
from spectral_search.run.study import Study
from spectral_search.run.taken_up import LiveTrial, known_trial, mended_epochs
from spectral_search.run.under_way import RETRIES
from spectral_search.strategy.history import Trial

_DIED = "it worked on this run together with others, and is gone without a word"


class SharedStudy(Study):
    """See `Study`; any number of processes may hold it so."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._owned: dict[int, int] = {}
        self._logs: dict[int, tuple[tuple[int, int], list[EpochRecord]]] = {}
        self._orphans: set[int] = set()
        self._depth = 0
        super().__init__(*arguments, **options)

    def _take_up(self) -> tuple[list[Trial], list[LiveTrial]]:
        return [], []  # what is there is looked at when something is decided

    @property
    def orphans(self) -> frozenset[int]:
        """Trials that this process took up after another had died over them."""
        return frozenset(self._orphans)

    def others_train(self) -> bool:
        """Whether trials are left that other processes train, whose ends may leave something to do."""
        with self._writing():
            free = {trial.number for trial in self._unfinished} | set(self._held)
            return any(trial.state == "running" and trial.number not in free for trial in self._trials)

    def next_trial(self) -> LiveTrial | None:
        with self._writing():
            self._mourn_first()
            trial = super().next_trial()
            if trial is not None:
                self._own(trial.number)
            return trial

    def _mourn_first(self) -> None:
        """Keep that whoever trained the next trial died over it, which it may do to this process too."""
        while self._unfinished and self.paths.trial(number := self._unfinished[0].number).owner.exists():
            self.mourn(number, _DIED, RETRIES)
            if self._unfinished and self._unfinished[0].number == number:
                return
            self.paths.trial(number).owner.unlink(missing_ok=True)

    def record(self, number: int, record: EpochRecord) -> None:
        """Record an epoch, which is the trial's own affair."""
        # Without the run's lock: a progress file has one writer, whose lock on the trial is enough.
        self._depth += 1
        try:
            super().record(number, record)
        finally:
            self._depth -= 1

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self._depth:
            # A second descriptor of the lock's file would wait for this process's own first one for ever.
            with super()._writing():
                yield
            return
        with locked(self.paths):
            self._depth += 1
            try:
                with super()._writing():
                    self._look()
                    yield
            finally:
                self._depth -= 1
                # Still under the lock: whoever takes up a trial that waits at a rung must not find it owned.
                for number in set(self._owned) - set(self._live):
                    self._disown(number)

    def _look(self) -> None:
        """See what the others have written."""
        self._paused = read_paused(self.paths)
        frozen = self._study.get_trials(deepcopy=False)
        trials, unfinished, held = [], [], {}
        for stored in frozen:
            number = stored.number
            if number in self._live:
                # Nobody else writes of a trial that this process trains, so what it knows of it is up to date.
                trials.append(self._trials[number])
                continue
            epochs = self._epochs_of(stored)
            trial = known_trial(stored, self.spec, [record[self._metric.val_name] for record in epochs])
            trials.append(trial)
            if trial.state != "running":
                continue
            live = LiveTrial(number, dict(trial.params), epochs, trial.passed)
            if trial.held:
                held[number] = live
            elif not self._is_owned(number):
                # Mending replaces the file, which must not happen under an owner that appends to it.
                live.epochs = mended_epochs(stored, self.paths, self._metric.val_name)
                unfinished.append(live)
        self._trials, self._unfinished, self._held = trials, unfinished, held

    def _epochs_of(self, stored: FrozenTrial) -> list[EpochRecord]:
        """The epochs of a trial of another process; read again where its file has changed."""
        path = self.paths.trial(stored.number).progress_jsonl
        try:
            # Before it is read: what is appended in between gives another stamp, and is read next time.
            found = path.stat()
        except FileNotFoundError:
            return []
        stamp = (found.st_mtime_ns, found.st_size)
        if self._logs.get(stored.number, (None, None))[0] != stamp:
            epochs = read_epochs(path, self._metric.val_name, stored.intermediate_values).records
            self._logs[stored.number] = (stamp, epochs)
        return list(self._logs[stored.number][1])

    def _is_owned(self, number: int) -> bool:
        """Whether a living process trains a trial."""
        try:
            descriptor = open_to_lock(self.paths.trial(number).owner, makes=False)
        except FileNotFoundError:
            return False
        try:
            # This holds the lock until it is closed. Nobody sees that, since all look under the run's lock.
            return take_lock(descriptor) == "taken"
        finally:
            os.close(descriptor)

    def _own(self, number: int) -> None:
        """Take a trial; if whoever had it died over it, that is kept."""
        path = self.paths.trial(number).create().owner
        was_left = path.exists()
        self._owned[number] = descriptor = open_to_lock(path)
        take_lock(descriptor)  # which nobody has, since all look under the run's lock
        if was_left:
            self._orphans.add(number)

    def _disown(self, number: int) -> None:
        # Removed before it is let go of: a file that is there and not locked tells of a death.
        self.paths.trial(number).owner.unlink(missing_ok=True)
        os.close(self._owned.pop(number))

    def leave(self) -> None:
        """Give the trials back that this process was training, in good order."""
        for number in list(self._owned):
            self._disown(number)


@contextmanager
def locked(paths: RunPaths) -> Iterator[None]:
    """The time in which this process alone looks at a study, or writes.

    Raises:
        RequestError: The file system has no locks.
    """
    with lock_of(paths.study_lock, waits=True) as state:
        if state == "none":
            raise no_locks(paths)
        yield

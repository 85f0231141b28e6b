"""The live trials of one device as members of shared passes over its data.

The pass, not the trial, is the unit of cost: all trials at the same epoch train on the same noisy batches. A trial that
joins is trained by itself until it has caught up, since those ahead wait: the lowest epoch always goes first. So trials
that began together stay together, and reach every rung together.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

from spectral_search.run.trial_session import Course, Step, TrialRun, failed_step
from spectral_search.run.under_way import RETRIES, UnderWay
from spectral_search.train.admission import NoRoomError
from spectral_search.train.trainer import Trainer


@dataclass(frozen=True)
class Joining:
    """What is to join, anew or again: what `TrialRun` needs, and what befell it before."""

    course: Course
    settled: int | None
    note: str | None = None


class SharedPass:
    """Trials that share a device; errors, also those of a beginning, become steps of the trial they belong to.

    So do the copies of a re-test, which are joined under numbers of their own.

    Args:
        make_trainer: Brings the data to the device; called with the first pass, so that what fails is told.
        most: Trials of one pass at most; any number when absent.
        alone: Trials that are to train an epoch by themselves first: one of them may have been a process's death.
        under_way: Where it is written down which trials train, if anywhere.
        retries: How often a trial that failed with what may have passed is tried again here.
    """

    def __init__(
        self,
        make_trainer: Callable[[], Trainer],
        most: int | None = None,
        alone: Iterable[int] = (),
        under_way: UnderWay | None = None,
        retries: int = RETRIES,
    ) -> None:
        self._make_trainer, self._most, self._under_way, self._retries = make_trainer, most, under_way, retries
        self._courses: dict[int, Course] = {}
        self._joining: dict[int, Joining] = {}
        self._runs: dict[int, TrialRun] = {}
        self._alone = set(alone)
        self._crowded: set[int] = set()
        self._attempts: Counter[int] = Counter()

    @property
    def members(self) -> frozenset[int]:
        """Numbers of the trials that have joined and not left."""
        return frozenset(self._courses)

    @cached_property
    def _trainer(self) -> Trainer:
        return self._make_trainer()

    def join(self, number: int, course: Course, settled: int | None = None) -> None:
        """Let a trial join before the next pass; one that is there stays as it is.

        Args:
            number: What it is called here, and where it stands in a pass.
            course: What is trained.
            settled: Epochs of it that need not be told again; all that its checkpoint holds when absent.
        """
        if number not in self._courses:
            self._courses[number] = course
            self._joining[number] = Joining(course, settled)

    def leave(self, number: int) -> TrialRun | None:
        """Let a trial go; its weights are let go with it. Gives what was trained, if it had begun."""
        self._courses.pop(number, None)
        self._joining.pop(number, None)
        self._alone.discard(number)
        # Whoever found no room may find it now.
        self._crowded.clear()
        return self._runs.pop(number, None)

    def at_rung(self, number: int) -> bool:
        """Whether the trial has just told an epoch after which it may be stopped."""
        return number in self._runs and self._runs[number].at_rung

    def best_value(self, number: int, name: str) -> float | None:
        """What a trial scored at its best epoch so far; None where it has none, or is not here."""
        best = self._runs[number].member.best if number in self._runs else None
        return None if best is None else best[name]

    def advance(self) -> dict[int, Step]:
        """Bring the trials that are furthest behind one epoch on.

        Returns:
            Their steps by number; none where an epoch has to be trained again after an error. Trials whose step says
            that they are done, or that failed, are to leave before the next call.
        """
        steps = self._begin()
        if self._runs:
            epoch = min(run.epoch for run in self._runs.values())
            # By number rather than by arrival, so that a pass is made up the same way after a restart.
            behind = {number: run for number, run in sorted(self._runs.items()) if run.epoch == epoch}
            ready = {number: step for number, run in behind.items() if (step := run.ready()) is not None}
            steps |= ready
            # Trials that reached a rung together before the process died tell of it by themselves: a newer one that is
            # to be judged there later must not be judged with them.
            if not ready:
                for group in self._groups(behind):
                    with self._training(group):
                        steps |= self._trained(group)
        return steps

    def _training(self, numbers: Iterable[int]) -> AbstractContextManager[None]:
        return nullcontext() if self._under_way is None else self._under_way.training(numbers)

    def _begin(self) -> dict[int, Step]:
        """Make the trials that have joined; steps of those that cannot be made."""
        failed = {}
        for number, joining in list(self._joining.items()):
            # Nobody has left since it was refused, so that asking again would most likely be in vain.
            if number in self._crowded and self._runs:
                continue
            try:
                trainer = self._trainer
                # Making a network takes memory, and may be what the kernel kills this process for.
                with self._training([number]):
                    run = TrialRun(trainer, joining.course, joining.settled)
            except NoRoomError as error:
                if self._runs:  # it joins when there is room: its turn comes when others leave
                    self._crowded.add(number)
                    self._joining[number] = replace(joining, note=joining.note or f"Waited for memory: {error}")
                elif (step := self._not_begun(number, joining, error)) is not None:
                    failed[number] = step
            except Exception as error:
                if (step := self._not_begun(number, joining, error)) is not None:
                    failed[number] = step
            else:
                if joining.note is not None:
                    run.add_note(joining.note)
                self._runs[number] = run
                del self._joining[number]
        return failed

    def _not_begun(self, number: int, joining: Joining, error: Exception) -> Step | None:
        """The step of a trial that could not be made, unless it makes another attempt."""
        step = failed_step(joining.course.paths, error)
        return None if self._again(number, joining.settled, step) else step

    def _groups(self, runs: dict[int, TrialRun]) -> list[dict[int, TrialRun]]:
        """Trials that can train on the same batches; one that is to train alone is a group of its own."""

        def key(item: tuple[int, TrialRun]) -> tuple[int, int, int]:
            number, member = item[0], item[1].member
            return member.pass_seed, member.config.fit.batch_size, number if number in self._alone else -1

        groups = [list(group) for _, group in groupby(sorted(runs.items(), key=key), key)]
        size = self._most or max(1, len(runs))
        return [dict(group[start : start + size]) for group in groups for start in range(0, len(group), size)]

    def _trained(self, group: dict[int, TrialRun]) -> dict[int, Step]:
        try:
            results = self._trainer.run_epoch([run.member for run in group.values()])
        except Exception as error:
            return self._recover(group, error)
        steps = {}
        for number, run in group.items():
            # An epoch that the process outlived clears a suspect.
            self._alone.discard(number)
            try:
                step = run.conclude(results[run.member.key], members=len(group))
            except Exception as error:
                step = run.fail(error)
            if step is not None:
                steps[number] = step
        return steps

    def _recover(self, group: dict[int, TrialRun], error: Exception) -> dict[int, Step]:
        """After an error in a pass: go back to the checkpoints, and find out alone whose error it is."""
        if len(group) > 1:
            # No attempt is counted before it is known whose error it is.
            for number, run in group.items():
                self._alone.add(number)
                self._rejoin(number, run.told, None)
            return {}
        ((number, run),) = group.items()
        step = run.fail(error)
        return {} if self._again(number, run.told, step) else {number: step}

    def _again(self, number: int, settled: int | None, step: Step) -> bool:
        """Whether a trial that failed makes another attempt; it is then made ready for it."""
        if not step.retry or step.full is not None or self._attempts[number] >= self._retries:
            return False
        self._attempts[number] += 1
        whence = "from its checkpoint" if settled is None else f"after epoch {settled}"
        self._rejoin(number, settled, f"Tried again {whence}: {step.failure}")
        return True

    def _rejoin(self, number: int, settled: int | None, note: str | None) -> None:
        self._runs.pop(number, None)
        self._joining[number] = Joining(self._courses[number], settled, note)

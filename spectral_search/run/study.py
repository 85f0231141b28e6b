"""The durable record of a search: which trials there are, each epoch of each, and what became of it.

Every epoch is a line of the trial's progress file, which is the record of them. An Optuna study holds the trials, their
states and their final values. A trial is written with its parameters before it is launched, and every epoch before
anything is decided by it. The process may die between any two writes, so each has one meaning by itself, and opening
the study takes up what the dead process had begun:

    params.yaml     then the trial    a folder without a trial is given to the next one
    progress line   then the verdict  a rung without a verdict is told again, and judged then; one that waits waits on
    state           then clean-up     files that a trial no longer needs are removed again

A last line that was cut is no epoch: it is trained again. What is damaged before it is told.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal

import yaml
from optuna.storages import BaseStorage
from optuna.trial import Trial as StoredTrial
from optuna.trial import TrialState, create_trial

from spectral_search.errors import DiskFullError
from spectral_search.record.durable import append_line, read_end, write_atomic
from spectral_search.record.epoch_log import EpochRecord
from spectral_search.record.failure_causes import cause_of, own_file
from spectral_search.record.paths import RunPaths
from spectral_search.record.paused import read_paused, write_paused
from spectral_search.run.study_storage import open_study
from spectral_search.run.taken_up import CAUSE, HELD, PARAMS, PASSED, LiveTrial, clean_up, take_up
from spectral_search.spec.run import RunSpec
from spectral_search.spec.space_part import WHOLE, PausedPart
from spectral_search.strategy.collapse import (
    COLLAPSED,
    has_collapsed,
    learnt,
    likely_cause,
    others_learnt,
    shows_nothing,
    verdict,
)
from spectral_search.strategy.history import History, Trial
from spectral_search.strategy.new_point import NewPoints
from spectral_search.strategy.pause import pause_of
from spectral_search.strategy.rule import Decision, rule_of
from spectral_search.strategy.space_points import Params, fixed_keys, planned_trials, searched_domains
from spectral_search.strategy.stored_choices import StoredSpace
from spectral_search.task.metric import Metric
from spectral_search.task.registry import task_of

if TYPE_CHECKING:
    from spectral_search.run.trial_session import Step  # which brings torch

__all__ = ["LiveTrial", "Study"]

Outcome = Literal["complete", "stopped", "failed"]
_STATES = {"complete": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
NOTES, ERROR = "notes", "error"
"""User attributes of a trial: what befell it, why it failed."""
DEATHS = "deaths"
"""Likewise: the last epoch before a process died of which this trial was the last work, and how often it has by now."""


class Study:
    """Asks, records and ends trials. One process at a time may hold it.

    Args:
        spec: The search.
        paths: The run's folder.
        storage: Where the study lies.
        name: Its name there.
        listener: Told of every change: ("started" | "epoch" | "waiting" at a rung or for a process | a trial's
            outcome, trial).
        objectives: Whose values at its best epoch a complete trial is recorded with; the first is what trials are
            compared by. The task's objective when absent.

    Raises:
        RequestError: The log of a trial is damaged.
    """

    def __init__(
        self,
        spec: RunSpec,
        paths: RunPaths,
        storage: BaseStorage,
        name: str,
        listener: Callable[[str, LiveTrial], None] = lambda event, trial: None,
        objectives: Sequence[Metric] | None = None,
    ) -> None:
        self.spec, self.paths = spec, paths
        self._guard = RLock()
        self.listener = listener
        self._objectives = objectives or (task_of(spec.task).objective,)
        self._metric = self._objectives[0]
        self._storage, self._study = storage, open_study(storage, name, self._objectives)
        self._points, self._rule = NewPoints(spec, self._metric), rule_of(spec, self._metric)
        self._pause, self._paused = pause_of(spec.search, fixed_keys(spec)), read_paused(paths)
        self._stuck = list[PausedPart]()
        self.on_pause: Callable[[PausedPart], None] = lambda paused: None
        """Told of every part of the space that gets no more trials from now on."""
        self._stored_space = StoredSpace(searched_domains(spec), self._study.get_trials(deepcopy=False))
        self.planned = planned_trials(spec)
        """Trials of the search in all."""
        self._trials, unfinished = self._take_up()
        self._held = {trial.number: trial for trial in unfinished if self._trials[trial.number].held}
        self._unfinished = [trial for trial in unfinished if trial.number not in self._held]
        self._live: dict[int, tuple[LiveTrial, StoredTrial]] = {}
        self._ids: dict[int, int] = {}
        self._all_proposed = False
        self._halted: BaseException | None = None

    @contextmanager
    def still(self) -> Iterator[None]:
        """Let nothing of the record change while the block runs, for another thread that looks at its files."""
        with self._guard:
            yield

    def _take_up(self) -> tuple[list[Trial], list[LiveTrial]]:
        return take_up(self._study, self.paths, self.spec, self._metric.val_name)

    @property
    def history(self) -> History:
        """All trials so far."""
        paused = (*self._paused, *self._stuck)
        return History(tuple(self._trials), self.planned, more=not self._all_proposed, paused=paused)

    @property
    def paused(self) -> list[PausedPart]:
        """Parts of the space that get no more trials; the whole of it as long as nothing trains anywhere."""
        return [*self._paused, *self._stuck]

    @property
    def stuck(self) -> PausedPart | None:
        """Why nothing more is tried at all, although trials are left: all failed of this."""
        return self._stuck[0] if self._stuck and len(self._trials) < self.planned else None

    @property
    def waiting(self) -> int:
        """Trials that `next_trial` has yet to hand out; fewer if the space holds fewer points."""
        return len(self._unfinished) + (0 if self._all_proposed else max(0, self.planned - len(self._trials)))

    @property
    def over(self) -> bool:
        """Whether no trial is left to be trained."""
        return self.exhausted and not self._live and self._proposed() is None

    @property
    def training(self) -> bool:
        """Whether trials are handed out that are neither over nor waiting."""
        return bool(self._live)

    @property
    def exhausted(self) -> bool:
        """Whether no trial will be handed out any more, once `next_trial` has given None."""
        # Where all that ended failed, one that is still on its way may show that trials can be trained after all.
        may_be_held = (self._rule.waits or bool(self._stuck)) and bool(self._live)
        return not self._unfinished and not self._held and not may_be_held

    def halt(self, reason: BaseException) -> None:
        """Record nothing from now on: whoever tries is given the reason instead. The first reason stays."""
        self._halted = self._halted or reason

    @property
    def halted(self) -> bool:
        """Whether nothing is recorded any more."""
        return self._halted is not None

    def check(self) -> None:
        """Raise the reason if the search was halted, also where somebody in between had swallowed it."""
        if self._halted is not None:
            raise self._halted

    def next_trial(self) -> LiveTrial | None:
        """An unfinished trial to go on with, else one that may go on from its rung by now, else a new one.

        None when there is none, or none as long as others train: see `exhausted`.
        """
        with self._writing():
            if not self._unfinished:
                self._release()
            trial = self._unfinished.pop(0) if self._unfinished else self._new_trial()
            if trial is None:
                # That nothing more will be proposed may itself decide what becomes of trials that wait at a rung.
                self._release()
                trial = self._unfinished.pop(0) if self._unfinished else None
            if trial is not None:
                self._live[trial.number] = (trial, self._handle(trial.number))
                self.listener("started", trial)
            return trial

    def _proposed(self) -> Params | None:
        # Being stuck made `_all_proposed` true without the space being empty: once that is over it is asked again.
        was_stuck = bool(self._stuck)
        self._look_for_pauses()
        exhausted = len(self._trials) >= self.planned or (self._all_proposed and not was_stuck)
        params = None if exhausted or self._stuck else self._points.propose(self.history)
        self._all_proposed = params is None
        return params

    def _look_for_pauses(self) -> None:
        found = self._pause.parts(self.history) if any(trial.cause for trial in self._trials) else ()
        # Unlike other pauses this one is not written down: a trial that is still on its way may show that some train.
        self._stuck = [paused for paused in found if paused.part == WHOLE]
        for paused in found:
            if paused.part != WHOLE and paused.part not in [known.part for known in self._paused]:
                write_paused(self.paths, paused)
                self._paused.append(paused)
                self.on_pause(paused)

    def _new_trial(self) -> LiveTrial | None:
        params = self._proposed()
        if params is None:
            return None
        trial = LiveTrial(len(self._trials), params)
        self._record_new(trial)
        return trial

    def _release(self) -> None:
        """Let trials that wait at a rung go on or end, as the rule has it, until one may go on or nothing changes.

        All follows from the history, so that a process that died in between is followed by one that decides the same.
        """
        while self._held and not self._unfinished and (decisions := self._rule.release(self.history)):
            for number, decision in decisions.items():
                trial, handle = self._held.pop(number), self._handle(number)
                if decision == "go_on":
                    self._pass(trial, handle)
                    self._unfinished.append(trial)
                else:
                    self._end(trial, handle, "stopped")
                    self.listener("stopped", trial)

    def take(self, number: int, step: "Step") -> bool:
        """Record what a trial came to, and what follows from it: whether it leaves training.

        Raises:
            DiskFullError: The process that trains could not write.
        """
        if step.full is not None:
            # Halted before it is raised: Ray Tune may swallow what a callback raises.
            self.halt(DiskFullError(step.full))
            self.check()
        # Before the epoch, which may end the trial: Optuna takes no attributes of one that is over.
        if step.note is not None:
            self.note(number, step.note)
        if step.record is not None and self.report(number, step.record):
            self.stop(number)
            return True
        if step.done:
            self.finish(number, "failed" if step.failure else "complete", step.failure)
        return step.done

    def report(self, number: int, record: EpochRecord) -> bool:
        """Record an epoch of one trial and judge it: whether the trial must stop.

        Where later epochs are recorded already, the trial is judged when it tells of the last of them itself.
        """
        self.record(number, record)
        if number in self._live and record["epoch"] < self._live[number][0].last_epoch:
            return False
        return self.judge(number)

    def record(self, number: int, record: EpochRecord) -> None:
        """Record an epoch. One that is recorded already, or of a trial that is over, changes nothing."""
        with self._writing():
            if number not in self._live:
                return
            trial, _ = self._live[number]
            # A trial taken up tells its last epoch again, and one that came with a mate is told by its own trial later.
            if record["epoch"] <= trial.last_epoch:
                return
            # Values are looked up by their place in the list: a gap would put every later one at the wrong epoch.
            if record["epoch"] != trial.last_epoch + 1:
                raise ValueError(f"trial {number} reports epoch {record['epoch']} after epoch {trial.last_epoch}")
            # When it was recorded tells later how good the search was at any time; nothing is computed from it.
            record = {**record, "at_unix_seconds": round(time.time(), 2)}
            append_line(self.paths.trial(number).progress_jsonl, record)
            trial.epochs.append(record)
            values = self._trials[number].values
            value = record[self._metric.val_name]
            # What is not finite is null in the log, and is to be the same here as for a process that reads it.
            self._change(number, values=(*values, value if math.isfinite(value) else math.nan))
            self.listener("epoch", trial)

    def judge(self, number: int) -> bool:
        """Whether a trial must stop after its last epoch, judged against all that have reported that epoch so far.

        Trials that reach a rung together are all recorded before the first of them is judged.
        """
        with self._writing():
            if number not in self._live:  # told again of a trial that is over
                return True
            trial, handle = self._live[number]
            decision = self._decision(trial)
            if decision == "go_on" and self._is_at_rung(trial):
                self._pass(trial, handle)
            return decision != "go_on"

    def note(self, number: int, text: str) -> None:
        """Keep what befell a trial, in the study and in the trial's log."""
        with self._writing():
            if self._trials[number].state == "running":
                append_line(self.paths.trial(number).create().log_txt, text)
                handle = self._handle(number)
                handle.set_user_attr(NOTES, [*handle.user_attrs.get(NOTES, []), text])

    def mourn(self, number: int, about: str, most: int) -> str | None:
        """Record that a process of an earlier session died while it trained a trial that is to go on.

        Args:
            number: The trial.
            about: What is known of it.
            most: Deaths without an epoch between them after which the trial goes on; after one more it has failed.

        Returns:
            What became of it, a sentence; None where it was over already.
        """
        with self._writing():
            trial = next((trial for trial in self._unfinished if trial.number == number), None)
            if trial is None:
                return None
            handle = self._handle(number)
            epoch, count = handle.user_attrs.get(DEATHS, (0, 0))
            count = count + 1 if epoch == trial.last_epoch else 1
            handle.set_user_attr(DEATHS, [trial.last_epoch, count])
            told = f"The process that trained trial {number} died in its epoch {trial.last_epoch + 1}: {about}"
            self.note(number, told)
            if count <= most:
                return f"{told} It is tried again."
            self._unfinished.remove(trial)
            log = "/".join(self.paths.trial(number).log_txt.parts[-3:])
            reason = f"Its process died {count} times in epoch {epoch + 1} (see {log}); {about}"
            self._end(trial, handle, "failed", reason)
            self.listener("failed", trial)
            return f"{told} That was {count} times in a row, so the trial has failed."

    def stop(self, number: int) -> None:
        """Take a trial that must stop from training: for good, or until it may go on from the rung where it waits."""
        if number not in self._live or self._decision(self._live[number][0]) != "wait":
            self.finish(number, "stopped")
            return
        with self._writing():
            trial, handle = self._live.pop(number)
            handle.set_user_attr(HELD, trial.last_epoch)
            self._change(number, held=trial.last_epoch)
            self._held[number] = trial
            self.listener("waiting", trial)

    def hand_back(self, number: int) -> None:
        """Take a trial from training that nobody trains any more: `next_trial` hands it out again."""
        with self._writing():
            if number in self._live:
                trial, _ = self._live.pop(number)
                self._unfinished.append(trial)
                self.listener("waiting", trial)

    def finish(self, number: int, outcome: Outcome, error: str | None = None) -> None:
        """End a trial: complete with the value of its best epoch, stopped at its last, or failed with the reason."""
        with self._writing():
            if number not in self._live:
                return
            trial, handle = self._live.pop(number)
            self._end(trial, handle, outcome, error)
            self.listener(outcome, trial)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A failed write halts the search: what comes after it would leave a gap in the record."""
        self.check()
        with self._guard:
            try:
                yield
            except BaseException as error:
                self.halt(error)
                raise

    def _handle(self, number: int) -> StoredTrial:
        if number not in self._ids:
            study_id = self._storage.get_study_id_from_name(self._study.study_name)
            self._ids[number] = self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
        return StoredTrial(self._study, self._ids[number])

    def _change(self, number: int, **changes: Any) -> None:
        """Bring the history in line with what was just written."""
        self._trials[number] = replace(self._trials[number], **changes)

    def _decision(self, trial: LiveTrial) -> Decision:
        """What becomes of a trial after its last epoch."""
        if self._has_collapsed(trial):
            return "stop"
        return self._rule.decide(self.history, self._trials[trial.number]) if self._is_at_rung(trial) else "go_on"

    def _is_at_rung(self, trial: LiveTrial) -> bool:
        """Whether it is to be judged there, and has not been yet."""
        rungs = self._rule.rungs(self._trials[trial.number].epochs)
        return trial.passed < trial.last_epoch and trial.last_epoch in rungs

    def _has_collapsed(self, trial: LiveTrial) -> bool:
        fit = self.spec.with_params(trial.params).fit
        return has_collapsed(trial.epochs, fit, self.spec.search.collapse_epochs, self._metric)

    def _why_collapsed(self, trial: LiveTrial) -> str | None:
        """What is told of a trial that ends without having learnt anything; None where it has, or nobody can say."""
        if not shows_nothing(trial.epochs, self._metric):
            return None
        config = self.spec.with_params(trial.params)
        others = [other for other in self._trials if other.number != trial.number]
        values = [other.values for other in others]
        if not (self._has_collapsed(trial) or others_learnt(trial.epochs, config.fit, values, self._metric)):
            return None
        trained = [other for other in others if learnt(other.values, self._metric)]
        configs = [self.spec.with_params(other.params) for other in trained]
        return verdict(trial.epochs, likely_cause(config, configs), self._metric)

    def _keep_collapsed(self, trial: LiveTrial, handle: StoredTrial) -> None:
        """Write down that a trial collapsed, in its log too, before its end is."""
        trial.collapsed = self._why_collapsed(trial)
        if trial.collapsed is not None:
            append_line(self.paths.trial(trial.number).create().log_txt, f"Collapsed: {trial.collapsed}")
            handle.set_user_attr(COLLAPSED, trial.collapsed)
            self._change(trial.number, collapsed=True)

    def _pass(self, trial: LiveTrial, handle: StoredTrial) -> None:
        handle.set_user_attr(PASSED, trial.last_epoch)
        trial.passed = trial.last_epoch
        self._change(trial.number, passed=trial.last_epoch, held=0)

    def _end(self, trial: LiveTrial, handle: StoredTrial, outcome: Outcome, error: str | None = None) -> None:
        final = self._final_values(trial)
        # Optuna would count an infinite value as a result, and its `tell` raises on NaN.
        if outcome == "complete" and not math.isfinite(final[0]):
            outcome, error = "failed", error or f"The trial ended without a finite val {self._metric.label}."
        if error is not None:
            trial.error = error
            handle.set_user_attr(ERROR, error)
        if outcome != "failed":
            self._keep_collapsed(trial, handle)
        cause = ""
        if outcome == "failed":
            log = read_end(self.paths.trial(trial.number).log_txt)
            cause = cause_of(error or "", log, own_file(self.spec.task))
            handle.set_user_attr(CAUSE, cause)
        # After all attributes, which Optuna refuses for a trial that is over; one without its state is taken up again.
        self._study.tell(handle, final if outcome == "complete" else None, _STATES[outcome])
        self._change(trial.number, state=outcome, held=0, cause=cause)
        # Never before the state: a trial that is to go on after a death needs these files.
        clean_up(self.paths, trial.number, outcome)

    def _final_values(self, trial: LiveTrial) -> list[float]:
        """Each objective at the epoch at which the first was best."""
        best = self._metric.best(self._trials[trial.number].values)
        at_best = next((record for record in trial.epochs if record[self._metric.val_name] == best), {})
        return [best, *(at_best.get(other.val_name, math.nan) for other in self._objectives[1:])]

    def _record_new(self, trial: LiveTrial) -> None:
        params, distributions = self._stored_space.frozen(trial.params)
        folder = self.paths.trial(trial.number).create()
        write_atomic(folder.params_yaml, yaml.safe_dump(trial.params, sort_keys=False))
        # Optuna numbers trials in the order in which they are added, so this one gets the number of its folder.
        self._study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=params,
                distributions=distributions,
                user_attrs={PARAMS: trial.params},
            )
        )
        self._trials.append(Trial(trial.number, trial.params, trial.params.get("fit.epochs", self.spec.fit.epochs)))

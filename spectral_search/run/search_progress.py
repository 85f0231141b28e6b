"""What the study tells while it runs, gathered into snapshots for the live view."""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence

from spectral_search.record.live_view import BestSoFar, Event, LiveTrial, LiveView, SearchView
from spectral_search.run.retest_outlook import Afterwards
from spectral_search.run.study import LiveTrial as StudyTrial
from spectral_search.run.study import Study
from spectral_search.spec.run import RunSpec
from spectral_search.spec.space_part import PausedPart
from spectral_search.strategy.epochs_planned import Reached, planned_epochs
from spectral_search.strategy.history import Trial
from spectral_search.strategy.rule import rule_of
from spectral_search.task.registry import task_of


class Progress:
    """A listener of the study that keeps a live view up to date.

    Args:
        spec: The search.
        name: The run's name.
        study: The study; what it holds from an earlier process counts as done.
        view: Where snapshots go.
        afterwards: What comes after the last trial; nothing is counted in for it when absent.
        clock: Seconds of a clock that only goes forward.
    """

    def __init__(
        self,
        spec: RunSpec,
        name: str,
        study: Study,
        view: LiveView,
        afterwards: Afterwards | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec, self._name, self._study, self._afterwards = spec, name, study, afterwards
        self._view, self._clock, self._started_s = view, clock, clock()
        self._task, self._rule = task_of(spec.task), rule_of(spec)
        self._metric = self._task.objective
        self._live: dict[int, LiveTrial] = {}
        self._ends: dict[int, tuple[float, int]] = {}
        self._best: BestSoFar | None = None
        self._session_epochs = 0
        self._events: list[Event] = []
        self._rates: dict[int, float] = {}
        self._training_s: float | None = None
        for trial in study.history.trials:
            self._take_earlier(trial)

    def _take_earlier(self, trial: Trial) -> None:
        best = self._metric.best(trial.values)
        if math.isfinite(best) and trial.state != "failed":
            epoch = trial.values.index(best) + 1
            if trial.state == "complete":
                self._ends[trial.number] = self._metric.gain(best), epoch
            if self._best is None or self._metric.better(best, self._best.value):
                self._best = BestSoFar(trial.number, epoch, best, dict(trial.params))

    def __call__(self, event: str, trial: StudyTrial) -> None:
        """Take in one change of the study."""
        last = trial.epochs[-1] if trial.epochs else None
        name = self._metric.val_name
        best = self._metric.best(record[name] for record in trial.epochs)
        value = best if math.isfinite(best) else None
        if event in ("started", "epoch"):
            self._live[trial.number] = LiveTrial(
                trial.number, trial.last_epoch, None if last is None else last[name], value, params=trial.params
            )
        if event == "epoch" and last is not None:
            self._session_epochs += 1
            self._rates[trial.number] = last.get(f"{self._task.examples}_per_second") or 0.0
            if self._training_s is None:
                # Starting processes is no part of what an epoch costs, and would spoil every estimate made from it.
                # An epoch told again from a checkpoint brings the seconds of an earlier session, hence the bound.
                self._training_s = max(self._started_s, self._clock() - (last.get("seconds") or 0.0))
            if self._best is None or self._metric.better(last[name], self._best.value):
                self._best = BestSoFar(trial.number, last["epoch"], last[name], trial.params)
                self._events.append(Event("best", trial.number, None, last["epoch"], last[name], "", trial.params))
        elif event == "waiting":
            self._live.pop(trial.number, None)
        elif event != "started":
            self._live.pop(trial.number, None)
            if event == "complete" and trial.epochs:
                epoch = next(record["epoch"] for record in trial.epochs if record[name] == best)
                self._ends[trial.number] = self._metric.gain(best), epoch
            told = "collapsed" if trial.collapsed is not None else event
            why = trial.error or trial.collapsed or ""
            self._events.append(Event("finished", trial.number, told, trial.last_epoch, value, why))
        self._view.update(self.snapshot())

    def pause(self, paused: PausedPart) -> None:
        """Tell that a part of the space gets no more trials."""
        self._events.append(Event("note", text=paused.told))
        self._view.update(self.snapshot())

    def snapshot(self) -> SearchView:
        """The search as it is now."""
        now, trials, planned = self._clock(), self._study.history.trials, self._study.planned
        counts = Counter[str](trial.state for trial in trials if trial.state != "running")
        done, in_all = sum(len(trial.values) for trial in trials), self._planned_epochs(trials)
        epoch_s = self._epoch_s(now)
        retest_s = None if epoch_s is None else self._retest_epochs(in_all) * epoch_s
        return SearchView(
            name=self._name,
            task=self._task,
            planned=planned,
            counts={
                **counts,
                "running": len(self._live),
                "waiting": max(0, planned - len(self._live) - counts.total()),
            },
            collapsed=sum(trial.collapsed for trial in trials),
            best=self._best,
            epochs_done=done,
            epochs_planned=in_all,
            examples_per_second=self._rate(),
            elapsed_s=now - self._started_s,
            eta_s=None if epoch_s is None else (max(0, in_all - done) * epoch_s + (retest_s or 0.0)) or None,
            retest_s=retest_s or None,
            live=tuple(self._live.values()),
            events=tuple(self._events),
        )

    def _epoch_s(self, now: float) -> float | None:
        """Seconds in which all trials together take one epoch."""
        # Those of earlier sessions took none of this one's time.
        done = self._session_epochs
        return (now - self._training_s) / done if self._training_s is not None and done else None

    def _retest_epochs(self, planned_epochs: int) -> float:
        """What comes after the last trial, in epochs; finalists that are not known yet may be best at their last."""
        if self._afterwards is None:
            return 0.0
        finalists, longest = min(self._spec.search.finalists, self._study.planned), self._spec.fit.epochs
        best = [epoch for _, epoch in sorted(self._ends.values(), reverse=True)[:finalists]]
        return self._afterwards.equivalent_epochs([*best, *[longest] * (finalists - len(best))], planned_epochs)

    def _planned_epochs(self, trials: Sequence[Trial]) -> int:
        reached = [
            Reached(len(trial.values), trial.epochs, "waiting" if trial.held else trial.state) for trial in trials
        ]
        return planned_epochs(reached, self._study.planned, self._rule, self._spec.fit.epochs)

    def _rate(self) -> float | None:
        """What the trials that train now reached together in their last epochs."""
        return sum(self._rates[number] for number in self._live if number in self._rates) or None

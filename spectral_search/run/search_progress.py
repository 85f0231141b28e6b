"""What the study tells while it runs, gathered into snapshots for the live view."""

import math
import time
from collections import Counter
from collections.abc import Callable

from spectral_search.record.live_view import BestSoFar, Event, LiveTrial, LiveView, SearchView
from spectral_search.run.retest_outlook import Afterwards
from spectral_search.run.study import LiveTrial as StudyTrial
from spectral_search.run.study import Study
from spectral_search.spec.run import RunSpec
from spectral_search.spec.space_part import PausedPart
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
        self._spec, self._name, self._planned, self._afterwards = spec, name, study.planned, afterwards
        self._view, self._clock, self._started_s = view, clock, clock()
        self._task, self._rule = task_of(spec.task), rule_of(spec)
        self._metric = self._task.objective
        self._live: dict[int, LiveTrial] = {}
        self._ends: dict[int, tuple[float, int]] = {}
        self._counts: Counter[str] = Counter()
        self._best: BestSoFar | None = None
        self._epochs = self._collapsed = 0
        self._ended_epochs = 0
        self._spared = 0
        self._events: list[Event] = []
        self._rates: dict[int, float] = {}
        self._training_s: float | None = None
        for trial in study.history.trials:
            self._take_earlier(trial)
        # Kept apart, since they took none of this session's time.
        self._earlier_epochs = self._epochs

    def _take_earlier(self, trial: Trial) -> None:
        values = trial.values
        self._epochs += len(values)
        if trial.state != "running":
            self._counts[trial.state] += 1
            self._collapsed += trial.collapsed
            self._ended_epochs += len(values)
            self._spared += self._spared_by(trial.state, len(values))
        best = self._metric.best(values)
        if math.isfinite(best) and trial.state != "failed":
            epoch = values.index(best) + 1
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
            self._epochs += 1
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
            self._counts[event] += 1
            self._ended_epochs += trial.last_epoch
            self._spared += self._spared_by(event, trial.last_epoch)
            if event == "complete" and trial.epochs:
                epoch = next(record["epoch"] for record in trial.epochs if record[name] == best)
                self._ends[trial.number] = self._metric.gain(best), epoch
            self._collapsed += trial.collapsed is not None
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
        now = self._clock()
        planned_epochs = self._planned_epochs()
        left = max(0, planned_epochs - self._epochs)
        epoch_s = self._epoch_s(now)
        retest_s = None if epoch_s is None else self._retest_epochs(planned_epochs) * epoch_s
        return SearchView(
            name=self._name,
            task=self._task,
            planned=self._planned,
            counts={**self._counts, "running": len(self._live), "waiting": self._waiting()},
            collapsed=self._collapsed,
            best=self._best,
            epochs_done=self._epochs,
            epochs_planned=planned_epochs,
            examples_per_second=self._rate(),
            elapsed_s=now - self._started_s,
            eta_s=None if epoch_s is None else (left * epoch_s + (retest_s or 0.0)) or None,
            retest_s=retest_s or None,
            live=tuple(self._live.values()),
            events=tuple(self._events),
        )

    def _epoch_s(self, now: float) -> float | None:
        """Seconds in which all trials together take one epoch."""
        done = self._epochs - self._earlier_epochs
        return (now - self._training_s) / done if self._training_s is not None and done else None

    def _retest_epochs(self, planned_epochs: int) -> float:
        """What comes after the last trial, in epochs; finalists that are not known yet may be best at their last."""
        if self._afterwards is None:
            return 0.0
        finalists, longest = min(self._spec.search.finalists, self._planned), self._spec.fit.epochs
        best = [epoch for _, epoch in sorted(self._ends.values(), reverse=True)[:finalists]]
        return self._afterwards.equivalent_epochs([*best, *[longest] * (finalists - len(best))], planned_epochs)

    def _waiting(self) -> int:
        return max(0, self._planned - len(self._live) - sum(self._counts.values()))

    def _planned_epochs(self) -> int:
        """Epochs done plus what the rest will take; where trials wait at rungs about known beforehand.

        Trials to come are taken to end as early on average as those that are over; a live trial that has outlived that
        average is taken to go on to its last epoch.
        """
        over, longest = sum(self._counts.values()), self._spec.fit.epochs
        if self._rule.waits:
            planned = self._rule.planned_epochs(self._planned, longest) - self._spared
            return max(self._epochs, planned) if self._live or self._waiting() else self._epochs
        mean = self._ended_epochs / over if over else longest
        live = sum((mean if trial.epoch < mean else longest) - trial.epoch for trial in self._live.values())
        return self._epochs + round(self._waiting() * mean + live)

    def _spared_by(self, outcome: str, epoch: int) -> int:
        """Epochs that were planned for a trial and that it did not take, having ended before the next rung."""
        rungs = [] if outcome == "complete" else self._rule.rungs(self._spec.fit.epochs)
        return min((end for end in [*rungs, self._spec.fit.epochs] if end >= epoch), default=epoch) - epoch

    def _rate(self) -> float | None:
        """What the trials that train now reached together in their last epochs."""
        return sum(self._rates[number] for number in self._live if number in self._rates) or None

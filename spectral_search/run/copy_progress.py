"""The training of finalists with other seeds, shown in the live view of their search."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from spectral_search.record.live_view import Event, LiveTrial, LiveView, SearchView
from spectral_search.run.retrain_copies import Copy


class CopyProgress:
    """Shows the training of copies in the live view of their search.

    Args:
        name: The run's name.
        view: Where snapshots go.
        search: The search as it ended.
        clock: Seconds of a clock that only goes forward.
    """

    def __init__(
        self,
        name: str,
        view: LiveView,
        search: Callable[[], SearchView],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._view, self._search, self._clock = name, view, search, clock
        self._events: list[Event] = []

    def begin(self, copies: Sequence[Copy]) -> None:
        """So many copies will be trained."""
        self._over, self._started_s = self._search(), self._clock()
        self._left = {(copy.trial, copy.seed): copy.epochs for copy in copies}
        self._planned, self._epochs, self._ended = sum(self._left.values()), 0, 0
        self._total, self._live = len(copies), dict[tuple[int, int], LiveTrial]()
        finalists = ", ".join(f"{n}x trial {trial}" for trial, n in Counter(copy.trial for copy in copies).items())
        self._events = [
            Event("note", text=f"Re-test with other seeds: training {finalists} anew, {self._planned} epochs."),
        ]
        self._show()

    def epoch(self, copy: Copy, record: dict[str, float]) -> None:
        """A copy has finished an epoch."""
        objective = self._over.task.objective
        key, value = (copy.trial, copy.seed), record[objective.val_name]
        earlier = self._live[key].best_value if key in self._live else None
        best = value if earlier is None else max(earlier, value, key=objective.gain)
        params = {"fit.seed": copy.seed, **copy.params}
        self._live[key] = LiveTrial(copy.trial, int(record["epoch"]), value, best, params=params)
        self._epochs += 1
        self._show()

    def ended(self, copy: Copy, text: str) -> None:
        """A copy is done, or has failed."""
        self._live.pop((copy.trial, copy.seed), None)
        self._ended += 1
        self._events.append(Event("note", text=f"trial {copy.trial} with seed {copy.seed}: {text}"))
        self._show()

    def end(self) -> None:
        """All that comes after the search is done, also where there was nothing to train: it has the screen again."""
        over = self._search()
        self._view.update(replace(over, eta_s=None, retest_s=None, events=(*over.events, *self._events)))

    def _show(self) -> None:
        elapsed = self._clock() - self._started_s
        left = max(0, self._planned - self._epochs)
        view = SearchView(
            name=f"{self._name}, re-test with other seeds",
            task=self._over.task,
            planned=self._total,
            counts={"complete": self._ended, "running": len(self._live)},
            best=self._over.best,
            epochs_done=self._epochs,
            epochs_planned=self._planned,
            elapsed_s=elapsed,
            eta_s=elapsed / self._epochs * left if self._epochs else None,
            live=tuple(self._live.values()),
            events=(*self._over.events, *self._events),
        )
        self._view.update(view)

"""Assigns the trials of a search to its shared passes and tells each pass how many to wait for."""

from collections.abc import Sequence
from typing import Any

from ray.actor import ActorHandle

from spectral_search.search.study import LiveTrial, Study


class Desk:
    """Trials and the passes they train in.

    Args:
        passes: Actors of `PassServer`.
        study: Knows how many trials are still to come.
        concurrent: Most trials at a time, over all passes.
    """

    def __init__(self, passes: Sequence[ActorHandle[Any]], study: Study, concurrent: int) -> None:
        self._passes, self._study, self._concurrent = passes, study, concurrent
        self._home: dict[int, int] = {}

    def seat(self, trial: LiveTrial) -> dict[str, Any]:
        """Give a trial a place in the emptiest pass; it trains there from now on, before its own process is up."""
        home = min(range(len(self._passes)), key=self._counts().__getitem__)
        self._home[trial.number] = home
        expected = self._expected()[home]
        self._passes[home].join.remote(trial.number, trial.params, trial.settled, expected)
        return {"home": home}

    def hear(self, event: str, trial: LiveTrial) -> None:
        """Take a trial that is over from its pass."""
        if event in ("started", "epoch") or trial.number not in self._home:
            return
        home = self._home.pop(trial.number)
        expected = self._expected()
        self._passes[home].leave.remote(trial.number, expected[home])
        for other, server in enumerate(self._passes):
            if other != home:
                server.expect.remote(expected[other])

    def _counts(self) -> list[int]:
        homes = list(self._home.values())
        return [homes.count(home) for home in range(len(self._passes))]

    def _expected(self) -> list[int]:
        """Trials of each pass once those that are to come have taken the free places."""
        counts = self._counts()
        for _ in range(min(self._concurrent - len(self._home), self._study.waiting)):
            counts[counts.index(min(counts))] += 1
        return counts

"""Assigns the trials of a search to its shared passes and tells each pass how many to wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import ActorDiedError

from spectral_search.run.pass_speeds import PassSpeeds, next_place
from spectral_search.run.pass_trial import answers
from spectral_search.run.study import LiveTrial, Study

if TYPE_CHECKING:
    from spectral_search.run.pass_server import Stored
    from spectral_search.run.trial_session import Step

_ANSWER_SECONDS = 2.0
"""How long the driver waits for a pass to show that it is there."""


class Desk:
    """Trials and the passes they train in.

    Args:
        passes: Actors of `PassServer`.
        stored: What they train on.
        study: Knows how many trials are still to come.
        concurrent: Most trials at a time, over all passes.
    """

    def __init__(self, passes: Sequence[ActorHandle[Any]], stored: Stored, study: Study, concurrent: int) -> None:
        self._passes, self._stored, self._study, self._concurrent = passes, stored, study, concurrent
        self._home: dict[int, int] = {}
        self._speeds = PassSpeeds(len(passes))
        self._up: list[Any] = [server.__ray_ready__.remote() for server in passes]

    def seat(self, trial: LiveTrial) -> dict[str, Any]:
        """Give a trial a place in a pass; it trains there from now on, before its own process is up.

        It is the emptiest, or where devices differ in speed that in which it waits least for the others.
        """
        there, counts = self._there(), self._counts()
        speeds = self._speeds.speeds(counts)
        home = there[next_place([counts[place] for place in there], [speeds[place] for place in there])]
        # Entered first, since the trial counts among those that its pass is to wait for.
        self._home[trial.number] = home
        expected = self._expected()[home]
        self._passes[home].join.remote(self._stored, trial.number, trial.params, trial.settled, expected)
        return {"home": home}

    def note(self, number: int, place: int, step: Step) -> None:
        """Note where a trial trained an epoch, and how fast that was.

        Args:
            number: The trial.
            place: Of the pass: another than its own where that was lost.
            step: What the epoch came to.
        """
        if number in self._home:
            self._home[number] = place
        # By those that really trained: others of the pass may have been behind, or told theirs from a checkpoint.
        if step.record is not None and step.members:
            self._speeds.record(place, step.members, float(step.record["seconds"]))

    def hear(self, event: str, trial: LiveTrial) -> None:
        """Take a trial that is over from its pass."""
        if trial.number not in self._home or event in ("started", "epoch"):
            return
        del self._home[trial.number]
        # All of them, since a trial whose pass was lost went to another one.
        for server, expected in zip(self._passes, self._expected(), strict=True):
            server.leave.remote(trial.number, expected)

    def _there(self) -> list[int]:
        """Passes to give trials to: those that answer, and those that never yet did, being on their way up."""
        places = range(len(self._passes))
        up, _ = ray.wait(self._up, num_returns=len(places), timeout=0)
        risen = [place for place in places if self._up[place] in up]
        # Where none answers any will do: a trial whose pass does not come back looks for another itself.
        return [place for place in places if place not in risen or self._answers(place)] or list(places)

    def _answers(self, place: int) -> bool:
        try:
            return answers(self._passes[place], _ANSWER_SECONDS)
        except ActorDiedError:
            return False

    def _counts(self) -> list[int]:
        homes = list(self._home.values())
        return [homes.count(home) for home in range(len(self._passes))]

    def _expected(self) -> list[int]:
        """Trials of each pass once those that are to come have taken the free places."""
        counts = self._counts()
        speeds = self._speeds.speeds(counts)
        for _ in range(min(self._concurrent - len(self._home), self._study.waiting)):
            counts[next_place(counts, speeds)] += 1
        return counts

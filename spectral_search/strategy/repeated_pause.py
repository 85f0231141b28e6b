"""Pauses where one cause struck again and again: the failed trials share a value or a threshold, and nobody else it.

Trials of the part that trained say that it can be trained in, so the failures there are in a row by that alone, in
whatever order trials end. As long as no trial at all has trained an epoch, failures that share nothing are the whole
space's: something is wrong that no proposal mends, such as an error in the task.
"""

from collections.abc import Sequence

from spectral_search.spec.space_part import WHOLE, PausedPart, shared_part
from spectral_search.strategy.history import History, Trial
from spectral_search.strategy.pause import Pause
from spectral_search.strategy.space_points import Params


class Repeated(Pause):
    """`pause_after` trials of one cause pause what they share; 0 pauses nothing."""

    def parts(self, history: History) -> Sequence[PausedPart]:
        least, by_cause = self.search.pause_after, dict[str, list[Trial]]()
        for trial in history.trials:
            if trial.state == "failed":
                by_cause.setdefault(trial.cause, []).append(trial)
        struck = {cause: trials for cause, trials in by_cause.items() if 0 < least <= len(trials)}
        if not struck:
            return []
        sound = [self._varied(trial) for trial in history.trials if trial.state != "failed" and trial.values]
        found = []
        for cause, trials in struck.items():
            part = shared_part([self._varied(trial) for trial in trials], sound)
            if part is None and not sound:
                part = WHOLE
            if part is not None:
                found.append(PausedPart(part, cause, tuple(trial.number for trial in trials)))
        return found

    def _varied(self, trial: Trial) -> Params:
        return {key: value for key, value in trial.params.items() if key not in self.fixed}


PAUSE = Repeated

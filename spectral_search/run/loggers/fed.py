"""Feeds the loggers of a search with what its study records; one that fails ends, and the search goes on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from spectral_search.record.durable import read_lines
from spectral_search.record.paths import RunPaths
from spectral_search.run.loggers.epoch_sink import Logger, point
from spectral_search.run.study import LiveTrial, Study
from spectral_search.spec.name_registry import LOGGERS
from spectral_search.spec.run import RunSpec


class Loggers:
    """A listener of the study that hands on to another one.

    Args:
        spec: The search.
        paths: Its run.
        study: What it has by now is shown first.
        told: The listener that it hands on to.
        say: Shows one sentence.
    """

    def __init__(
        self,
        spec: RunSpec,
        paths: RunPaths,
        study: Study,
        told: Callable[[str, LiveTrial], None],
        say: Callable[[str], None],
    ) -> None:
        self._told, self._say = told, say
        self._loggers: dict[str, Logger] = {}
        for name in dict.fromkeys(spec.search.loggers):
            self._try(name, partial(self._open, name, spec, paths, study))

    def __call__(self, event: str, trial: LiveTrial) -> None:
        """Take in one change of the study."""
        for name in list(self._loggers):
            self._try(name, partial(_feed, self._loggers[name], event, trial))
        self._told(event, trial)

    def close(self) -> None:
        """Let all of them end."""
        for name in list(self._loggers):
            self._try(name, self._loggers[name].close)

    def _open(self, name: str, spec: RunSpec, paths: RunPaths, study: Study) -> None:
        logger: Logger = LOGGERS.find(name)(paths, spec.stage)
        for trial in study.history.trials:
            logger.begin(trial.number, trial.params)
            if records := read_lines(paths.trial(trial.number).progress_jsonl).records:
                logger.epochs(trial.number, [point(record) for record in records])
            logger.end(trial.number, "waiting" if trial.state == "running" else trial.state)
        self._loggers[name] = logger

    def _try(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # whatever a library of others raises, it is not the search's
            self._loggers.pop(name, None)
            reason = str(error).splitlines()[0] if str(error) else "no message"
            self._say(f"Nothing more is shown in {name} ({type(error).__name__}: {reason}); the search goes on.")


def _feed(logger: Logger, event: str, trial: LiveTrial) -> None:
    if event == "started":
        logger.begin(trial.number, trial.params)
    elif event == "epoch":
        logger.epochs(trial.number, [point(trial.epochs[-1])])
    else:
        logger.end(trial.number, event)


@contextmanager
def fed(
    spec: RunSpec, paths: RunPaths, study: Study, told: Callable[[str, LiveTrial], None], say: Callable[[str], None]
) -> Iterator[Callable[[str, LiveTrial], None]]:
    """The listener of a study: one that feeds the loggers too where the spec names any."""
    if not spec.search.loggers:
        yield told
        return
    loggers = Loggers(spec, paths, study, told, say)
    try:
        yield loggers
    finally:
        loggers.close()

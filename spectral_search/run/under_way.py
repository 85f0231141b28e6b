"""Which trials a process is training, written down for whoever finds that it died.

A process that the kernel kills says nothing. What it was at is in a file of the run while it trains, gone before and
after: a file that is there when no process is tells whose epoch it was. Nothing is synced to the disk, since what a
process wrote outlives the process, and only a machine that went down with it does not tell.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from spectral_search.record.paths import RunPaths

RETRIES = 3
"""How often a trial that raised, or whose process died, is started again from its checkpoint."""
_ASKED = "asked_to_end"
"""Beside the files: the process was asked to end, so that its trials are not to blame for it."""


@dataclass(frozen=True)
class Death:
    """A process that died.

    Attributes:
        trials: Numbers of those that it trained then; none where it did something else.
        count: How often it has died by now, where it is one that is started again.
    """

    trials: tuple[int, ...] = ()
    count: int = 1


class UnderWay:
    """The file of one process.

    Args:
        path: Where it lies.
        deaths: How often the process has died before.
    """

    def __init__(self, path: Path, deaths: int = 0) -> None:
        self._path, self._deaths = path, deaths

    @contextmanager
    def training(self, trials: Iterable[int]) -> Iterator[None]:
        """The time in which trials train; if the process dies in it, the file is left."""
        self._write(sorted(trials))
        try:
            yield
        finally:
            self._write([])

    def _write(self, trials: Sequence[int]) -> None:
        text = json.dumps({"trials": trials, "deaths": self._deaths})
        try:
            self._path.write_text(text)
        except FileNotFoundError:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(text)


def death_of(path: Path) -> Death:
    """What a process left that is not there any more."""
    # Cut short by the death itself it tells nothing.
    with suppress(OSError, ValueError, KeyError, TypeError):
        left = json.loads(path.read_text())
        return Death(tuple(map(int, left["trials"])), int(left["deaths"]) + 1)
    return Death()


def found_dead(paths: RunPaths) -> list[int]:
    """Trials that processes of an earlier session were training when they died, none of which may live any more."""
    folder = paths.under_way_dir
    trials: set[int] = set()
    if not (folder / _ASKED).exists():
        trials = {number for path in folder.glob("*.json") for number in death_of(path).trials}
    forget(paths)
    return sorted(trials)


def forget(paths: RunPaths) -> None:
    """Remove what processes left: they are over, and nobody is to blame."""
    folder = paths.under_way_dir
    with suppress(OSError):
        for path in folder.glob("*"):
            path.unlink(missing_ok=True)
        folder.rmdir()


def asked_to_end(paths: RunPaths) -> None:
    """Write down that processes are about to end because somebody asked for it."""
    with suppress(OSError):
        paths.under_way_dir.mkdir(exist_ok=True)
        (paths.under_way_dir / _ASKED).touch()

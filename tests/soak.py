"""Searches whose processes are killed at random moments, for so many minutes: each must end as one without a kill.

One search after the other is carried out: in one process, on a Ray of its own, and on a cluster of two nodes that it
joins. While it trains, its driver with everything that it started, a process that trains, a node with all of its
processes or the whole cluster is killed (SIGKILL), again and again; in the end it is resumed and left in peace. What
it found is compared with the same search in one process that nobody kills. The live page is read meanwhile; its server
is killed too and started anew, and whatever it is asked it must answer.

    python tests/soak.py --minutes 30
"""

import argparse
import json
import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from live_page_reader import LivePageReader
from processes import END_SECONDS, Running, recorded_epochs
from small_cluster import SmallCluster
from small_search import ON_RAY, cli, differences, facts, make_data, make_spec

from spectral_search.errors import RequestError
from spectral_search.record.paths import RunPaths

SEARCH: dict[str, dict[str, Any]] = {
    "fit": {"epochs": 30, "patience": None},
    "search": {"trials": 30, "sampler": "random", "pruner": "halving"},
    "resources": {"gpus": [], "concurrent": 4},
}
"""Neither random proposals nor halving depend on who is faster."""
KINDS = ("driver", "worker", "node", "cluster", "page")
"""What is killed."""
NOT_OF_TRIALS = ("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent")
"""Processes of Ray's own that are called like those of trials; a node dies with one of its agents."""
NODE = {"num_cpus": 1}
SEED = 7
KILLS = 4
"""Of one search at most, but for those of the live page."""
MOST_EPOCHS, MOST_SECONDS = 60, 20.0
"""Between two kills: some are to fall into what is no epoch, such as the start of Ray."""
LETTERS = 500
"""What is told of a difference, which may hold all trials, and of the log of a driver that did not end as it should."""
EPOCH_SECONDS = 60.0
"""What epochs are waited for beyond that."""


class Place(NamedTuple):
    """What trains, and whether in a cluster that is joined."""

    executor: str
    on_cluster: bool = False

    def __str__(self) -> str:
        return f"{self.executor} on a cluster" if self.on_cluster else self.executor


PLACES = (*(Place(name, there) for there in (True, False) for name in ON_RAY), Place("inline"))


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        searches: How many were carried out.
        kills: How many of each kind.
        unequal: Searches that ended otherwise than the one that nobody killed, and where they differ first.
        page_answers: How many the live page gave.
        page_slowest_s: What its slowest one took.
        page_unanswered: What it was asked and did not answer, and why.
    """

    searches: int = 0
    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    unequal: list[str] = field(default_factory=list)
    page_answers: int = 0
    page_slowest_s: float = 0.0
    page_unanswered: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether every search ended as it should, and the page answered whatever it was asked."""
        return not self.unequal and not self.page_unanswered

    def told(self) -> str:
        """One line of JSON."""
        return json.dumps({**vars(self), "cores": os.cpu_count()})


def soak(folder: Path, minutes: float, places: Sequence[Place] = PLACES) -> Outcome:
    """Carry out searches until the minutes are over.

    Args:
        folder: An empty one.
        minutes: No search begins later than this; one at least is carried out.
        places: Of the searches, in turn.

    Raises:
        AssertionError: The search that nobody kills failed, or a server of the live page did not start.
    """
    spec, results = folder / "small.yaml", folder / "results"
    make_spec(folder, make_data(folder / "data"), **SEARCH)
    done = cli("run", spec, "--name", "reference", "--results", results, "--executor", "inline")
    assert done.returncode == 0, done.stderr
    expected = facts(RunPaths(results, "reference"))
    outcome, rng, until = Outcome(), random.Random(SEED), time.monotonic() + 60 * minutes
    with LivePageReader(results, folder / "page.txt", rng) as page:
        for number, place in enumerate(cycle(places)):
            if number and time.monotonic() > until:
                break
            disturbed = Disturbed(spec, RunPaths(results, f"soak-{number}"), place, page, rng)
            if fault := disturbed.carried_out() or unlike(disturbed.paths, expected):
                outcome.unequal.append(f"{disturbed.paths.name} ({place}): {fault}")
            outcome.searches += 1
            for kind in disturbed.kills:
                outcome.kills[kind] += 1
    outcome.kills["page"] = page.kills
    outcome.page_answers, outcome.page_slowest_s = page.answers, page.slowest_s
    outcome.page_unanswered = page.unanswered
    return outcome


def unlike(paths: RunPaths, expected: dict[str, Any]) -> str | None:
    """Where a search differs first from what it should have found."""
    try:
        found = differences(facts(paths), expected)
    except (AssertionError, RequestError, OSError) as fault:
        return f"its record is damaged: {fault}"
    return f"{len(found)} differences, the first {found[0][:LETTERS]}" if found else None


class Disturbed:
    """A search whose processes are killed, and that is gone on with until it ends.

    Args:
        spec: What is searched.
        paths: Where its run will lie.
        place: What trains it.
        page: Asked while anything is waited for.
        rng: Says what is killed, and when.
    """

    def __init__(self, spec: Path, paths: RunPaths, place: Place, page: LivePageReader, rng: random.Random) -> None:
        self._spec, self.paths, self._place, self._page, self._rng = spec, paths, place, page, rng
        self._cluster: SmallCluster | None = None
        self._sessions, self._left, self._nodes = 0, rng.randint(1, KILLS), 0
        self.kills = list[str]()
        """What was killed, one after the other."""

    def carried_out(self) -> str | None:
        """Carry it out; why it did not come to its end, or left a process behind."""
        try:
            while not self._ended():
                pass
        except AssertionError as fault:
            return str(fault)
        finally:
            if self._cluster is not None:
                self._cluster.kill()
        return None

    def _ended(self) -> bool:
        """Begin the search, or go on with it, until its driver ends; whether the search had ended by then."""
        running, log = self._started()
        may_fail = False
        try:
            while self._waited(running):
                assert self._left, f"it hangs: {_end_of(log)}"
                self._left -= 1
                may_fail |= self._kill(running) in ("driver", "cluster")
            code, _ = running.end()
        finally:
            if running.alive:
                running.kill()
        assert not running.survivors(), running.survivors()
        assert code == 0 or may_fail, f"exit code {code}: {_end_of(log)}"
        return code == 0

    def _started(self) -> tuple[Running, Path]:
        self._sessions += 1
        log = self._spec.with_name(f"{self.paths.name}-{self._sessions}.txt")
        verb = ["resume", self.paths.name] if self.paths.exists() else ["run", self._spec, "--name", self.paths.name]
        options = ["--results", self.paths.root, "--executor", self._place.executor, "--no-dashboard"]
        if not self._place.on_cluster:
            return Running(*verb, *options, log=log), log
        if self._cluster is None:
            self._cluster = SmallCluster(self._spec.parent, [NODE, NODE])
        elif self._nodes < 2:
            self._cluster.add_node()
        self._nodes = 2
        options += ["--address", self._cluster.address]
        return Running(*verb, *options, log=log, variables=self._cluster.environment), log

    def _waited(self, running: Running) -> bool:
        """Wait until something is to be killed, or for the end where nothing is; whether the driver is there still."""
        until = time.monotonic() + (self._rng.uniform(0.0, MOST_SECONDS) if self._left else END_SECONDS)
        # A quarter of the kills fall at any time.
        at_any_time = not self._left or self._rng.random() < 0.25
        wanted = math.inf if at_any_time else recorded_epochs(self.paths.folder) + self._rng.randint(1, MOST_EPOCHS)
        until += 0.0 if at_any_time else EPOCH_SECONDS

        def reached() -> bool:
            self._page.look()
            return time.monotonic() > until or recorded_epochs(self.paths.folder) >= wanted

        running.wait_for(reached, 2 * END_SECONDS)
        return running.alive

    def _kill(self, running: Running) -> str:
        """SIGKILL; to what."""
        processes = running.look() if self._cluster is None else self._cluster.look()
        workers = [process for process in processes if trains(process)]
        there = {"driver": True, "worker": workers, "node": self._nodes > 1, "cluster": self._cluster}
        kind = self._rng.choice([kind for kind, is_there in there.items() if is_there])
        self.kills.append(kind)
        if kind == "driver":
            running.kill()
        elif kind == "worker":
            with suppress(psutil.Error):
                self._rng.choice(workers).kill()
        elif self._cluster is not None and kind == "node":
            self._cluster.remove_node()
            self._nodes = 1
        elif self._cluster is not None:
            self._cluster.kill()
            self._cluster, self._nodes = None, 0
        return kind


def trains(process: psutil.Process) -> bool:
    """Whether it is one of a trial or of a pass."""
    with suppress(psutil.Error):
        told = " ".join(process.cmdline())
        return "ray::" in told and not any(name in told for name in NOT_OF_TRIALS)
    return False


def _end_of(log: Path) -> str:
    return log.read_text()[-LETTERS:]


def main() -> None:
    """Print one JSON line; exit code 1 where something went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    with tempfile.TemporaryDirectory() as folder:
        outcome = soak(Path(folder), parser.parse_args().minutes)
    print(outcome.told())
    sys.exit(not outcome.sound)


if __name__ == "__main__":
    main()

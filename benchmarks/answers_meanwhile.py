"""How long `status` and the live page take to answer while a search goes on, asked every other second beside it.

The live page is a server of its own, as a user has it. `status` is asked for what it tells, the run read anew each
time, without the start of a Python process that the command pays before. Standard input says when it is over.

    python -m benchmarks.answers_meanwhile RESULTS NAME < PIPE
"""

import json
import statistics
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from select import select
from typing import Any

from spectral_search import service
from spectral_search.errors import RequestError
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import run_document

_CHECKOUT = Path(__file__).parents[1]
_DOCUMENTS = {
    "all runs": "",
    "how it stands": "/{name}",
    "curves": "/{name}/curves",
    "trials": "/{name}/trials",
    "importances": "/{name}/importance",
}
_PERIOD_S = 2.0
"""Between two rounds of questions, so that these take little of what the search computes with."""
_WORST = 0.95
"""Part of the answers that are at most as slow as the one that is told beside the median."""


class AnswersMeanwhile:
    """Context manager; afterwards `found` says of each question how often it was asked and how often in vain.

    And what answers took: the first one, in which modules are loaded, and of the others the median, the number of
    seconds within which 95 in 100 came, and the slowest.

    Args:
        results: The results folder, which need not be there yet.
        name: The run.
    """

    def __init__(self, results: Path, name: str) -> None:
        self._command = [sys.executable, "-m", "benchmarks.answers_meanwhile", str(results.absolute()), name]
        self.found: dict[str, Any] = {}

    def __enter__(self) -> "AnswersMeanwhile":
        self._process = subprocess.Popen(
            self._command, cwd=_CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it is ready
        return self

    def __exit__(self, *raised: object) -> None:
        told, _ = self._process.communicate()
        if raised[0] is None:
            self.found = json.loads(told)


def _asked(results: Path, name: str) -> dict[str, Any]:
    """Ask until standard input ends."""
    seconds: dict[str, list[float | None]] = defaultdict(list)
    with _page(results) as address:
        print(address, flush=True)
        while not select([sys.stdin], [], [], _PERIOD_S)[0]:
            if not RunPaths(results, name).exists():
                continue
            for document, path in _DOCUMENTS.items():
                seconds[document].append(_timed(partial(_get, address + path.format(name=name))))
            seconds["status"].append(_timed(partial(_status, results, name)))
    return {what: _summary(times) for what, times in seconds.items()}


@contextmanager
def _page(results: Path) -> Iterator[str]:
    """A server of the live page; its address of documents."""
    command = [sys.executable, "-m", "spectral_search", "dashboard", "--results", str(results), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        told = ""
        while not told.endswith("}\n"):
            told += server.stdout.readline()
        try:
            yield json.loads(told)["address"] + "api/runs"
        finally:
            server.kill()


def _status(results: Path, name: str) -> None:
    json.dumps(run_document(service.status(name, str(results))))


def _get(address: str) -> None:
    with urllib.request.urlopen(address) as answer:
        answer.read()


def _timed(work: Callable[[], object]) -> float | None:
    """Seconds that it took; None where it gave no answer."""
    began = time.perf_counter()
    try:
        work()
    except (RequestError, OSError):
        return None
    return time.perf_counter() - began


def _summary(asked: list[float | None]) -> dict[str, float]:
    times = [seconds for seconds in asked if seconds is not None]
    told: dict[str, float] = {"asked": len(asked), "unanswered": len(asked) - len(times)}
    if len(times) < 2:
        return told
    first, *others = times
    others.sort()
    slow = others[min(len(others) - 1, int(_WORST * len(others)))]
    measured = {"first_s": first, "median_s": statistics.median(others), "within_s": slow, "slowest_s": others[-1]}
    return told | {name: round(value, 3) for name, value in measured.items()}


if __name__ == "__main__":
    print(json.dumps(_asked(Path(sys.argv[1]), sys.argv[2])))

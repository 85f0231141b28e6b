"""The live page's answers: how long a browser waits for each document, of a large search among many."""

import asyncio
import statistics
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from benchmarks.bench_context import BenchContext
from benchmarks.bench_findings import Findings, Row, Target
from benchmarks.many_runs import epoch_line, make_runs
from spectral_search.cluster.live_page.results_folder import ResultsFolder
from spectral_search.cluster.live_page.server import application, serve
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord

_FULL, _QUICK = (200, 500, 100), (6, 12, 6)
"""Runs, trials of the large one, and epochs of each."""
_TURNS = 7
_MOST_S = 0.2
_DOCUMENTS = {
    "all runs": "",
    "how it stands": "/large",
    "curves": "/large/curves",
    "trials": "/large/trials",
    "importances": "/large/importance",
}
_PHYSICS = (
    "Between two answers each of the live trials tells an epoch, as a search would. What must be done then is to ask "
    "the system for the state of every progress file (a few microseconds each), to read the new lines, and to write "
    "the document as text: the curves are about 400 kB. Beside it stands what reading the whole run anew takes, which "
    "`status` does. The first answers are those after the server's start, when nothing is known yet; after the first, "
    "a listing looks into the runs that were cut off for 0.1 s a time until it knows all. Median of seven turns."
)


def measure(context: BenchContext) -> Findings:
    """Ask a server for each document, first cold, then after each new epoch of the live trials."""
    runs, trials, epochs = _QUICK if context.quick else _FULL
    context.say(f"page: {runs} runs, one of {trials} trials of up to {epochs} epochs")
    large = make_runs(context.scratch / "runs", runs, trials, epochs)
    with _served(large) as ask:
        first = {name: ask(path)[0] for name, path in _DOCUMENTS.items()}
        for _ in range(runs // 4):
            ask("")
        turns: dict[str, list[float]] = {name: [] for name in _DOCUMENTS}
        kilobytes: dict[str, float] = {}
        for turn in range(1, _TURNS + 1):
            _train(large, trials, epochs // 2 + turn)
            for name, path in _DOCUMENTS.items():
                seconds, size = ask(path)
                turns[name].append(seconds)
                kilobytes[name] = round(size / 1e3, 1)
    anew = _seconds(lambda: RunRecord.load(large))
    rows = [
        Row(f"{name}, answered", statistics.median(times), "s", target=Target("at most", _MOST_S))
        for name, times in turns.items()
    ]
    rows += [Row(f"{name}, the first time", seconds, "s") for name, seconds in first.items()]
    rows.append(Row("the large run read anew", anew, "s"))
    slowest = {name: max(times) for name, times in turns.items()}
    return Findings(rows, _PHYSICS, details={"kilobytes": kilobytes, "slowest": slowest})


def _train(large: RunPaths, trials: int, epoch: int) -> None:
    for number in range(trials - 8, trials):
        with open(large.trial(number).progress_jsonl, "a") as file:
            file.write(epoch_line(number, epoch))


@contextmanager
def _served(large: RunPaths) -> Iterator[Callable[[str], tuple[float, int]]]:
    """What asks the live page for a document below api/runs, and gives seconds and bytes."""
    loop, listening, ports = asyncio.new_event_loop(), Event(), list[int]()

    def ready(port: int) -> None:
        ports.append(port)
        listening.set()

    task = loop.create_task(serve(application(ResultsFolder(large.root)), "127.0.0.1", 0, ready))
    thread = Thread(target=_until_cancelled, args=(loop, task))
    thread.start()
    listening.wait()

    def ask(path: str) -> tuple[float, int]:
        started = time.perf_counter()
        with urllib.request.urlopen(f"http://127.0.0.1:{ports[0]}/api/runs{path}") as answer:
            size = len(answer.read())
        return time.perf_counter() - started, size

    try:
        yield ask
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()


def _until_cancelled(loop: asyncio.AbstractEventLoop, task: "asyncio.Task[None]") -> None:
    try:
        loop.run_until_complete(task)
    except asyncio.CancelledError:
        loop.close()


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started

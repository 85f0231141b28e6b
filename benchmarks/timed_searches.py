"""Whole searches in processes of their own, from the command to its end: ours by the real command line, and peers."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.spent_cpu import CpuWatch
from spectral_search.errors import RunError

_CHECKOUT = Path(__file__).parents[1]
OURS = (sys.executable, "-c", "from spectral_search.cli.main import main; main()")


@dataclass(frozen=True)
class Ended:
    """A search that ran to its end.

    Attributes:
        seconds: Wall time of its process, start-up included.
        cpu_seconds: CPU time of it and of all that it started, a little short.
        best: The objective of its winner on the val set.
        epochs_trained: Over all its trials.
        best_so_far: Pairs of seconds since its begin and the best until then, where that became better.
    """

    seconds: float
    best: float
    epochs_trained: int
    best_so_far: list[tuple[float, float]]
    cpu_seconds: float = 0.0

    def seconds_to(self, value: float) -> float | None:
        """When a value, of which higher ones are better, was reached; None where it never was."""
        return next((seconds for seconds, best in self.best_so_far if best >= value), None)


def ours(arguments: Sequence[str], results: Path, objective: tuple[str, bool] = ("val_r2", True)) -> Ended:
    """`spectral-search run ARGUMENTS` with a results folder of its own.

    Args:
        arguments: Of the command.
        results: The folder.
        objective: What records call it, and whether higher is better.
    """
    name, higher = objective
    command = [*OURS, "run", *arguments, "--results", str(results), "--json"]
    began = time.time()
    seconds, cpu_seconds, text = _carried_out(command)
    document = _parsed(text, command)
    progress = Path(document["path"]).glob("trials/*/progress.jsonl")
    rows = [json.loads(line) for file in progress for line in file.read_text().splitlines()]
    reached = [(row["at_unix_seconds"], row[name]) for row in rows]
    rising = best_so_far(reached, began, higher=higher)
    return Ended(seconds, document["best"][name], document["epochs_trained"], rising, cpu_seconds)


def peer(name: str, config: dict[str, Any], scratch: Path) -> Ended:
    """A peer of benchmarks/peers, by name."""
    file = scratch / f"{name}.json"
    file.write_text(json.dumps(config))
    command = [sys.executable, "-m", f"benchmarks.peers.peer_{name}", str(file)]
    began = time.time()
    seconds, cpu_seconds, text = _carried_out(command)
    document = _parsed(text.splitlines()[-1], command)  # its libraries may print before
    reached = [(at, value) for at, value in document["reached"]]
    rising = best_so_far(reached, began, higher=config["mode"] == "max")
    return Ended(seconds, document["best"], document["epochs_trained"], rising, cpu_seconds)


def best_so_far(
    reached: Iterable[tuple[float, float]], began: float, *, higher: bool = True
) -> list[tuple[float, float]]:
    """Seconds since the begin and the best until then, where that became better.

    Args:
        reached: Times of epochs, in seconds since 1970, and their values, in any order.
        began: When the search did, likewise.
        higher: Whether higher values are better.
    """
    rising: list[tuple[float, float]] = []
    for at, value in sorted(reached):
        if not rising or (value > rising[-1][1] if higher else value < rising[-1][1]):
            rising.append((round(at - began, 2), value))
    return rising


def environment() -> dict[str, str]:
    """This process's environment, with the package and its benchmarks importable from any folder."""
    paths = [str(_CHECKOUT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _carried_out(command: Sequence[str]) -> tuple[float, float, str]:
    """Wall time, CPU time and output of a command.

    Raises:
        RunError: The command failed.
    """
    started = time.perf_counter()
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, env=environment(), stdout=pipe, stderr=pipe, text=True)
    with CpuWatch(process.pid) as watch:
        stdout, stderr = process.communicate()
    seconds = time.perf_counter() - started
    if process.returncode != 0:
        told = (stderr.strip() or stdout.strip() or "no message").splitlines()[-1]
        raise RunError(f"A measured search ended with code {process.returncode} ({told}): {shlex.join(command)}")
    return seconds, round(watch.seconds, 2), stdout


def _parsed(text: str, command: Sequence[str]) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise RunError(f"A measured search gave no JSON but {text[:80]!r}: {shlex.join(command)}") from error
    return document

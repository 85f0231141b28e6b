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

from spectral_search.errors import RunError

_CHECKOUT = Path(__file__).parents[1]
OURS = (sys.executable, "-c", "from spectral_search.cli.main import main; main()")


@dataclass(frozen=True)
class Ended:
    """A search that ran to its end.

    Attributes:
        seconds: Wall time of its process, start-up included.
        best_val_r2: Of its winner.
        epochs_trained: Over all its trials.
        best_so_far: Pairs of seconds since its begin and the best val R2 until then, where that rose.
    """

    seconds: float
    best_val_r2: float
    epochs_trained: int
    best_so_far: list[tuple[float, float]]

    def seconds_to(self, val_r2: float) -> float | None:
        """When a val R2 was reached; None where it never was."""
        return next((seconds for seconds, best in self.best_so_far if best >= val_r2), None)


def ours(arguments: Sequence[str], results: Path) -> Ended:
    """`spectral-search run ARGUMENTS` with a results folder of its own."""
    command = [*OURS, "run", *arguments, "--results", str(results), "--json"]
    began = time.time()
    seconds, text = _carried_out(command)
    document = _parsed(text, command)
    progress = Path(document["path"]).glob("trials/*/progress.jsonl")
    rows = [json.loads(line) for file in progress for line in file.read_text().splitlines()]
    reached = [(row["at_unix_seconds"], row["val_r2"]) for row in rows]
    return Ended(seconds, document["best"]["val_r2"], document["epochs_trained"], best_so_far(reached, began))


def peer(name: str, config: dict[str, Any], scratch: Path) -> Ended:
    """A peer of benchmarks/peers, by name."""
    file = scratch / f"{name}.json"
    file.write_text(json.dumps(config))
    command = [sys.executable, "-m", f"benchmarks.peers.peer_{name}", str(file)]
    began = time.time()
    seconds, text = _carried_out(command)
    document = _parsed(text.splitlines()[-1], command)  # its libraries may print before
    reached = [(at, val_r2) for at, val_r2 in document["reached"]]
    return Ended(seconds, document["best_val_r2"], document["epochs_trained"], best_so_far(reached, began))


def best_so_far(reached: Iterable[tuple[float, float]], began: float) -> list[tuple[float, float]]:
    """Seconds since the begin and the best val R2 until then, where that rose.

    Args:
        reached: Times of epochs, in seconds since 1970, and their val R2, in any order.
        began: When the search did, likewise.
    """
    rising: list[tuple[float, float]] = []
    for at, val_r2 in sorted(reached):
        if not rising or val_r2 > rising[-1][1]:
            rising.append((round(at - began, 2), val_r2))
    return rising


def environment() -> dict[str, str]:
    """This process's environment, with the package and its benchmarks importable from any folder."""
    paths = [str(_CHECKOUT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _carried_out(command: Sequence[str]) -> tuple[float, str]:
    """Wall time and output of a command.

    Raises:
        RunError: The command failed.
    """
    started = time.perf_counter()
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        told = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise RunError(f"A measured search ended with code {done.returncode} ({told}): {shlex.join(command)}")
    return seconds, done.stdout


def _parsed(text: str, command: Sequence[str]) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise RunError(f"A measured search gave no JSON but {text[:80]!r}: {shlex.join(command)}") from error
    return document

"""Whole searches in processes of their own, from the command to its end: ours by the real command line, and peers."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectral_search.errors import RunError

PACKAGE = Path(__file__).parents[1]
PEERS = PACKAGE.parent / "tests" / "benchmarks"
"""In a checkout; an installed package has no peers."""
OURS = (sys.executable, "-c", "from spectral_search.cli import main; main()")


@dataclass(frozen=True)
class Ended:
    """A search that ran to its end.

    Attributes:
        seconds: Wall time of its process, start-up included.
        best_val_r2: Of its winner.
        epochs_trained: Over all its trials.
    """

    seconds: float
    best_val_r2: float
    epochs_trained: int


def ours(arguments: Sequence[str], results: Path) -> Ended:
    """`spectral-search run ARGUMENTS` with a results folder of its own."""
    command = [*OURS, "run", *arguments, "--results", str(results), "--json"]
    seconds, text = _carried_out(command)
    document = _parsed(text, command)
    return Ended(seconds, document["best"]["val_r2"], document["epochs_trained"])


def peer(name: str, config: dict[str, Any], scratch: Path) -> Ended:
    """A peer of tests/benchmarks, by name."""
    file = scratch / f"{name}.json"
    file.write_text(json.dumps(config))
    command = [sys.executable, str(PEERS / f"peer_{name}.py"), str(file)]
    seconds, text = _carried_out(command)
    document = _parsed(text.splitlines()[-1], command)  # its libraries may print before
    return Ended(seconds, document["best_val_r2"], document["epochs_trained"])


def peers_are_here() -> bool:
    return (PEERS / "peer_ray_tune.py").is_file()


def environment() -> dict[str, str]:
    """This process's environment, with the package importable from any folder."""
    paths = [str(PACKAGE.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
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

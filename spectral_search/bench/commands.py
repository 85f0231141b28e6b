"""Whole searches in processes of their own, from the command to its end: ours by the real command line, and peers."""

import json
import os
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
    seconds, document = _json_of([*OURS, "run", *arguments, "--results", str(results), "--json"])
    return Ended(seconds, document["best"]["val_r2"], document["epochs_trained"])


def peer(name: str, config: dict[str, Any], scratch: Path) -> Ended:
    """A peer of tests/benchmarks, by name."""
    file = scratch / f"{name}.json"
    file.write_text(json.dumps(config))
    seconds, document = _json_of([sys.executable, str(PEERS / f"peer_{name}.py"), str(file)])
    return Ended(seconds, document["best_val_r2"], document["epochs_trained"])


def peers_are_here() -> bool:
    return (PEERS / "peer_ray_tune.py").is_file()


def environment() -> dict[str, str]:
    """This process's environment, with the package importable from any folder."""
    paths = [str(PACKAGE.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _json_of(command: Sequence[str]) -> tuple[float, dict[str, Any]]:
    """Wall time of a command, and the JSON document that ends its output.

    Raises:
        RunError: The command failed.
    """
    started = time.perf_counter()
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        told = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise RunError(f"A measured search ended with code {done.returncode} ({told}): {' '.join(command[3:])}")
    text = done.stdout.strip()
    # A peer's libraries may print before its line; ours prints one document and nothing else.
    return seconds, json.loads(text if text.startswith("{") else text.splitlines()[-1])

"""A whole search at scale: simulate, search on the signal by the command line, and say what each part took.

    python -m benchmarks.search_at_scale FOLDER --train 200000

simulates float32 shards into FOLDER/data (kept, and used again), runs 16 trials x 20 epochs of `signal_mlp`, and prints
one JSON line: seconds of each part, the most memory that all processes of the search took together (a page that n of
them share counts as 1/n in each), and R2 on val, of the re-test and on test.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.resident_memory import MemoryWatch
from benchmarks.timed_searches import OURS, environment

_MARKS = {
    "plan": re.compile(r"^name: "),
    "compress": re.compile(r"^Components of [\d,]+ spectra: (?P<size>[^,]+),"),
    "retest": re.compile(r"Re-test with other seeds"),
}
"""What the command says when a part is over, or begins."""


def _simulated(folder: Path, train: int, val: int, test: int, shards: int) -> tuple[Path, float]:
    """The data root, and the seconds that it took; nothing where it was there before."""
    root = folder / f"data-{train}"
    if root.is_dir():
        return root, 0.0
    started, partial = time.perf_counter(), folder / f".data-{train}.{os.getpid()}"
    sizes = ["--train", train, "--val", val, "--test", test, "--shards", shards, "--dtype", "float32"]
    try:
        command = [*OURS, "simulate", str(partial), *map(str, sizes)]
        subprocess.run(command, env=environment(), check=True, stdout=subprocess.DEVNULL)
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root, time.perf_counter() - started


def _searched(arguments: Sequence[str], log: Path) -> dict[str, Any]:
    """Run a search to its end; its document, when each part was over, and memory."""
    started, marks, facts = time.perf_counter(), dict[str, float](), dict[str, str]()
    with (
        subprocess.Popen(
            [*OURS, *arguments], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
        MemoryWatch(process.pid) as memory,
    ):
        document: list[str] = []
        if process.stdout is None or process.stderr is None:
            raise RuntimeError("a process without pipes")
        reader = threading.Thread(target=lambda: document.append(process.stdout.read()))  # type: ignore[union-attr]
        reader.start()
        with log.open("w") as file:
            for line in process.stderr:
                now = time.perf_counter() - started
                file.write(f"{now:8.1f} {line}")
                file.flush()
                for name, pattern in _MARKS.items():
                    if name not in marks and (match := pattern.search(line)):
                        marks[name] = now
                        facts |= match.groupdict()
        reader.join()
    total = time.perf_counter() - started
    if process.returncode:
        sys.exit(f"the search ended with exit code {process.returncode}: see {log}")
    return {
        "run": json.loads(document[0]),
        "marks": marks,
        "facts": facts,
        "seconds": total,
        "peak_bytes": memory.peak_bytes,
    }


def _parts(found: dict[str, Any]) -> dict[str, float]:
    """Seconds of each part, which together are those of the command; what starts while spectra are compressed counts
    there, and the last part is whatever no mark parts from it."""
    marks, total = found["marks"], found["seconds"]
    ends = [("plan", marks.get("plan")), ("start_and_compress", marks.get("compress"))]
    ends += [("train", marks.get("retest")), ("retest" if "retest" in marks else "train_and_retest", total)]
    seconds, before = {}, 0.0
    for name, end in ends:
        if end is not None:
            seconds[name], before = round(end - before, 1), end
    return seconds


def main() -> None:
    """Simulate, search, tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=200_000)
    parser.add_argument("--val", type=int, default=10_000)
    parser.add_argument("--test", type=int, default=10_000)
    parser.add_argument("--shards", type=int, default=5)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--stage", default="signal_mlp")
    parser.add_argument("--executor", default="auto")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    root, seconds = _simulated(given.folder, given.train, given.val, given.test, given.shards)
    name = f"scale-{given.train}-{int(time.time())}"
    arguments = ["run", given.stage, "--data-root", str(root), "--name", name, "--num-train", str(given.train)]
    arguments += ["--trials", str(given.trials), "--epochs", str(given.epochs), "--no-dashboard", "--json"]
    arguments += ["--executor", given.executor]
    arguments += ["--results", str(given.folder / "results")]
    found = _searched(arguments, given.folder / f"{name}.log")
    run = found["run"]
    record = {
        "train_spectra": given.train,
        "trials": given.trials,
        "epochs": given.epochs,
        "cores": len(os.sched_getaffinity(0)),
        "data_bytes": sum(file.stat().st_size for file in root.glob("train*/*.h5")),
        "components": found["facts"].get("size"),
        "seconds": {"simulate": round(seconds, 1), **_parts(found), "search": round(found["seconds"], 1)},
        "peak_gb": round(found["peak_bytes"] / 1e9, 2),
        "epochs_trained": run["epochs_trained"],
        "val_r2": run["best"]["val_r2"],
        "retest": run["retest"],
        "test": json.loads((given.folder / "results" / name / "manifest.json").read_text())["test"],
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()

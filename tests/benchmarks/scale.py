"""A whole search at scale: simulate, search on the signal by the command line, and say what each part took.

    python tests/benchmarks/scale.py FOLDER --train 200000

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

import psutil

PROGRAM = (sys.executable, "-c", "from spectral_search.cli import main; main()")
SAMPLE_SECONDS = 0.5
MARKS = {
    "plan": re.compile(r"^name: "),
    "compress": re.compile(r"^Components of [\d,]+ spectra: (?P<size>[^,]+),"),
    "retest": re.compile(r"Re-test with other seeds"),
}
"""What the command says when a part is over, or begins."""


def simulated(folder: Path, train: int, val: int, test: int, shards: int) -> tuple[Path, float]:
    """The data root, and the seconds that it took; nothing where it was there before."""
    root = folder / f"data-{train}"
    if root.is_dir():
        return root, 0.0
    started, partial = time.perf_counter(), folder / f".data-{train}.{os.getpid()}"
    sizes = ["--train", train, "--val", val, "--test", test, "--shards", shards, "--dtype", "float32"]
    try:
        subprocess.run([*PROGRAM, "simulate", str(partial), *map(str, sizes)], check=True, stdout=subprocess.DEVNULL)
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root, time.perf_counter() - started


class Memory(threading.Thread):
    """The most that a process and all it has started took together, bytes."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self._process, self._over = psutil.Process(process), threading.Event()
        self.peak_bytes = 0

    def run(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self.peak_bytes = max(self.peak_bytes, self._now())

    def end(self) -> int:
        """Stop looking; what was found."""
        self._over.set()
        self.join()
        return self.peak_bytes

    def _now(self) -> int:
        total = 0
        try:
            processes = [self._process, *self._process.children(recursive=True)]
        except psutil.Error:
            return 0
        for process in processes:
            try:
                total += int(process.memory_full_info().pss)
            except psutil.Error:  # it has just ended
                continue
        return total


def searched(arguments: Sequence[str], log: Path) -> dict[str, Any]:
    """Run a search to its end; its document, when each part was over, and memory."""
    started, marks, facts = time.perf_counter(), dict[str, float](), dict[str, str]()
    with subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        memory = Memory(process.pid)
        memory.start()
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
                for name, pattern in MARKS.items():
                    if name not in marks and (match := pattern.search(line)):
                        marks[name] = now
                        facts |= match.groupdict()
        reader.join()
    total, peak = time.perf_counter() - started, memory.end()
    if process.returncode:
        sys.exit(f"the search ended with exit code {process.returncode}: see {log}")
    return {"run": json.loads(document[0]), "marks": marks, "facts": facts, "seconds": total, "peak_bytes": peak}


def parts(found: dict[str, Any]) -> dict[str, float]:
    """Seconds of each part, which together are those of the command."""
    marks, total = found["marks"], found["seconds"]
    ends = [("plan", marks.get("plan")), ("compress", marks.get("compress"))]
    ends += [("train", marks.get("retest")), ("retest", total)]
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
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    root, seconds = simulated(given.folder, given.train, given.val, given.test, given.shards)
    name = f"scale-{given.train}-{int(time.time())}"
    arguments = ["run", given.stage, "--data-root", str(root), "--name", name, "--num-train", str(given.train)]
    arguments += ["--trials", str(given.trials), "--epochs", str(given.epochs), "--no-dashboard", "--json"]
    arguments += ["--results", str(given.folder / "results")]
    found = searched(arguments, given.folder / f"{name}.log")
    run = found["run"]
    record = {
        "train_spectra": given.train,
        "trials": given.trials,
        "epochs": given.epochs,
        "cores": len(os.sched_getaffinity(0)),
        "data_bytes": sum(file.stat().st_size for file in root.glob("train*/*.h5")),
        "components": found["facts"].get("size"),
        "seconds": {"simulate": round(seconds, 1), **parts(found), "search": round(found["seconds"], 1)},
        "peak_gb": round(found["peak_bytes"] / 1e9, 2),
        "epochs_trained": run["epochs_trained"],
        "val_r2": run["best"]["val_r2"],
        "retest": run["retest"],
        "test": json.loads((given.folder / "results" / name / "manifest.json").read_text())["test"],
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()

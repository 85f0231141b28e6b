"""Many searches in one results folder at once, each a process of its own: whether they get in each other's way.

All of them begin at the same moment, without a name, so that they ask for the same one. They are the same search, so
each must end as the others: what one writes where another reads shows as a search that failed, or differs. How long
`status` and the live page take meanwhile is told too.

    python -m benchmarks.runs_at_once --runs 20
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.answers_meanwhile import AnswersMeanwhile
from benchmarks.many_trials import write_search
from benchmarks.resident_memory import MemoryWatch
from spectral_search.record.paths import RunPaths, run_names
from spectral_search.record.run_records import RunRecord

_TRIALS = 20


def _at_once(folder: Path, runs: int) -> dict[str, Any]:
    """Carry them out; what it took, and what came of them.

    Args:
        folder: An empty one.
        runs: How many.
    """
    spec, results = write_search(folder, _TRIALS, "random", 1), folder / "results"
    command = [sys.executable, "-m", "spectral_search", "run", str(spec), "--results", str(results)]
    command += ["--executor", "inline", "--json"]
    began = time.monotonic()
    with MemoryWatch() as memory, AnswersMeanwhile(results, "many") as answers:
        processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(runs)]
        said = [process.communicate()[1].decode() for process in processes]
    seconds = time.monotonic() - began
    failed = [text for process, text in zip(processes, said, strict=True) if process.returncode]
    found = [_outcome(RunPaths(results, name)) for name in run_names(results)]
    return {
        "runs": len(found),
        "failed": failed,
        "finished": sum(outcome["state"] == "finished" for outcome in found),
        "lost_trials": sum(_TRIALS - len(outcome["trials"]) for outcome in found),
        "unlike_the_first": sum(outcome != found[0] for outcome in found),
        "seconds": round(seconds, 1),
        "peak_gb": round(memory.peak_bytes / 1e9, 2),
        "answers": answers.found,
        "cores": os.cpu_count(),
    }


def _outcome(paths: RunPaths) -> dict[str, Any]:
    record = RunRecord.load(paths)
    trials = [(trial.state, trial.params, trial.values) for trial in record.trials]
    return {"state": record.state, "trials": trials, "best": record.manifest.best, "test": record.manifest.test}


def main() -> None:
    """Print one JSON line; exit code 1 where a search failed, lost a trial or ended otherwise than another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    asked = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        told = _at_once(Path(folder), asked)
    print(json.dumps(told))
    sys.exit(told["finished"] < asked or told["lost_trials"] > 0 or told["unlike_the_first"] > 0)


if __name__ == "__main__":
    main()

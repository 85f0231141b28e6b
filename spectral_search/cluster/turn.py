"""Waiting for one's turn: a job's own process looks at the records of the others. No server keeps a queue."""

import time
from collections.abc import Callable

from spectral_search.cluster.job_record import JobRecord
from spectral_search.cluster.standing import standing
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import run_state

LOOK_SECONDS = 2.0


def wait_until(
    reason: Callable[[], str | None], job: JobRecord, paths: RunPaths, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Wait as long as there is a reason to, and keep it in the job's record.

    Args:
        reason: What is waited for; None when it is the job's turn.
        job: Its record.
        paths: Its run.
        sleep: Waits so many seconds.
    """
    while (why := reason()) is not None:
        if job.enter("waiting", why):
            job.save(paths)
            print(f"{job.name} waits {why}", flush=True)
        sleep(LOOK_SECONDS)


def unfinished(job: JobRecord, paths: RunPaths) -> str | None:
    """The first of the jobs or runs that must have finished before, and has not; None where all have."""
    for name in job.after:
        before = RunPaths(paths.root, name)
        state, why = _state_of(before)
        if state != "finished":
            told = {
                "failed": f"failed{f' ({why})' if why else ''}: `resume {name}` when that is mended",
                "stopped": f"was stopped: `resume {name}`",
                "interrupted": f"was interrupted: `resume {name}`",
                "lost": f"is gone without a word: `resume {name}`",
                "gone": "is not there any more: `stop` this one",
            }.get(state, f"is {state}")
            return f"for {name}, which {told}"
    return None


def _state_of(paths: RunPaths) -> tuple[str, str | None]:
    if paths.job_json.is_file():
        found = standing(paths)
        return found.state, found.why
    if not paths.exists():
        return "gone", None
    return run_state(Manifest.load(paths.manifest_json), paths, time.time()), None

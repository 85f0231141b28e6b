"""The process of a job: its log, its sign of life, and how it hears that it is to stop."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spectral_search.cluster import attendance
from spectral_search.cluster.attendance import ask_to_stop, attending, growing, heard, who_asked
from spectral_search.cluster.job_record import JobRecord
from spectral_search.errors import RequestError
from spectral_search.record.paths import RunPaths

JOB = JobRecord(name="small", stage="small", version="1.0", results="/r", submission_id="small-1")
WAITS = """
import sys, time
from pathlib import Path
from spectral_search.cluster.attendance import attending
from spectral_search.cluster.job_record import JobRecord
from spectral_search.record.paths import RunPaths
from spectral_search.terminal import take_signals
take_signals()
job = JobRecord(name="small", stage="small", version="1.0", results="/r", submission_id="small-1")
try:
    with attending(RunPaths(Path(sys.argv[1]), "small"), job):
        print("in the log", flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.mark.slow
def test_a_job_that_is_asked_to_stop_is_interrupted_and_all_it_said_is_in_its_log(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path, "small").reserve()
    process = subprocess.Popen([sys.executable, "-c", WAITS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert [process.stdout.readline().endswith(" begins\n"), process.stdout.readline()] == [True, "in the log\n"]
    with pytest.raises(RequestError, match="Another process carries out job small"), attending(paths, JOB):
        pass
    assert paths.job_alive.exists() and who_asked(paths) is None
    ask_to_stop(paths, "by me from here")
    assert process.communicate(timeout=30)[0] == "stopped\n" and who_asked(paths) == "by me from here"
    assert paths.job_log.read_text().endswith("in the log\n") and not paths.job_alive.exists()


def test_a_job_that_takes_long_to_stop_still_shows_that_it_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, asked = RunPaths(tmp_path, "small").reserve(), []
    monkeypatch.setattr(attendance, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(attendance, "BEAT_SECONDS", 0.0)
    monkeypatch.setattr(attendance.os, "kill", lambda pid, number: asked.append(pid))
    ask_to_stop(paths, "by the process before")
    with heard(paths):
        assert who_asked(paths) is None
        ask_to_stop(paths, "by me")
        assert soon(lambda: bool(asked))
        paths.job_alive.unlink()
        assert soon(paths.job_alive.exists)
    assert asked == [os.getpid()] and who_asked(paths) == "by me" and not paths.job_alive.exists()


def soon(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 10.0
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_a_log_is_followed_until_the_job_is_over(tmp_path: Path) -> None:
    paths, turns = RunPaths(tmp_path, "small").reserve(), iter([False, False, False, True])
    whole = "first\nand \N{LATIN SMALL LETTER E WITH ACUTE}, of which a half comes later"
    additions = iter([whole.encode()[:6], whole.encode()[6:11], whole.encode()[11:]])

    def sleep(seconds: float) -> None:
        with open(paths.job_log, "ab") as log:
            log.write(next(additions))

    assert list(growing(paths, lambda: next(turns), sleep)) == [whole[:6], whole[6:10], whole[10:]]

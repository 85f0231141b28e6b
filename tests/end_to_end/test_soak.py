"""Kills for half an hour, or for as many minutes as SOAK_MINUTES says: `make soak`."""

import os
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from soak import KINDS, soak, trains

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
ALL_MINUTES = 30.0
"""In so many something of each kind is killed."""
LAST_SECONDS = 1800.0
"""What a search that begins in the last minute may take."""


@pytest.mark.soak
@pytest.mark.timeout(60 * MINUTES + LAST_SECONDS)
def test_kills_change_no_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = soak(tmp_path, MINUTES)
    with capsys.disabled():
        print(f"\n{outcome.told()}")
    assert outcome.sound, outcome
    killed = {kind for kind, count in outcome.kills.items() if count}
    # In less time a kind may not have had its turn.
    assert killed == set(KINDS) or MINUTES < ALL_MINUTES, outcome


@pytest.mark.parametrize(
    ("title", "found"),
    [
        ("ray::PassServer", True),
        ("ray::small trial 3 fit.lr=0.001", True),
        ("ray::IDLE", False),
        ("ray::DashboardAgent", False),  # its node dies with it
        ("ray::RuntimeEnvAgent", False),
        ("sleep", False),
    ],
)
def test_only_processes_of_trials_and_passes_train(title: str, found: bool) -> None:
    with subprocess.Popen([title, "60"], executable="/bin/sleep") as process:
        try:
            started = psutil.Process(process.pid)
            # Its title is there a moment after the process is.
            until = time.monotonic() + 10.0
            while started.cmdline()[:1] != [title] and time.monotonic() < until:
                time.sleep(0.01)
            assert trains(started) == found
        finally:
            process.kill()

"""Starting Ray where it does not start, and seeing its processes off."""

import subprocess
import sys
from typing import Any

import psutil
import pytest
import ray

from spectral_search.errors import RunError
from spectral_search.search.device import plan_slots
from spectral_search.search.ray_session import STARTS, _see_off, ray_session
from spectral_search.spec.search import ResourcesSpec


def test_ray_that_does_not_start_is_tried_again_and_then_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def init(**options: Any) -> None:
        tried.append(options)
        raise Exception("The current node timed out during startup.\nAnd so on.")

    monkeypatch.setattr(ray, "init", init)
    resources = ResourcesSpec(gpus=[])
    with (
        pytest.raises(RunError, match=r"Ray does not start on this machine \(The current node timed out"),
        ray_session(resources, plan_slots(resources), data_bytes=0, dashboard=False),
    ):
        pass
    assert len(tried) == STARTS


def test_a_process_that_does_not_leave_is_killed() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    stays = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    leaves = subprocess.Popen([sys.executable, "-c", ""])
    assert stays.stdout is not None
    stays.stdout.readline()
    try:
        _see_off([psutil.Process(process.pid) for process in (stays, leaves)])
        assert not psutil.pid_exists(stays.pid) or stays.poll() is not None
    finally:
        stays.kill()
        stays.communicate()
        leaves.wait()

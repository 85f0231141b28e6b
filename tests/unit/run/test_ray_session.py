"""Starting Ray where it does not start, and seeing its processes off."""

import errno
import inspect
import signal
import socket
import subprocess
import sys
import time
from contextlib import AbstractContextManager, ExitStack
from threading import Event, Thread, current_thread, main_thread
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import ray

from spectral_search.errors import RequestError, RunError
from spectral_search.run import ray_session as ray_session_module
from spectral_search.run.ray_session import JOINS, STARTS, _join, _see_off, ray_session
from spectral_search.spec.search import ResourcesSpec
from spectral_search.train.devices import plan_slots


@pytest.fixture(autouse=True)
def no_shutdown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started here, and a Ray that other tests use must live on."""
    monkeypatch.setattr(ray, "shutdown", lambda: None)


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


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (PermissionError(13, "Permission denied", "/x"), "mend that, or `resume` the run with --executor inline"),
        (OSError(28, "No space left on device"), "free some space there or set TMPDIR"),
        (ValueError("object store memory is too small"), "mend that"),
    ],
)
def test_what_would_fail_again_is_tried_and_told_once(
    monkeypatch: pytest.MonkeyPatch, error: Exception, remedy: str
) -> None:
    tried = []

    def init(**options: Any) -> None:
        tried.append(options)
        raise error

    monkeypatch.setattr(ray, "init", init)
    resources = ResourcesSpec(gpus=[])
    session = ray_session(resources, plan_slots(resources), data_bytes=0, dashboard=False)
    with pytest.raises(RunError, match=remedy), session:
        pass
    assert len(tried) == 1


@pytest.mark.parametrize("error", [ConnectionError("refused"), TimeoutError("in time"), RuntimeError("no")])
def test_what_time_may_mend_is_tried_again(error: Exception) -> None:
    assert ray_session_module._lasting_fault(error) is None


def test_a_machine_without_a_free_port_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    class Taken(socket.socket):
        def bind(self, address: Any) -> None:
            raise OSError(errno.EADDRINUSE, "Address already in use")

    monkeypatch.setattr(socket, "socket", Taken)
    monkeypatch.setattr(ray, "init", lambda **options: pytest.fail("it would wait for one"))
    resources = ResourcesSpec(gpus=[])
    session = ray_session(resources, plan_slots(resources), data_bytes=0, dashboard=False)
    with pytest.raises(RunError, match=r"on this machine: no port of it is free\. End what holds them, or `resume`"):
        session.__enter__()
    assert ray_session_module._lasting_fault(RuntimeError("taken since")) == ray_session_module.NO_PORT


def test_while_ray_starts_its_processes_are_made_deaf_to_hangups(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []

    def init(**options: Any) -> None:
        found.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        raise ValueError("no")

    monkeypatch.setattr(ray, "init", init)
    before, resources = signal.pthread_sigmask(signal.SIG_BLOCK, ()), ResourcesSpec(gpus=[])
    with pytest.raises(RunError), ray_session(resources, plan_slots(resources), data_bytes=0, dashboard=False):
        pass
    assert found == [before | {signal.SIGHUP}]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_ray_is_not_started_again_for_who_wants_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    tried, checks = [], []

    def init(**options: Any) -> None:
        tried.append(options)
        raise Exception("The raylet was killed too.")

    def check() -> None:
        checks.append(1)
        if tried:
            raise KeyboardInterrupt

    monkeypatch.setattr(ray, "init", init)
    resources = ResourcesSpec(gpus=[])
    session = ray_session(resources, plan_slots(resources), data_bytes=0, dashboard=False, check=check)
    with pytest.raises(KeyboardInterrupt), session:
        pass
    assert (len(tried), len(checks)) == (1, 3)


class _Unreachable:
    """A cluster that refuses so many connections, and then is joined; time passes as it is slept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refusals: int) -> None:
        self.tried, self.slept = 0, list[float]()
        self._refusals = refusals
        monkeypatch.setattr(ray, "init", self._init)
        monkeypatch.setattr(time, "sleep", self.slept.append)

    def _init(self, **options: Any) -> SimpleNamespace:
        self.tried += 1
        if self.tried <= self._refusals:
            raise ConnectionError("ray client connection timeout\nAnd so on.")
        return SimpleNamespace(dashboard_url="there")


def test_a_cluster_that_is_out_of_reach_for_a_moment_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, checks = _Unreachable(monkeypatch, JOINS - 1), list[int]()
    assert _join("auto", lambda: checks.append(1)).dashboard_url == "there"
    assert cluster.tried == len(checks) == JOINS and len(cluster.slept) == JOINS - 1


def test_a_cluster_that_stays_out_of_reach_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = _Unreachable(monkeypatch, 100)
    with pytest.raises(RequestError, match=r"\(ray client connection timeout\): check .* \(Tried 3 times[.]\)$"):
        _join("auto")
    assert cluster.tried == JOINS


def test_a_cluster_is_not_joined_again_for_who_wants_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = _Unreachable(monkeypatch, 100)

    def check() -> None:
        if cluster.tried:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _join("auto", check)
    assert cluster.tried == 1


def test_while_ray_starts_sigterm_is_answered_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's own handlers exit, or kill the processes first, wherever they find this one."""
    found, before, setter = [], signal.getsignal(signal.SIGTERM), ray._private.utils.set_sigterm_handler

    def init(**options: Any) -> None:
        ray._private.utils.set_sigterm_handler(lambda number, frame: sys.exit(number))
        found.append(signal.getsignal(signal.SIGTERM))
        raise Exception("no")

    monkeypatch.setattr(ray, "init", init)
    resources = ResourcesSpec(gpus=[])
    session = ray_session(resources, plan_slots(resources), data_bytes=0, dashboard=False)
    with pytest.raises(RunError), session:
        pass
    assert found == [before] * STARTS
    assert ray._private.utils.set_sigterm_handler is setter


def test_ray_sets_its_handlers_by_the_call_that_is_kept_from_it() -> None:
    assert "ray._private.utils.set_sigterm_handler(" in inspect.getsource(ray._private.worker.init)
    assert "ray._private.utils.set_sigterm_handler(" in inspect.getsource(ray._private.node)


def test_a_process_that_does_not_leave_is_killed() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    stays = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    leaves = subprocess.Popen([sys.executable, "-c", ""])
    assert stays.stdout is not None
    stays.stdout.readline()
    try:
        _see_off([psutil.Process(process.pid) for process in (stays, leaves)])
        assert stays.poll() is not None
        assert leaves.poll() == 0
    finally:
        stays.kill()
        stays.communicate()
        leaves.wait()


class Cluster:
    """A Ray that starts at once, whose processes leave when `gone` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gone, self.left = Event(), False
        self.waiting: Thread | None = None
        monkeypatch.setattr(ray, "init", lambda **options: SimpleNamespace(dashboard_url=None))
        monkeypatch.setattr(ray, "is_initialized", lambda: True)
        monkeypatch.setattr(ray, "shutdown", lambda: None)
        monkeypatch.setattr(ray_session_module, "_see_off", self._leave)

    def _leave(self, processes: list[psutil.Process]) -> None:
        self.waiting = current_thread()
        self.left = self.gone.wait(60)

    def session(self, afterwards: ExitStack | None) -> AbstractContextManager[object]:
        resources = ResourcesSpec(gpus=[])
        return ray_session(resources, plan_slots(resources), data_bytes=0, dashboard=False, afterwards=afterwards)


def test_processes_leave_beside_what_comes_next_and_are_waited_for_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch)
    with ExitStack() as afterwards:
        with cluster.session(afterwards):
            pass
        assert not cluster.left
        cluster.gone.set()
    assert cluster.left


@pytest.mark.parametrize("fails", [False, True])
def test_after_a_failure_or_with_nothing_to_come_they_are_waited_for(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    cluster = Cluster(monkeypatch)
    cluster.gone.set()
    with ExitStack() as afterwards:
        try:
            with cluster.session(afterwards if fails else None):
                if fails:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            assert fails
        assert cluster.left
        assert cluster.waiting is main_thread()

"""Starting or joining Ray, quietly and safely: loopback, with a token that only its owner can read."""

import errno
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any

import psutil

from spectral_search.errors import RequestError, RunError
from spectral_search.places import FULL
from spectral_search.run.cluster_slots import Node, share_of, told_of_share, told_of_wait
from spectral_search.run.ray_home import lent_home, protect_token, session_folder
from spectral_search.run.run_lock import kill, kill_started, started_processes
from spectral_search.spec.search import ResourcesSpec
from spectral_search.train.devices import Slots, cpu_count

if TYPE_CHECKING:
    from ray._private.worker import BaseContext

_CONNECT_SECONDS = 5.0
_SHUTDOWN_SECONDS, _GONE_SECONDS = 0.5, 3.0
"""How long processes of Ray may take to leave by themselves, and how long once killed. Nothing is lost by that: what
they write is whole or swept, and the study is written by the driver alone."""
STARTS, JOINS, _JOIN_SECONDS = 3, 3, 2.0
_INLINE = "or `resume` the run with --executor inline, which needs no Ray."
NO_PORT = f"no port of it is free. End what holds them, {_INLINE}"
_STORE_HEADROOM = 1.25
_STORE_SPARE_BYTES = 1 << 30
_DEFAULT_PORT = 6379
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS_FRAME = b"\0\0\0\4\0\0\0\0\0"
"""An empty one: length 0 (3 bytes), type 4, no flags, stream 0 (4 bytes)."""

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_THRESHOLD_S": "60",
    # What befell a trial is in its log and in the study; Ray Tune would show a stack of its own for each attempt.
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # A trial that failed before its first epoch has no value on val, and says so in its own words.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Readers wait while trials train on what was read. Ray would end them after a second, and start others for the next
    # window at seconds of CPU time each.
    "RAY_idle_worker_killing_time_threshold_ms": "600000",
    # At Ray's own 15, anything else on the machine starves trials and readers.
    "RAY_worker_niceness": "0",
}

_QUIETLY: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}


@dataclass(frozen=True)
class Session:
    """A connection to Ray.

    Attributes:
        dashboard_url: Where its dashboard is, if it is on.
        slots: What trials may use.
        told: What a joined cluster has, for people.
        head: HOST:PORT of the head of a joined cluster.
    """

    dashboard_url: str | None
    slots: Slots
    told: str | None = None
    head: str | None = None


def check_address(address: str) -> None:
    """Make sure that a cluster may be at an address: that something there speaks HTTP/2, as Ray's servers do.

    Ray itself would wait for minutes, above all for a server of another kind.

    Raises:
        RequestError: Nothing answers within a few seconds, or something else than Ray.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise RequestError(f"--address {address} is not of the form HOST:PORT, such as 10.0.0.5:{_DEFAULT_PORT}.")
    remedy = "start one there with `ray start --head`, or say --address none to use this machine."
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS) as connection:
            # Behind TLS the greeting would not be understood; there a connection must do.
            answer = _SETTINGS_FRAME if os.environ.get("RAY_USE_TLS") == "1" else _greet(connection)
    except (OSError, UnicodeError) as error:
        # A host name that IDNA cannot encode, such as one with a label of 64 letters, is a UnicodeError.
        reason = getattr(error, "strerror", None) or str(error)
        raise RequestError(f"No Ray cluster answers at {address} ({reason.lower()}): {remedy}") from error
    if answer[3:4] != _SETTINGS_FRAME[3:4]:
        raise RequestError(f"What answers at {address} is no Ray cluster (its usual port is {_DEFAULT_PORT}): {remedy}")


def _greet(connection: socket.socket) -> bytes:
    """The first frame of an HTTP/2 server's answer; SETTINGS (RFC 9113, section 3.4) if it is one."""
    connection.sendall(_HTTP2_PREFACE + _SETTINGS_FRAME)
    answer, deadline = b"", time.monotonic() + _CONNECT_SECONDS
    while len(answer) < len(_SETTINGS_FRAME) and time.monotonic() < deadline:
        received = connection.recv(len(_SETTINGS_FRAME) - len(answer))
        if not received:
            break
        answer += received
    return answer


@contextmanager
def ray_session(
    resources: ResourcesSpec,
    slots: Slots,
    *,
    data_bytes: int,
    dashboard: bool,
    left: Sequence[Node] | None = None,
    share: Callable[[Sequence[Node], Sequence[Node] | None], Slots] | None = None,
    meanwhile: Callable[[], object] = lambda: None,
    check: Callable[[], object] = lambda: None,
    afterwards: ExitStack | None = None,
) -> Iterator[Session]:
    """Join the cluster at `resources.address`, or start one on this machine and stop it at the end.

    Args:
        resources: The spec's section.
        slots: What trials use on this machine.
        data_bytes: Examples that the object store must hold.
        dashboard: Whether a local cluster gets its dashboard.
        left: What others leave of each node of a joined cluster; all of it when absent.
        share: What the search gets of a joined cluster's nodes, of which so much is left; by `resources` and `slots`
            alone when absent.
        meanwhile: Begins what can go on while Ray's processes start. It is called once Ray is imported and its
            variables are set: neither may happen while another thread loads libraries.
        check: Called before anything is begun, before each attempt to start Ray and when it has started; what it raises
            ends the session.
        afterwards: Where given, the cluster's last processes leave beside what comes next, and are waited for when this
            is left; unless they held a GPU, or the block failed.
    """
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    protect_token()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    # Ray finds the GPUs that it hands out by this variable, so it is set before Ray starts.
    if slots.gpus and resources.address is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, slots.gpus))
    import ray

    check()
    meanwhile()
    # Children that this process had before are not for this session to end.
    earlier = set(started_processes())
    told: str | None = None
    done, lent, folders = False, ExitStack(), ExitStack()
    try:
        lent.enter_context(lent_home())
        if resources.address is not None:
            context = _join(resources.address, check)
            nodes = list(living_nodes().values())
            slots = (share or partial(share_of, resources, slots))(nodes, left)
            told = told_of_share(slots, nodes, left)
            # A job has waited for its room; whoever joins by himself waits now.
            if left is None and (wait := told_of_wait(slots, nodes, ray.available_resources())) is not None:
                told = f"{told} {wait}"
        else:
            context = _start(
                check,
                _temp_dir=str(folders.enter_context(session_folder())),
                num_cpus=cpu_count(),
                num_gpus=len(slots.gpus),
                object_store_memory=int(data_bytes * _STORE_HEADROOM) + _STORE_SPARE_BYTES,
                include_dashboard=dashboard,
            )
        check()
        head = None if resources.address is None else str(ray.get_runtime_context().gcs_address)
        yield Session(context.dashboard_url or None, slots, told, head)
        done = True
    finally:
        lent.close()
        if slots.gpus and resources.address is None:
            # Another run of this process may want other GPUs.
            os.environ.pop("CUDA_VISIBLE_DEVICES")
            os.environ.update({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
        # Ray's own shutdown may not know of what a start that was broken off has left.
        if not ray.is_initialized():
            kill_started(earlier)
        # Asked for before the shutdown: what outlives its parent is nobody's child any more.
        ours = [process for process in started_processes() if process not in earlier]
        ray.shutdown()

        def leave() -> None:
            with folders:  # gone when nobody writes there any more
                _see_off(ours)

        if afterwards is None or slots.gpus or not done:
            leave()
        else:
            leaving = Thread(target=leave, name="ray leaves")
            leaving.start()
            afterwards.callback(leaving.join)


def look_at_cluster(address: str) -> tuple[dict[str, Node], Node]:
    """What each living node of a cluster has, by its id, and what nobody uses at this moment, of all together.

    Raises:
        RequestError: The cluster cannot be joined.
    """
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    import ray

    with lent_home():
        _join(address)
        try:
            return living_nodes(), dict(ray.available_resources())
        finally:
            ray.shutdown()


def living_nodes() -> dict[str, Node]:
    """What each living node of the cluster that this process is connected to has, by its id."""
    import ray

    return {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}


def _see_off(processes: list[psutil.Process]) -> None:
    """Let processes leave by themselves, for a moment."""
    _, left = psutil.wait_procs(processes, timeout=_SHUTDOWN_SECONDS)
    kill(left)
    psutil.wait_procs(left, timeout=_GONE_SECONDS)


def _start(check: Callable[[], object], **options: Any) -> "BaseContext":
    """Start Ray on this machine. It allows itself half a minute, which is not always enough on a busy one.

    Raises:
        RunError: It did not start in several attempts, or failed for a reason that time does not mend.
    """
    import ray

    if not _has_free_port():  # for which Ray would wait for half a minute
        raise RunError(f"Ray does not start on this machine: {NO_PORT}")
    # "local" overrides RAY_ADDRESS. Loopback, since whoever reaches an open port of Ray can run code here.
    options |= {"address": "local", "dashboard_host": "127.0.0.1", **_QUIETLY}
    for _ in range(STARTS):
        check()
        earlier = set(started_processes())
        try:
            with _handlers_kept(), _deaf_to_hangups():
                return ray.init(**options)
        except Exception as error:
            remedy = _lasting_fault(error)  # before what was started lets go of what it holds
            kill_started(earlier)
            ray.shutdown()
            reason = (str(error) or type(error).__name__).splitlines()[0]
            if remedy is not None:
                raise RunError(f"Ray does not start on this machine ({reason}): {remedy}") from error
    raise RunError(
        f"Ray does not start on this machine ({reason}): `resume` the run when the machine is less busy, or with "
        "--executor inline, which needs no Ray."
    )


def _lasting_fault(error: Exception) -> str | None:
    """What to do about a failed start that would fail again; None where waiting may mend it."""
    if not _has_free_port():
        return NO_PORT
    if isinstance(error, ConnectionError | TimeoutError):
        return None
    if isinstance(error, OSError) and error.errno in FULL:
        return f"free some space there or set TMPDIR to another disk, then `resume`, {_INLINE}"
    if isinstance(error, OSError | ValueError):
        return f"mend that, {_INLINE}"
    return None


def _has_free_port() -> bool:
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
    except OSError as error:
        # For port 0 this says that no port at all is left; any other error is Ray's to tell of.
        return error.errno != errno.EADDRINUSE
    return True


@contextmanager
def _deaf_to_hangups() -> Iterator[None]:
    """Let Ray's processes be started with SIGHUP blocked, and this one hear it later.

    The kernel tells all processes of a terminal that it is gone. Ray's would die of it, at once, of a search that is
    just ending in good order and sees them off itself.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Keep Ray from setting its own handlers of SIGTERM, which exit wherever they find this process.

    If Ray sets them in another way, nothing is changed.
    """
    import ray._private.utils as private

    setter = getattr(private, "set_sigterm_handler", None)
    if setter is None:
        yield
        return
    private.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        private.set_sigterm_handler = setter


def _join(address: str, check: Callable[[], object] = lambda: None) -> "BaseContext":
    """Join a cluster, which a search that has waited for its turn may find out of reach for a moment.

    Args:
        address: HOST:PORT, or auto.
        check: Called before each attempt; what it raises ends them.

    Raises:
        RequestError: It could not be joined in several attempts.
    """
    for attempt in range(JOINS):
        if attempt:
            time.sleep(_JOIN_SECONDS)
        check()
        try:
            return _join_once(address)
        except RequestError as error:
            last = error
    *others, told = last.faults
    raise RequestError(*others, f"{told} (Tried {JOINS} times.)") from last


def _join_once(address: str) -> "BaseContext":
    import ray

    check_address(address)
    try:
        with _handlers_kept():
            return ray.init(address=address, **_QUIETLY)
    except (ConnectionError, RuntimeError, ValueError) as error:
        ray.shutdown()
        reason = str(error).splitlines()[0]
        raise RequestError(
            f"What answers at {address} is no Ray cluster that this process may join ({reason}): check the address, "
            "that both run the same Ray and Python, and RAY_AUTH_MODE with its token."
        ) from error

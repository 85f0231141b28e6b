"""Starting or joining Ray, quietly and safely: loopback, with a token that only its owner can read."""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from spectral_search.errors import RequestError
from spectral_search.search.device import Slots, cpu_count
from spectral_search.spec.search import ResourcesSpec

if TYPE_CHECKING:
    from ray._private.worker import BaseContext

CONNECT_SECONDS = 5.0
STORE_HEADROOM = 1.25
STORE_SPARE_BYTES = 1 << 30
DEFAULT_PORT = 6379

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_THRESHOLD_S": "60",
    # A trial that failed before its first epoch has no val R2, and says so in its own words.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True)
class Session:
    """A connection to Ray: where its dashboard is, if it is on, and what trials may use."""

    dashboard_url: str | None
    slots: Slots


def check_address(address: str) -> None:
    """Make sure that something answers at a cluster's address.

    Raises:
        RequestError: Nothing does within a few seconds.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").partition(":")
    if port and not port.isdigit():
        raise RequestError(f"--address {address} is not of the form HOST:PORT.")
    try:
        socket.create_connection((host, int(port or DEFAULT_PORT)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise RequestError(
            f"No Ray cluster answers at {address} ({error}): start one there with `ray start --head`, or leave "
            "--address out to start one on this machine."
        ) from error


@contextmanager
def ray_session(resources: ResourcesSpec, slots: Slots, *, data_bytes: int, dashboard: bool) -> Iterator[Session]:
    """Join the cluster at `resources.address`, or start one on this machine and stop it at the end.

    Args:
        resources: The spec's section.
        slots: What trials use on this machine.
        data_bytes: Spectra that the object store must hold.
        dashboard: Whether a local cluster gets its dashboard.
    """
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    protect_token()
    if slots.gpus and resources.address is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, slots.gpus))
    import ray

    if resources.address is not None:
        context = _join(resources.address)
        slots = _cluster_slots(resources, slots)
    else:
        context = ray.init(
            address="local",
            num_cpus=cpu_count(),
            num_gpus=len(slots.gpus),
            object_store_memory=int(data_bytes * STORE_HEADROOM) + STORE_SPARE_BYTES,
            include_dashboard=dashboard,
            dashboard_host="127.0.0.1",
            logging_level="ERROR",
            log_to_driver=False,
        )
    try:
        yield Session(context.dashboard_url or None, slots)
    finally:
        ray.shutdown()


def protect_token() -> None:
    """Make the token of Ray's local clusters before Ray does: Ray's own is readable as the umask allows."""
    token = Path.home() / ".ray" / "auth_token"
    with suppress(OSError):
        token.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    with suppress(OSError):
        token.chmod(0o600)


def _join(address: str) -> "BaseContext":
    import ray

    check_address(address)
    try:
        return ray.init(address=address, logging_level="ERROR", log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise RequestError(
            f"What answers at {address} is no Ray cluster that this process may join ({reason}): check the address, "
            "that both run the same Ray and Python, and RAY_AUTH_MODE with its token."
        ) from error


def _cluster_slots(resources: ResourcesSpec, slots: Slots) -> Slots:
    """Slots of a whole cluster: its own CPUs and GPUs count, not this machine's."""
    import ray

    total = ray.cluster_resources()
    gpus = total.get("GPU", 0.0) if resources.gpus != [] else 0.0
    per_trial = resources.gpus_per_trial
    gpus_per_trial = (1.0 if gpus else 0.0) if per_trial == "auto" else per_trial
    cpus_per_trial = 1.0 if resources.cpus_per_trial == "auto" else resources.cpus_per_trial
    by_cpu = int(total.get("CPU", 1.0) / cpus_per_trial + 1e-9)
    by_gpu = int(gpus / gpus_per_trial + 1e-9) if gpus_per_trial else by_cpu
    concurrent = max(1, min(by_cpu, by_gpu, resources.concurrent or by_cpu))
    return replace(slots, cpus_per_trial=cpus_per_trial, gpus_per_trial=gpus_per_trial, concurrent=concurrent)

"""A real Ray cluster of two nodes on this machine, with its token, that a test can kill in parts or as a whole."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from small_search import REPOSITORY, environment

_NODES = """
import contextlib, json, pathlib, psutil, sys
from ray.cluster_utils import Cluster
nodes, port, folder = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
dashboard = {"include_dashboard": True, "dashboard_port": port, "dashboard_host": "127.0.0.1"}
cluster = Cluster(initialize_head=True, head_node_args={**nodes[0], **dashboard, "temp_dir": folder})
pathlib.Path(folder, "ray_current_cluster").write_text(cluster.address)
others = [cluster.add_node(**node) for node in nodes[1:]]
print(json.dumps({"address": cluster.address}), flush=True)
for line in sys.stdin:
    if line == "add\\n":
        others.append(cluster.add_node(**nodes[-1]))
    else:
        lost = others.pop()
        started = [one.process.pid for kind in lost.all_processes.values() for one in kind]
        for process in [child for pid in started for child in psutil.Process(pid).children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        cluster.remove_node(lost, allow_graceful=False)
    print("done", flush=True)
"""


class SmallCluster:
    """A cluster whose every process is a child of one.

    Args:
        folder: Where its token lies.
        nodes: What each has, as `Cluster.add_node` takes it; the first is the head.
    """

    def __init__(self, folder: Path, nodes: Sequence[dict[str, Any]]) -> None:
        token = folder / "token"
        if not token.exists():
            with os.fdopen(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
        self.environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        port = _free_port()
        # Their agents listen too, where another cluster of this machine may.
        nodes = [{"dashboard_agent_listen_port": _free_port(), **node} for node in nodes]
        self.url = f"http://127.0.0.1:{port}"
        # Of its own, with the address in it that `ray start` would write: else Ray tells a job that of any cluster of
        # this machine. Short, for the sockets in it.
        self._sessions = tempfile.mkdtemp(prefix="ray-")
        quiet = {"RAY_USAGE_STATS_ENABLED": "0", "PATH": _path()}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _NODES, json.dumps(nodes), str(port), self._sessions],
            env={**environment(), **self.environment, **quiet}, cwd=REPOSITORY,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.address = json.loads(self._process.stdout.readline())["address"]

    def remove_node(self) -> None:
        """SIGKILL to every process of the last node that was added."""
        self._ask("remove")

    def add_node(self) -> None:
        """Add another node like the last."""
        self._ask("add")

    def _ask(self, what: str) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline().strip() == "done"

    def look(self) -> list[psutil.Process]:
        """Its processes, now."""
        with suppress(psutil.Error):
            return list(psutil.Process(self._process.pid).children(recursive=True))
        return []

    def kill(self) -> None:
        """SIGKILL to every process of it."""
        found = self.look()
        self._process.kill()
        for process in found:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(found, timeout=30)
        self._process.communicate()
        shutil.rmtree(self._sessions, ignore_errors=True)


def _path() -> str:
    """A PATH with this Python first, as in an environment that was activated."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def small_cluster(folder: Path, *nodes: dict[str, Any]) -> Iterator[SmallCluster]:
    """A cluster that is gone at the end."""
    cluster = SmallCluster(folder, nodes)
    try:
        yield cluster
    finally:
        cluster.kill()

"""Runs of the command line as processes that tests can kill, with everything that they start."""

import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil
from default_signals import default_signals
from small_search import command, environment

START_SECONDS, END_SECONDS, GONE_SECONDS = 300.0, 600.0, 60.0
"""What a command may take to get somewhere, to end, and its processes to be gone, on a busy machine."""
LOOK_SECONDS = 0.5


class Running:
    """A spectral-search command on its way, in a session of its own.

    Args:
        arguments: Of the command line.
        log: Where its output goes, for tests that read it while it runs; kept for `end` otherwise.
        variables: Set for it beside those of this process.
    """

    def __init__(self, *arguments: object, log: Path | None = None, variables: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command(*arguments),
            env={**environment(), **(variables or {})},
            stdout=subprocess.PIPE if log is None else log.open("w"),
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=default_signals,
        )
        self.seen: set[psutil.Process] = set()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def look(self) -> list[psutil.Process]:
        """The processes that it has started, now; all that were ever seen are remembered."""
        children: list[psutil.Process] = []
        with suppress(psutil.Error):
            children = psutil.Process(self.process.pid).children(recursive=True)
        self.seen |= set(children)
        return children

    def wait_for(self, condition: Callable[[], bool], timeout: float = START_SECONDS) -> bool:
        """Wait until the condition holds; False when the command or the time was over before."""
        begun = looked = time.monotonic()
        while not condition():
            now = time.monotonic()
            if not self.alive or now > begun + timeout:
                return condition()
            # Looking reads of every process of the machine, which would slow down what is waited for.
            if now > looked + LOOK_SECONDS:
                self.look()
                looked = now
            time.sleep(0.02)
        self.look()
        return True

    def kill(self) -> None:
        """SIGKILL to the command and to every process that it started."""
        children = self.look()
        self.process.kill()
        for child in children:
            with suppress(psutil.Error):
                child.kill()
        self.process.communicate()
        assert not self.survivors(), self.survivors()

    def end(self, timeout: float = END_SECONDS) -> tuple[int, str]:
        """Wait for its end; exit code and everything that it said."""
        end = time.monotonic() + timeout
        while self.alive and time.monotonic() < end:
            self.look()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(LOOK_SECONDS)
        output, _ = self.process.communicate(timeout=GONE_SECONDS)
        return self.process.returncode, output

    def survivors(self, grace: float = GONE_SECONDS) -> list[psutil.Process]:
        """Processes that it started and that outlive it, after a while of grace."""
        _, left = psutil.wait_procs(self.seen, timeout=grace)
        return [process for process in left if process.status() != psutil.STATUS_ZOMBIE]


def recorded_epochs(folder: Path) -> int:
    """Epochs that the progress files of a run hold."""
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("trials/*/progress.jsonl"))

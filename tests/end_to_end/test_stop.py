"""Stopping a search: Ctrl-C, SIGTERM, a lost terminal, `stop`, its process killed. Nothing outlives it."""

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Any

import psutil
import pytest
from command_line import call
from default_signals import default_signals, heard_here
from processes import Running, recorded_epochs
from small_search import ON_RAY, cli, command, environment, facts, make_data, make_spec

from spectral_search import service
from spectral_search.errors import RequestError
from spectral_search.record.paths import RunPaths
from spectral_search.run import driver
from spectral_search.run.run_lock import Stopping

pytestmark = [pytest.mark.usefixtures("heard"), pytest.mark.slow]

STOP_SECONDS = 120.0
"""Generous on a busy machine: a stop takes about two seconds on a quiet one."""


@pytest.fixture
def heard() -> Iterator[None]:
    """This process hears the signals that it is sent, whatever the tests were started with."""

    def missed(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"nobody took {signal.Signals(number).name}")  # by default it would end all tests

    with heard_here():
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, missed)
        yield


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    make_spec(folder, make_data(folder / "data"), search={"trials": 40, "pruner": "none"})
    return folder / "small.yaml"


class Stopped:
    """A search that is to be stopped after a few epochs.

    Args:
        spec: The search.
        results: The results folder.
        executor: How it trains.
    """

    def __init__(self, spec: Path, results: Path, executor: str = ON_RAY[0]) -> None:
        self.paths = RunPaths(results, "run")
        where = ["--no-dashboard", "--executor", executor]
        self.running = Running("run", spec, "--name", "run", "--results", results, *where)
        assert self.running.wait_for(lambda: recorded_epochs(self.paths.folder) >= 3), self.running.end()[1]
        self.pid = self.running.process.pid

    def check_record(self) -> None:
        """Nothing outlived it, and the record is whole."""
        assert not self.running.survivors()
        record = service.status("run", str(self.paths.root))
        assert record.state == "interrupted"
        assert record.epochs_trained == recorded_epochs(self.paths.folder) >= 3
        facts(self.paths)

    def check_good_order(self, begun: float) -> None:
        """It ended with 130 in good time and told how to go on, and nothing else."""
        code, output = self.running.end()
        took = time.monotonic() - begun
        assert code == 130, output
        assert took < STOP_SECONDS, took
        assert f"Go on with: spectral-search resume run --results {self.paths.root}\n" in output
        for noise in ("Traceback", "SIGTERM", "ray::", "core_worker"):
            assert noise not in output
        self.check_record()


@pytest.mark.parametrize(
    ("how", "executor"),
    [
        ("ctrl-c", "inline"),
        *[(how, name) for how in ("ctrl-c", "hangup") for name in ON_RAY],
        ("stop", ON_RAY[0]),
    ],
)
def test_search_stops_in_good_order(spec: Path, tmp_path: Path, how: str, executor: str) -> None:
    stopped = Stopped(spec, tmp_path, executor)
    begun = time.monotonic()
    if how == "ctrl-c":  # a terminal sends it to every process of the foreground
        os.killpg(stopped.pid, signal.SIGINT)
    elif how == "hangup":  # the kernel tells the foreground processes of a terminal that is gone, then the shell does
        for _ in range(2):
            os.killpg(stopped.pid, signal.SIGHUP)
    else:
        answer = cli("stop", "run", "--results", tmp_path)
        assert answer.returncode == 0, answer.stderr
    stopped.check_good_order(begun)


def test_a_lost_terminal_ends_a_search_in_good_order(spec: Path, tmp_path: Path) -> None:
    """Of a dropped connection nothing is left to write to: each write fails."""
    paths, (master, terminal) = RunPaths(tmp_path, "run"), pty.openpty()

    def take_terminal() -> None:
        default_signals()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        command("run", spec, "--name", "run", "--results", tmp_path, "--executor", "inline"),
        env=environment(),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(terminal)
    reader = Thread(target=read_until_closed, args=(master, lambda: recorded_epochs(paths.folder) >= 3))
    reader.start()
    reader.join(STOP_SECONDS)
    os.close(master)
    assert process.wait(STOP_SECONDS) == 130
    record = service.status("run", str(tmp_path))
    assert record.state == "interrupted" and record.epochs_trained >= 3
    facts(paths)


def read_until_closed(master: int, enough: Callable[[], bool]) -> None:
    """Read what a terminal shows, so that nobody waits for it, until it was enough."""
    while not enough():
        if select.select([master], [], [], 0.02)[0]:
            os.read(master, 65536)


def test_second_ctrl_c_stops_at_once(spec: Path, tmp_path: Path) -> None:
    stopped = Stopped(spec, tmp_path)
    os.kill(stopped.pid, signal.SIGINT)
    time.sleep(0.05)
    begun = time.monotonic()
    os.kill(stopped.pid, signal.SIGINT)
    code, output = stopped.running.end()
    assert (code, time.monotonic() - begun < STOP_SECONDS) == (130, True), output
    assert "resume run" in output
    stopped.check_record()


def test_nothing_outlives_a_killed_driver(spec: Path, tmp_path: Path) -> None:
    stopped = Stopped(spec, tmp_path)
    os.kill(stopped.pid, signal.SIGKILL)
    assert stopped.running.end()[0] == -signal.SIGKILL
    # Trials end within a second or two; Ray's agents look for their parent now and then, and take half a minute.
    assert not stopped.running.survivors(grace=180)
    assert service.status("run", str(tmp_path)).state == "interrupted"


def has_begun(running: Running, folder: Path) -> bool:
    return (folder / "manifest.json").exists()


def has_started(name: str) -> Callable[[Running, Path], bool]:
    """Whether a process of this name was started."""

    def started(running: Running, folder: Path) -> bool:
        names = []
        for process in running.look():
            try:
                names.append(process.name())
            except psutil.Error:  # gone again
                continue
        return name in names

    return started


def has_a_trial(running: Running, folder: Path) -> bool:
    return (folder / "trials" / "0000").exists()


@pytest.mark.parametrize("moment", [has_begun, has_started("gcs_server"), has_started("raylet"), has_a_trial])
def test_sigterm_during_the_start(spec: Path, tmp_path: Path, moment: Callable[[Running, Path], bool]) -> None:
    running = Running("run", spec, "--name", "early", "--results", tmp_path, "--no-dashboard")
    assert running.wait_for(lambda: moment(running, tmp_path / "early")), running.end()[1]
    running.process.send_signal(signal.SIGTERM)
    code, output = running.end()
    assert code == 130, output
    assert "resume early" in output
    assert not running.survivors()


class Finalised:
    """Is sent SIGTERM where Python prints and drops what the handler raises."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def exit_as_ray(number: int, frame: FrameType | None) -> None:
    """Ray's own handler while it starts."""
    sys.exit(number)


@pytest.mark.parametrize("rays", [False, True])
def test_signal_that_lands_in_a_finaliser_is_kept_and_not_told_of(
    capfd: pytest.CaptureFixture[str], rays: bool
) -> None:
    stopping, halted = Stopping("farewell"), []
    stopping.on_stop.append(lambda: halted.append(1))

    with stopping.listening():
        if rays:
            stopping.listen_later()
            signal.signal(signal.SIGTERM, exit_as_ray)
        Finalised()
        with pytest.raises(KeyboardInterrupt):
            stopping.listen()
    assert halted == [1]
    assert capfd.readouterr().err == ""


def test_signal_is_kept_until_it_may_be_raised(capfd: pytest.CaptureFixture[str]) -> None:
    """While a thread imports, an exception here can leave Python's import lock taken."""
    stopping, halted = Stopping("farewell"), []
    stopping.on_stop.append(lambda: halted.append(1))
    with stopping.listening():
        stopping.listen_later()
        stopping.check()
        signal.raise_signal(signal.SIGINT)
        assert halted == [1]
        for heard in (stopping.check, stopping.listen):
            with pytest.raises(KeyboardInterrupt):
                heard()
    assert halted == [1]
    assert capfd.readouterr().err == "\nStopping as soon as Ray has started; once more ends at once.\n"


def test_a_second_hangup_is_no_impatience_and_an_ignored_one_is_not_heard() -> None:
    stopping = Stopping("farewell")
    with pytest.raises(KeyboardInterrupt), stopping.listening():
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        stopping.check()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    stopping = Stopping("farewell")
    with stopping.listening():
        signal.raise_signal(signal.SIGHUP)
        stopping.check()


def test_check_takes_the_signals_again() -> None:
    """From `ray.init` on a handler of Ray's in C++ stands before Python's, and aborts where that one waits too long."""
    stopping = Stopping("farewell")
    with pytest.raises(KeyboardInterrupt), stopping.listening():
        stopping.listen_later()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stopping.check()
        signal.raise_signal(signal.SIGTERM)
        stopping.check()


@pytest.mark.parametrize("asked", [False, True])
def test_what_fails_to_start_after_a_signal_was_interrupted(asked: bool) -> None:
    stopping = Stopping("farewell")
    with pytest.raises(KeyboardInterrupt if asked else RequestError), stopping.listening():
        stopping.listen_later()
        if asked:
            signal.raise_signal(signal.SIGTERM)
        raise RequestError("no Ray")


def test_what_fails_after_the_start_is_told() -> None:
    """A stop that runs into a full disk says so."""
    stopping = Stopping("farewell")
    with pytest.raises(RequestError, match="no space"), stopping.listening():
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        raise RequestError("no space")


@pytest.mark.parametrize("rays", [False, True])
def test_no_alarm_aborts_what_a_signal_ends_in_good_order(rays: bool) -> None:
    """Ray's handler in C++ sets one, three seconds ahead, and hands the signal on."""
    stopping = Stopping("farewell")
    with pytest.raises(KeyboardInterrupt), stopping.listening():
        if rays:
            signal.signal(signal.SIGTERM, exit_as_ray)
        signal.alarm(100)
        signal.raise_signal(signal.SIGTERM)
    assert signal.alarm(0) == 0


def test_sigterm_around_a_fork_of_ray_is_kept() -> None:
    """Python drops what is raised by what runs before and after a fork: Ray's processes are started by many."""
    stopping = Stopping("farewell")
    armed = [True]

    def strike() -> None:
        if armed:
            armed.clear()
            signal.raise_signal(signal.SIGTERM)

    os.register_at_fork(after_in_parent=strike)
    with pytest.raises(KeyboardInterrupt), stopping.listening():
        stopping.listen_later()
        signal.signal(signal.SIGTERM, exit_as_ray)
        subprocess.run([sys.executable, "-c", ""], check=True, preexec_fn=lambda: None)
        assert not armed
        stopping.listen()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signal_before_a_run_began(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(driver, "begin", lambda *arguments: signal.raise_signal(getattr(signal, name)))
    done = call("run", spec, "--results", "results", "--executor", "inline", "--json", folder=tmp_path)
    assert (done.code, done.stdout) == (130, "")
    assert "Interrupted before the run began" in done.stderr
    assert not (tmp_path / "results").exists()


def test_signal_as_the_folder_of_a_run_appears(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is not told of yet, and it goes on all the same."""
    begin = driver.begin

    def struck(*arguments: Any) -> None:
        begin(*arguments)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(driver, "begin", struck)
    done = call("run", spec, "--name", "early", "--results", "results", "--executor", "inline", folder=tmp_path)
    assert done.code == 130
    assert "resume early --results results" in done.stderr

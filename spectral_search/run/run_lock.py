"""One process at a time works on a run, and it can be asked to stop."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType

import psutil

from spectral_search.errors import RequestError
from spectral_search.record.file_lock import lock_of
from spectral_search.record.paths import RunPaths
from spectral_search.terminal import leave_lost_terminals, tell

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INTERRUPTED = 130
_SHOW_CURSOR = "\x1b[?25h"


@contextmanager
def hold(paths: RunPaths) -> Iterator[None]:
    """Keep every other process out of a run; the system lets go of it when this process ends, however it ends.

    Raises:
        RequestError: Another process works on the run, or its folder cannot be written.
    """
    with ExitStack() as held:
        with paths.going_on():
            state = held.enter_context(lock_of(paths.lock))
        # Without locks the manifest's process alone tells of another one at work.
        if state == "taken":
            raise RequestError(
                f"Another process works on run {paths.name} already: follow it with `spectral-search status "
                f"{paths.name}`."
            )
        yield


class Stopping:
    """What Ctrl-C, SIGTERM and a lost terminal do: the first ends the search in good order, the second at once.

    Args:
        farewell: What to say to the second; the first is answered by whoever catches KeyboardInterrupt.
    """

    def __init__(self, farewell: str) -> None:
        self.on_stop: list[Callable[[], None]] = []
        self._farewell = farewell
        self._asked = self._later = False
        # A background job of a shell script, or under nohup, is started deaf to Ctrl-C, and stays so.
        self._heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler.

        Raises:
            KeyboardInterrupt: The first time; after `listen_later`, `check` and `listen` raise it.
        """
        if number == signal.SIGHUP:
            leave_lost_terminals()
            if self._asked:  # a lost terminal is told of by the kernel and by the shell: nobody is impatient
                return
        if self._asked:
            self._end_at_once()
        # Raised below, the exception may be swallowed by a callback of a library that it lands in: be sure of it.
        self._ask()
        if not self._later:
            raise KeyboardInterrupt
        tell("\nStopping as soon as Ray has started; once more ends at once.\n")

    def _ask(self) -> None:
        self._asked = True
        # The last handler to stand while Ray starts, in C++, prints its stack, hands on and has SIGALRM abort the
        # process three seconds later (absl::FailureSignalHandlerOptions.alarm_on_failure_secs).
        signal.alarm(0)
        for action in self.on_stop:
            action()

    def _end_at_once(self) -> None:
        kill_started()
        tell(f"{_SHOW_CURSOR if os.isatty(2) else ''}\n{self._farewell}\n")
        # Not sys.exit, which would wait for threads, and it may be one of these that hangs.
        os._exit(_INTERRUPTED)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Answer to the signals; in a thread other than the main one they are somebody else's."""
        before = {number: signal.getsignal(number) for number in self._heard}
        hook, sys.unraisablehook = sys.unraisablehook, self._hear_dropped
        try:
            self.listen()
            yield
        except Exception as error:
            if self._asked and self._later:
                # What was being started was to end anyway; a signal to all processes may be why it failed.
                raise KeyboardInterrupt from error
            raise
        except SystemExit:
            # While Ray starts, its own handler of SIGTERM stands, which exits.
            self._ask()
            raise KeyboardInterrupt from None
        finally:
            sys.unraisablehook = hook
            if _in_main_thread():
                for number, handler in before.items():
                    signal.signal(number, handler)

    def listen_later(self) -> None:
        """Raise nothing before `check` or `listen` is called.

        While a thread imports, this one waits for Python's import lock, where an exception out of a signal's handler
        can leave the lock taken (`_get_module_lock` in importlib), and the thread waiting for ever.
        """
        self._later = True

    def listen(self) -> None:
        """From here on, signals are raised where they come.

        Raises:
            KeyboardInterrupt: One came before.
        """
        self._later = False
        self.check()

    def check(self) -> None:
        """End here if a signal came, and take the signals (again): `ray.init` puts other handlers in their place.

        Raises:
            KeyboardInterrupt: One came before.
        """
        if _in_main_thread():
            for number in self._heard:
                signal.signal(number, self.handle)
        if self._asked:
            raise KeyboardInterrupt

    def _hear_dropped(self, unraisable: "sys.UnraisableHookArgs") -> None:
        """Python prints and drops what is raised in a finaliser or around a fork, where a signal may well land."""
        if isinstance(unraisable.exc_value, SystemExit) and self._later:  # Ray's handler, which did nothing else
            self._ask()
        elif not isinstance(unraisable.exc_value, KeyboardInterrupt):
            sys.__unraisablehook__(unraisable)


def _in_main_thread() -> bool:
    """Whether this thread may set signal handlers."""
    return threading.current_thread() is threading.main_thread()


def started_processes() -> list[psutil.Process]:
    """All living processes that this one started, and those that they started."""
    with suppress(psutil.Error):
        return psutil.Process().children(recursive=True)
    return []


def kill_started(earlier: Collection[psutil.Process] = ()) -> None:
    """Kill all that this process started and all that those did, but for what was there earlier.

    They are halted first, until no new ones turn up: a process that is starting others would leave them orphaned.
    """
    found: set[psutil.Process] = set()
    while new := set(started_processes()) - set(earlier) - found:
        found |= new
        for process in new:
            with suppress(psutil.Error):
                process.suspend()
    kill(list(found))


def kill(processes: list[psutil.Process]) -> None:
    """Kill processes; those that are gone already do not matter."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()

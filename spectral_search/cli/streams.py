"""stdout and stderr that are full, closed, or no longer read: no traceback, and no work lost for lines nobody gets.

What cannot be written is dropped, and the command goes on: a search that ran for days must not end with the disk that
its log is on. Its exit code and one sentence say at the end that output was lost. Only where nobody reads any more, as
after `| head`, the command ends: a search in good order, everything else at once and quietly.
"""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from spectral_search.errors import OutputClosedError, RunError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Guarded(io.FileIO):
    """A file descriptor whose first fault is remembered; what comes after it is dropped."""

    def __init__(self, descriptor: int, *, ends: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.fault: OSError | None = None
        self._ends = ends

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write, or drop what cannot be written.

        Raises:
            OutputClosedError: Once, when nobody reads what this process is for.
        """
        if self.fault is None:
            try:
                return super().write(data)
            except OSError as error:
                self.fault = error
                if self._ends and error.errno == errno.EPIPE:
                    raise OutputClosedError("Nobody reads the output any more.") from None
        return memoryview(data).nbytes


@contextmanager
def guarded() -> Iterator[None]:
    """Guard stdout and stderr, where they are this process's own."""
    _fill_closed()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _guard(sys.stdout, ends=True), _guard(sys.stderr, ends=False)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OutputClosedError):
                stream.flush()
        sys.stdout, sys.stderr = before


def _fill_closed() -> None:
    """Open /dev/null in place of a closed stdin, stdout or stderr: the next file opened would be taken for it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for the rest of the process


def _guard(stream: TextIO, *, ends: bool) -> TextIO:
    """The stream over a guarded descriptor; one that lies in memory, as in tests and notebooks, as it is."""
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    if not isinstance(stream, io.TextIOWrapper) or not isinstance(raw, io.FileIO):
        return stream
    with suppress(OSError):
        stream.flush()
    guarded = _Guarded(raw.fileno(), ends=ends)
    return io.TextIOWrapper(
        guarded if raw is buffer else io.BufferedWriter(guarded),
        encoding=stream.encoding,
        # File names may hold bytes that are no text, and an encoding may lack letters.
        errors="backslashreplace" if stream.errors == "strict" else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def lost_output() -> OSError | None:
    """What kept stdout from being written, if anything did so far."""
    buffer = getattr(sys.stdout, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    if isinstance(raw, _Guarded):
        with suppress(OutputClosedError):
            sys.stdout.flush()
        return raw.fault
    return None


def require_output() -> None:
    """End before work whose output would be lost.

    Raises:
        OutputClosedError: Nobody reads it.
        RunError: It cannot be written.
    """
    if (fault := lost_output()) is not None:
        closed = fault.errno == errno.EPIPE
        raise (OutputClosedError if closed else RunError)(lost_sentence(fault))


def lost_sentence(fault: OSError) -> str:
    """A sentence about lost output."""
    return f"The output cannot be written ({fault.strerror}): send it to another place."

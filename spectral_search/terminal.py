"""The terminal that a command writes to: it may know only ASCII, and it may go away."""

import codecs
import errno
import io
import os
import signal
import sys
import termios
import unicodedata
from contextlib import suppress
from types import FrameType

_PLAIN = "spectral_search.plain"
_STANDS_FOR = {
    **{"²": "2", "±": "+-", "→": "->", "≤": "<=", "≥": ">=", "…": "...", "•": "*", "—": "-"},
    **{"\N{EN DASH}": "-", "\N{MULTIPLICATION SIGN}": "x"},
    **dict.fromkeys("─━╴╸╺╼╶", "-"),
    **dict.fromkeys("│┃╎╏", "|"),
}
"""What a character is written as where the encoding has no room for it."""


def degrade() -> None:
    """Let stdout and stderr write what their encoding lacks in plainer characters, rather than raise."""
    codecs.register_error(_PLAIN, _plainer)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_PLAIN)


def _plainer(error: UnicodeError) -> tuple[str | bytes, int]:
    """The error handler of a codec: a character that stands for another, its letter without accents, or its number.

    A byte of a file's name that is no UTF-8 is written as that byte again, as `ls` does.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":
        return bytes([ord(character) - 0xDC00]), error.start + 1
    stand_in = _STANDS_FOR.get(character) or unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return stand_in or character.encode("ascii", "backslashreplace").decode(), error.start + 1


def take_signals() -> None:
    """Let the end of a job's time and the loss of the terminal end a command as Ctrl-C does.

    A signal that is ignored already, as SIGHUP is under nohup, stays ignored.
    """
    for number, handler in ((signal.SIGTERM, signal.default_int_handler), (signal.SIGHUP, _hang_up)):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, handler)


def _hang_up(number: int, frame: FrameType | None) -> None:
    leave_lost_terminals()
    raise KeyboardInterrupt


def leave_lost_terminals() -> None:
    """Send to nowhere what would be written to a terminal that is gone: each write would fail in its own way."""
    for descriptor in (0, 1, 2):
        try:
            termios.tcgetattr(descriptor)
        except termios.error as error:
            # What is no terminal answers ENOTTY, and is left alone.
            if error.args[0] == errno.EIO:
                nowhere = os.open(os.devnull, os.O_RDWR)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)


def tell(text: str) -> None:
    """Write to stderr from a signal handler, where nothing buffered may be touched, if anybody still reads it."""
    with suppress(OSError):
        os.write(2, text.encode(errors="replace"))

"""What is written where an encoding has no room for it, and a terminal that is gone."""

import io
import os
import pty
import signal
import sys

import pytest
from default_signals import heard_here

from spectral_search.terminal import degrade, leave_lost_terminals, take_signals


@pytest.mark.parametrize(
    ("encoding", "text", "written"),
    [
        ("utf-8", "R² 0.9 ± 0.1 ─ Å", "R² 0.9 ± 0.1 ─ Å".encode()),
        ("ascii", "R² 0.9 ± 0.1 ─━│ 5 Å … naïve", b"R2 0.9 +- 0.1 --| 5 A ... naive"),
        ("latin-1", "R² ± ─ …", "R² ± - ...".encode("latin-1")),
        ("ascii", "星.h5", rb"\u661f.h5"),
        ("utf-8", "caf\udce9.h5", b"caf\xe9.h5"),
        ("ascii", "caf\udce9 \ud800", rb"caf" + b"\xe9" + rb" \ud800"),
    ],
)
def test_what_an_encoding_lacks_is_written_in_plainer_characters(
    monkeypatch: pytest.MonkeyPatch, encoding: str, text: str, written: bytes
) -> None:
    there = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(there, encoding))
    degrade()
    sys.stdout.write(text)
    sys.stdout.flush()
    assert there.getvalue() == written


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_the_end_of_a_job_and_a_lost_terminal_are_interrupts(name: str) -> None:
    with heard_here():
        take_signals()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(getattr(signal, name))


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    with heard_here():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        take_signals()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_what_is_written_to_a_lost_terminal_goes_nowhere() -> None:
    """In a process of its own, whose outputs they are."""
    master, terminal = pty.openpty()
    child = os.fork()
    if child == 0:
        os.dup2(terminal, 1)
        os.close(master)
        os.close(terminal)
        os.read(0, 0)
        code = 1
        try:
            while True:  # until the terminal is gone
                os.write(1, b".")
        except OSError:
            leave_lost_terminals()
            code = 0 if os.write(1, b"to nowhere") else 1
        finally:
            os._exit(code)
    os.close(terminal)
    os.read(master, 1)
    os.close(master)
    assert os.waitpid(child, 0)[1] == 0

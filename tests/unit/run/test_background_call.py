"""A call that goes on in a thread: its result and its error are where they are asked for, and nowhere else."""

import signal
import subprocess
import sys
import threading
from threading import Event

import pytest
from command_line import paths
from default_signals import default_signals

from spectral_search.run.background_call import Ahead

INTERRUPTED = """
import signal, sys, torch
from spectral_search.run.background_call import Ahead

def draw(abandoned):
    while not abandoned.is_set():
        torch.empty(4096).normal_()

try:
    with Ahead(draw) as ahead:
        ahead.begin()
        print("begun", flush=True)
        ahead.result()
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_the_result_is_waited_for() -> None:
    may_go_on = Event()

    def call(abandoned: Event) -> str:
        may_go_on.wait(60)
        return threading.current_thread().name

    begun = Ahead(call).begin()
    may_go_on.set()
    assert begun.result() == begun.result() == "ahead"


def test_an_error_is_raised_where_the_result_is_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    def call(abandoned: Event) -> None:
        raise ValueError("no pixel is valid")

    begun = Ahead(call).begin()
    with pytest.raises(ValueError, match="no pixel is valid"):
        begun.result()
    assert capfd.readouterr().err == ""


def test_what_is_abandoned_is_over_before_the_block_is_left() -> None:
    threads = threading.active_count()

    def call(abandoned: Event) -> None:
        assert abandoned.wait(60)
        raise RuntimeError("told to nobody")

    with pytest.raises(ValueError, match="elsewhere"), Ahead(call) as ahead:
        ahead.begin()
        raise ValueError("elsewhere")
    assert threading.active_count() == threads


def test_what_was_never_begun_holds_nothing_up() -> None:
    with Ahead(lambda abandoned: abandoned.wait()):
        pass


@pytest.mark.slow
def test_an_interrupt_while_torch_works_ahead_ends_the_process_in_order() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        env=paths(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=default_signals,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (130, "")
    finally:
        process.kill()

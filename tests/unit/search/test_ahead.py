"""A call that goes on in a thread: its result and its error are where they are asked for, and nowhere else."""

import subprocess
import sys
import threading

import pytest
from command_line import paths

from spectral_search.search.ahead import Ahead


def test_the_result_is_waited_for() -> None:
    may_go_on = threading.Event()

    def call() -> str:
        may_go_on.wait(60)
        return threading.current_thread().name

    begun = Ahead(call)
    may_go_on.set()
    assert begun.result() == begun.result() == "ahead"


def test_an_error_is_raised_where_the_result_is_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    def call() -> None:
        raise ValueError("no pixel is valid")

    begun = Ahead(call)
    with pytest.raises(ValueError, match="no pixel is valid"):
        begun.result()
    assert capfd.readouterr().err == ""


def test_the_end_of_the_process_waits_for_no_call() -> None:
    code = "import time; from spectral_search.search.ahead import Ahead; Ahead(lambda: time.sleep(600))"
    assert subprocess.run([sys.executable, "-c", code], env=paths(), timeout=60, check=False).returncode == 0

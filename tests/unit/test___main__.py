"""`python -m spectral_search` is the command, with its exit codes."""

import subprocess
import sys


def test_the_module_is_the_command() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "spectral_search", "show", "no_such_stage"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "no_such_stage" in ended.stderr

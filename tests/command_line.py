"""The command line in this process, quickly, or in one of its own, as a user has it."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from default_signals import default_signals, heard_here

from spectral_search.cli.main import main

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Done:
    """How a command ended and what it wrote."""

    code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """Its one JSON document; anything else on stdout fails."""
        return json.loads(self.stdout)

    def require(self, code: int = 0) -> "Done":
        """Fail with what was written unless it ended with this code."""
        assert self.code == code, f"exit code {self.code}\n{self.stdout}\n{self.stderr}"
        return self


def call(*arguments: object, folder: Path) -> Done:
    """Run a command in this process, in a folder; an exception that the command line lets out is the test's."""
    stdout, stderr, before = io.StringIO(), io.StringIO(), sys.argv
    # The signals are as in a new process; Ray in this one sets its own.
    with heard_here(), contextlib.chdir(folder), contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        sys.argv = ["spectral-search", *map(str, arguments)]
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        finally:
            sys.argv = before
    return Done(code, stdout.getvalue(), stderr.getvalue())


def spawn(*arguments: object, folder: Path, **environment: str) -> Done:
    """Run a command in a process of its own, its output to pipes."""
    code = "from spectral_search.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        env=paths(**environment),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=default_signals,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def paths(**environment: str) -> dict[str, str]:
    """The environment, with the package and these helpers importable from any folder."""
    before = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), before]), **environment}


def write_spec(path: Path, text: str) -> Path:
    """A spec file."""
    path.write_text(text)
    return path


def errors(done: Done) -> Sequence[str]:
    """The sentences on stderr, without their "error: "; any other line fails."""
    lines = done.stderr.splitlines()
    assert lines and all(line.startswith("error: ") for line in lines), done.stderr
    return [line.removeprefix("error: ") for line in lines]

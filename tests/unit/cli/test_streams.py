"""stdout and stderr that are full, closed, or no longer read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import call, paths

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-c", "from spectral_search.cli.main import main; main()"]
LOST = "error: The output cannot be written (No space left on device): send it to another place.\n"


def into(target: str, *arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command with its stdout, or both streams, sent to a place in the words of a shell."""
    script = f'exec "$@" {target}'
    return subprocess.run(
        ["sh", "-c", script, "sh", *COMMAND, *arguments],
        cwd=folder,
        env=paths(**environment),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["show", "step1"], ["status", "--json"]], ids=lambda a: a[0])
def test_a_full_disk_under_the_output(tmp_path: Path, arguments: list[str]) -> None:
    """One of click's, of typer's and of the program's own ways to print."""
    done = into(">/dev/full", *arguments, folder=tmp_path)
    assert (done.returncode, done.stderr) == (1, LOST)


def test_a_full_disk_under_a_table_and_without_buffers(tmp_path: Path) -> None:
    done = into(">/dev/full", "specs", folder=tmp_path, PYTHONUNBUFFERED="1")
    assert (done.returncode, done.stderr) == (1, LOST)


def test_a_refusal_keeps_its_code_whatever_happens_to_its_words(tmp_path: Path) -> None:
    assert into("2>/dev/full", "status", "nope", folder=tmp_path).returncode == 2
    assert into(">/dev/full", "status", "nope", folder=tmp_path).returncode == 2


def test_streams_that_were_closed_are_no_fault_and_no_file_takes_their_place(tmp_path: Path) -> None:
    done = into("<&- >&-", "status", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert into("<&- >&- 2>&-", "export", "nope", "-o", "x.yaml", folder=tmp_path).returncode == 2


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_reads_ends_the_command_quietly(tmp_path: Path, unbuffered: str) -> None:
    """As after `| head`, whose end is gone when the rest is written."""
    reading, writing = os.pipe()
    os.close(reading)
    environment = paths(PYTHONUNBUFFERED=unbuffered)
    done = subprocess.run(
        [*COMMAND, "specs"], cwd=tmp_path, env=environment, stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_the_end_of_a_reader_is_raised_once_and_later_words_are_dropped(tmp_path: Path) -> None:
    """What is raised must not come again while what was begun is put in order."""
    code = (
        "import sys\nfrom spectral_search.errors import OutputClosedError\n"
        "from spectral_search.cli.streams import guarded\n"
        "raised = 0\n"
        "with guarded():\n"
        "    for _ in range(3):\n"
        "        try:\n            print('word', flush=True)\n"
        "        except OutputClosedError:\n            raised += 1\n"
        "print(raised, file=sys.stderr)"
    )
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", code], env=paths(), stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "1\n")


def test_streams_in_memory_are_left_alone(tmp_path: Path) -> None:
    before = sys.stdout, sys.stderr
    assert "Commands:" in call("--help", folder=tmp_path).require().stdout
    assert (sys.stdout, sys.stderr) == before

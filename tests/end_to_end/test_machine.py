"""Machines as they are: no name and no home for the user, a deep TMPDIR, a terminal that knows ASCII alone."""

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Done, paths, spawn
from default_signals import default_signals
from small_search import ON_RAY, make_data, make_spec

pytestmark = pytest.mark.slow

NOBODY = "12345"
UNKNOWN = ("HOME", "USER", "LOGNAME", "USERNAME", "XDG_CACHE_HOME")
AS_NOBODY = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--"]
"""A user without an entry in /etc/passwd, who may read what this one may."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    make_spec(folder, make_data(folder / "data"), search={"trials": 2}, fit={"epochs": 2, "batch_size": 64})
    return folder


def as_nobody(place: Path, *arguments: object, **environment: str) -> Done:
    """A command of a user whom this machine does not know and who has no home folder, but for what is given."""
    try:
        allowed = subprocess.run([*AS_NOBODY, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("this machine lets nobody make a user namespace")
    known = {name: value for name, value in paths().items() if name not in UNKNOWN}
    code = "from spectral_search.cli.main import main; main()"
    done = subprocess.run(
        [*AS_NOBODY, sys.executable, "-c", code, *map(str, arguments)],
        cwd=place,
        env={**known, **environment},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=default_signals,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def test_a_user_without_name_and_home_inspects_and_is_asked_for_data(place: Path) -> None:
    as_nobody(place, "inspect", "data", "--plot", "spectra.png").require()
    as_nobody(place, "run", "small.yaml", "--dry-run").require()
    refused = as_nobody(place, "run", "cnn_stage1a", "--dry-run").require(2)
    assert refused.stderr.startswith("error: There is no home folder in which") and "--data-root" in refused.stderr
    refused = as_nobody(place, "run", "~/small.yaml").require(2)
    assert "there is no home folder ~" in refused.stderr


def test_a_simulated_set_that_cannot_be_kept_is_told_of(place: Path) -> None:
    done = spawn("run", "cnn_stage1a", "--quick", folder=place, HOME="/proc/none", XDG_CACHE_HOME="").require(2)
    assert "cannot be kept in /proc/none/.cache" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("home", [None, "/proc/none"], ids=["none", "not writable"])
def test_a_search_on_ray_needs_neither_name_nor_home(place: Path, tmp_path: Path, home: str | None) -> None:
    where = ["--name", "run", "--results", tmp_path, "--executor", ON_RAY[0], "--no-dashboard"]
    done = as_nobody(place, "run", "small.yaml", *where, **({} if home is None else {"HOME": home})).require()
    assert "Traceback" not in done.stdout + done.stderr


def test_a_search_on_ray_starts_under_a_deep_tmpdir_and_leaves_nothing_there(place: Path, tmp_path: Path) -> None:
    deep = tmp_path / ("job" * 30) / ("tmp" * 30)
    deep.mkdir(parents=True)
    before = set(Path("/tmp").glob("ray-*"))
    where = ["--name", "run", "--results", tmp_path / "results", "--executor", ON_RAY[0], "--no-dashboard"]
    spawn("run", "small.yaml", *where, folder=place, TMPDIR=str(deep), RAY_TMPDIR="").require()
    assert set(Path("/tmp").glob("ray-*")) <= before
    assert [path for path in deep.rglob("*") if path != deep / "ray"] == []


def test_a_tmpdir_that_cannot_be_written_is_refused_before_anything(place: Path, tmp_path: Path) -> None:
    where = ["--name", "run", "--results", tmp_path / "results", "--executor", ON_RAY[0]]
    done = spawn("run", "small.yaml", *where, folder=place, TMPDIR="/proc/none", RAY_TMPDIR="").require(2)
    assert "Ray cannot keep its session in /proc/none/ray" in done.stderr
    assert not (tmp_path / "results" / "run").exists()


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""},
    ],
    ids=["PYTHONIOENCODING", "LC_ALL"],
)
def test_a_terminal_that_knows_ascii_alone_is_written_to(place: Path, environment: dict[str, str]) -> None:
    done = spawn("inspect", "data", folder=place, **environment).require()
    assert done.stdout.isascii() and "64 pixels" in done.stdout and " A\n" in done.stdout  # for angstrom
    refused = spawn("inspect", "w\u00f6rld", folder=place, **environment).require(2)
    assert refused.stderr.startswith("error: ") and "Traceback" not in refused.stderr

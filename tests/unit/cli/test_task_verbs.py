"""Verbs that a task brings: run, refused and shown in help as that task says, whoever brought it."""

import re
from pathlib import Path

import numpy as np
import pytest
from command_line import call, errors, write_spec
from documented_code import code_of

SPEC = """
task: hills.py
model: {kind: mlp, hidden: [4]}
fit: {epochs: 1}
search: {trials: 1, finalists: 1, retest_seeds: 1}
resources: {gpus: []}
"""
BARE = """
from spectral_search.train.array_task import ArrayTask

class Bare(ArrayTask):
    name, metrics, examples = "bare", (), "things"
    def load(self, data):
        return {}

TASK = Bare()
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the task that docs/extending.md shows, and its data."""
    folder = tmp_path_factory.mktemp("hills")
    (shown,) = code_of("extending.md", "A verb of a task", "python")
    (folder / "hills.py").write_text(shown)
    call("simulate", "hills.npz", "--task", "hills.py", "--train", 200, folder=folder).require()
    return folder


def test_a_brought_task_simulates_by_its_own_options(place: Path) -> None:
    made = call("simulate", "other.npz", "--task", "hills.py", "--train", 50, "--json", folder=place).require().json()
    assert made == {"path": "other.npz", "train": 50, "seed": 0}
    with np.load(place / "other.npz") as held:
        assert held["x_train"].shape == (50, 4)
    refused = errors(call("simulate", "x", "--task", "hills.py", "--train", 0, folder=place).require(2))
    assert "--train" in refused[0] and not (place / "x").exists()
    other = errors(call("simulate", "x", "--task", "hills.py", "--pixels", 9, folder=place).require(2))
    assert "No such option: --pixels" in other[0]


def test_a_task_of_arrays_is_inspected_without_a_line_of_its_own(place: Path) -> None:
    said = call("inspect", "hills.npz", "--task", "hills.py", folder=place).require().stdout
    assert "train: 200 places, inputs of shape (4,)" in said and "height from" in said
    with np.load(place / "hills.npz") as held:
        arrays = dict(held)
    arrays["x_val"][:2, 1] = np.nan
    np.savez(place / "odd.npz", **arrays)
    found = call("inspect", "odd.npz", "--task", "hills.py", "--json", folder=place).require(1).json()
    assert found["faults"] == ["val: 2 values of inputs are not finite"]
    assert found["parts"]["val"]["x"]["not_finite"] == 2


def test_it_is_judged_and_audited_by_its_own_methods(place: Path) -> None:
    asked = ("--data-root", "hills.npz", "--task", "hills.py")
    found = call("baselines", *asked, "--json", folder=place).require().json()
    assert 0.0 < found["linear"]["val_mae"] < 1.0
    assert "linear: val MAE" in call("baselines", *asked, folder=place).require().stdout
    assert call("audit", *asked, "--json", folder=place).require().json() == {"in_both": 0}
    with np.load(place / "hills.npz") as held:
        arrays = dict(held)
    arrays["x_val"][0] = arrays["x_train"][0]
    np.savez(place / "leaky.npz", **arrays)
    leaky = ("--data-root", "leaky.npz", "--task", "hills.py")
    assert "1 places are in train" in call("audit", *leaky, folder=place).require(1).stdout


def test_a_search_without_data_is_given_those_of_its_task(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA_ROOT", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    write_spec(place / "hills.yaml", SPEC)
    refused = errors(call("run", "hills.yaml", "--dry-run", folder=place).require(2))
    assert "No data root" in refused[0] and "made hills" in refused[0]
    options = ("--executor", "inline", "--name", "made", "--json")
    done = call("run", "hills.yaml", *options, folder=place).require()
    assert "making hills once into" in done.stderr and done.json()["trials"]["complete"] == 1
    assert [file.name for file in (place / "cache").rglob("*hills*")] == ["hills-v1.npz"]
    # The task of the run is meant where a run is named.
    like = call("baselines", "--like", "made", "--json", folder=place).require().json()
    assert set(like) == {"linear"}
    other = errors(call("baselines", "--like", "made", "--task", "bare.py", folder=place).require(2))
    assert "is of the task" in other[0] and "leave --task out" in other[0]
    fixed = errors(call("baselines", "--like", "made", "--num-train", 3, folder=place).require(2))
    assert "leave --num-train and --set out" in fixed[0]


@pytest.mark.parametrize("verb", ["simulate", "baselines", "audit"])
def test_a_verb_that_a_task_lacks_is_refused_in_a_sentence(verb: str, tmp_path: Path) -> None:
    (tmp_path / "bare.py").write_text(BARE)
    words = ("folder",) if verb == "simulate" else ()
    (told,) = errors(call(verb, *words, "--task", "bare.py", folder=tmp_path).require(2))
    assert told == f"The task bare has no {verb}: it has inspect."


def test_a_task_that_is_not_there_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (told,) = errors(call("inspect", "x", "--task", "spectre", folder=tmp_path).require(2))
    assert "There is no task 'spectre'. Did you mean spectra?" in told
    (told,) = errors(call("inspect", "x", "--task", "gone.py", folder=tmp_path).require(2))
    assert "does not exist" in told


def test_help_is_that_of_the_task(place: Path) -> None:
    told = re.sub(r"\s+", " ", call("simulate", "--help", "--task", "hills.py", folder=place).require().stdout)
    assert "Make hills, which are no landscape." in told and "The .npz file to make." in told
    assert "--train" in told and "[default: 400; x>=1]" in told and "--pixels" not in told
    own = re.sub(r"\s+", " ", call("simulate", "--help", folder=place).require().stdout)
    assert (
        "Pixels of a spectrum. [default: 4096]" in own and "in the layout of real shards" in own and "[spectra]" in own
    )


def test_what_a_task_says_may_have_braces(place: Path) -> None:
    shown = (place / "hills.py").read_text().replace("Places to learn from.", "Writes {part}.npz of so many.")
    (place / "braces.py").write_text(shown)
    assert "Writes {part}.npz" in call("simulate", "--help", "--task", "braces.py", folder=place).require().stdout


def test_the_options_of_spectra_are_what_they_were(place: Path) -> None:
    sizes = ("--train", 8, "--val", 0, "--test", 0, "--pixels", 512)
    found = call("simulate", "d", *sizes, "--json", folder=place).require().json()
    assert found == {
        **{"path": "d", "train": 8, "val": 0, "test": 0},
        **{"shards": 1, "pixels": 512, "seed": 42, "dtype": "float64"},
    }
    assert list(found) == ["path", "train", "val", "test", "shards", "pixels", "seed", "dtype"]

"""Parts that cannot be one data set are refused in a sentence; a run told to go on says so wherever its numbers are."""

from pathlib import Path

import pytest
from changed_root import changed, noise, times, write_good_root
from command_line import call, errors, write_spec
from learnable_root import write_root

pytestmark = pytest.mark.slow

SPEC = """
model: {kind: mlp, hidden: [8], dropout: 0.0}
fit: {epochs: 1, batch_size: 64}
search: {trials: 1, finalists: 1, retest_draws: 2, retest_seeds: 1}
resources: {gpus: []}
"""
ALLOW = ["--set", "data.allow_mismatch=true"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a good root, one whose val is in another unit, and one whose test has a lower S/N."""
    folder = tmp_path_factory.mktemp("mismatch")
    good = write_good_root(folder / "good")
    changed(good, folder / "cgs", times("val_0", 1e-17))
    changed(good, folder / "faint", times("test_0", 5.0, "error"), noise("test_0", 1.0))
    write_spec(folder / "tiny.yaml", SPEC)
    return folder


@pytest.mark.parametrize("arguments", [["run", "tiny.yaml"], ["run", "tiny.yaml", "--dry-run"], ["train", "tiny.yaml"]])
def test_parts_in_other_units_are_refused(place: Path, arguments: list[str]) -> None:
    done = call(*arguments, "--data-root", "cgs", folder=place).require(2)
    (told,) = errors(done)
    assert "val_0" in told and "train_0" in told and "--set data.allow_mismatch=true" in told
    assert not (place / "ray_results").exists()


def test_baselines_refuse_them_too_and_the_audit_does_not(place: Path) -> None:
    (told,) = errors(call("baselines", "--data-root", "cgs", "--only", "ridge", folder=place).require(2))
    assert "another unit" in told
    found = call("audit", "--data-root", "cgs", "--json", "--results", "audits", folder=place).require().json()
    assert any(finding["check"] == "scale" and finding["level"] == "warning" for finding in found["findings"])


def test_good_parts_and_a_shift_of_signal_to_noise_run(place: Path) -> None:
    assert not [note for note in plan(place, "good") if "S/N" in note or "match" in note]
    (told,) = [note for note in plan(place, "faint") if "S/N" in note]
    assert "test_0" in told and "train_0" in told
    assert not [note for note in plan(place, "good", *ALLOW) if "match" in note]


def plan(place: Path, root: str, *more: str) -> list[str]:
    """The notes of a dry run."""
    done = call("run", "tiny.yaml", "--data-root", root, "--dry-run", "--json", *more, folder=place)
    notes: list[str] = done.require().json()["notes"]
    return notes


def test_what_was_allowed_stands_on_every_page(place: Path) -> None:
    name = ["--name", "mixed", "--results", "mixed", "--executor", "inline"]
    done = call("run", "tiny.yaml", "--data-root", "cgs", *ALLOW, *name, folder=place).require()
    said = "data parts do not match: The flux of val_0"
    assert said in flat(done.stdout)
    resumed = call(
        "resume", "mixed", "--results", "mixed", "--trials", "2", "--json", "--executor", "inline", folder=place
    )
    assert "flux of val_0" in resumed.require().json()["mismatches"][0]
    assert said in flat(call("status", "mixed", "--results", "mixed", folder=place).require().stdout)
    like = call("baselines", "--like", "mixed", "--only", "ridge", "--results", "mixed", folder=place)
    assert said in flat(like.require().stdout)
    report = call("report", "--results", "mixed", "--json", folder=place).require().json()
    assert any(said in note for note in report["notes"])


def test_what_was_merely_allowed_is_not_said(place: Path) -> None:
    name = ["--name", "fine", "--results", "fine", "--executor", "inline"]
    done = call("run", "tiny.yaml", "--data-root", "good", *ALLOW, *name, folder=place).require()
    assert "match" not in flat(done.stdout)
    assert "mismatches" not in call("status", "fine", "--results", "fine", "--json", folder=place).require().json()


def flat(text: str) -> str:
    """Text without the line breaks of a terminal."""
    return " ".join(text.split())


def test_baselines_go_on_with_what_was_allowed(place: Path) -> None:
    only = ["--only", "ridge", "--results", "alone"]
    done = call("baselines", "--data-root", "cgs", *ALLOW, *only, folder=place).require()
    assert "data parts do not match: The flux of val_0" in flat(done.stdout)
    (told,) = errors(call("baselines", "--data-root", "good", "--set", "fit.lr=1", *only, folder=place).require(2))
    assert "fit.lr" in told and "keys of data" in told


@pytest.mark.parametrize(("val", "warned"), [(5, True), (150, True), (200, False)])
def test_a_small_val_set_is_warned_of(place: Path, tmp_path: Path, val: int, warned: bool) -> None:
    write_root(tmp_path / "data", train=64, val=val, test=0)
    told = [note for note in plan(place, str(tmp_path / "data")) if note.startswith("val holds")]
    assert bool(told) == warned and all(f"val holds {val} spectra" in note for note in told)

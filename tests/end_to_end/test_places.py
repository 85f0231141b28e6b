"""Results, data and outputs in places of odd names, that take no files, or whose output nobody reads."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from command_line import call, errors, paths, spawn, write_spec
from full_disks import NO_TEXT, limited, mounted
from learnable_root import write_root
from small_search import command

from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord

pytestmark = pytest.mark.slow

ODD = "exp #1?%41 {x}[1] é"
SEARCH = """
model: {kind: mlp, hidden: [16]}
fit: {epochs: 2, batch_size: 64}
space: {fit.lr: {log_uniform: [1e-3, 1e-2]}, fit.weight_decay: {uniform: [0.1, 0.1]}}
search: {trials: 2, min_epochs: 1, finalists: 1, retest_draws: 2, retest_seeds: 1}
resources: {gpus: []}
"""
INLINE = ["--executor", "inline", "--results", f"{ODD}/results"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of an odd name with data, a spec, and a finished run in a results folder of an odd name."""
    folder = tmp_path_factory.mktemp("places") / ODD
    write_root(folder / ODD / "data", train=128, val=64, test=32)
    write_spec(folder / ODD / "tiny.yaml", SEARCH)
    arguments = [f"{ODD}/tiny.yaml", "--data-root", f"{ODD}/data", "--name", "found", *INLINE]
    call("run", *arguments, folder=folder).require()
    return folder


def test_a_run_in_an_odd_place_is_found_again(place: Path) -> None:
    there = ["--results", f"{ODD}/results"]
    (entry,) = call("status", *there, "--json", folder=place).require().json()
    assert (entry["name"], entry["state"]) == ("found", "finished")
    call("resume", "found", "--trials", "3", *INLINE, folder=place).require()
    trials = RunRecord.load(RunPaths(place / ODD / "results", "found")).trials
    assert [trial.params["fit.weight_decay"] for trial in trials] == [0.1] * 3  # a range of one point
    call("report", "-o", f"{ODD}/page #1.html", *there, folder=place).require()
    call("best", "found", *there, folder=place).require()
    assert sorted(path.name for path in (place / ODD / "results").iterdir()) == ["found"]
    assert sorted(path.name for path in place.iterdir()) == [ODD]  # and no database beside it
    assert sorted(path.name for path in place.parent.iterdir()) == [ODD]


def test_what_comes_of_it_has_odd_names_too(place: Path) -> None:
    there = ["--results", f"{ODD}/results"]
    model, data = f"{ODD}/best #1?.YAML", f"{ODD}/data"
    told = call("export", "found", "-o", model, *there, folder=place).require().stdout
    assert f"train '{model}'" in told
    for ending in ("csv", "CSV", "parquet"):
        call("predict", model, data, "-o", f"{ODD}/p %41.{ending}", folder=place).require()
    call("evaluate", model, "--data", data, folder=place).require()
    call("inspect", data, "--plot", f"{ODD}/spectra #1.PNG", folder=place).require()
    arguments = [f"{ODD}/tiny.yaml", "--data-root", data, "--dry-run", "--json", *INLINE]
    assert call("run", *arguments, folder=place).require().json()["name"] == "tiny"


def test_results_are_shown_whatever_brackets_a_folder_has(place: Path) -> None:
    shutil.copytree(place / ODD / "data" / "train_0", place / ODD / "more" / "train_[b]")
    assert "train_[b]/dataset.h5" in call("inspect", f"{ODD}/more", folder=place).require().stdout


def test_bytes_that_are_no_text_are_refused_before_any_work(place: Path) -> None:
    """As an argument, as the present folder, in the environment, and deep in the data."""
    spec, data = place / ODD / "tiny.yaml", place / ODD / "data"
    bad = place.parent / NO_TEXT
    (bad / "root").mkdir(parents=True)
    shutil.copytree(data / "train_0", bad.parent / "mixed" / f"train_{NO_TEXT}")
    try:
        wrong = [
            (["run", spec, "--data-root", data, "--results", bad], place, {}),
            (["run", spec, "--data-root", bad, "--dry-run"], place, {}),
            (["run", spec, "--data-root", bad.parent / "mixed", "--dry-run"], place, {}),
            (["run", spec, "--data-root", data, "--dry-run"], bad, {}),
            (["run", spec, "--data-root", data, "--dry-run"], place, {"SPECTRAL_SEARCH_RESULTS": str(bad)}),
            (["predict", "found", data, "-o", bad / "x.csv"], place, {}),
            (["inspect", bad.parent / "mixed"], place, {}),
        ]
        for arguments, folder, environment in wrong:
            done = spawn(*arguments, folder=folder, **environment).require(2)
            (told,) = errors(done)
            assert "not UTF-8" in told
        assert [path.name for path in bad.iterdir()] == ["root"]
    finally:
        shutil.rmtree(bad)
        shutil.rmtree(bad.parent / "mixed")


def test_outputs_are_refused_before_the_work(place: Path) -> None:
    """Each names a model, a shard or a run that is there: nothing else is wrong."""
    there = ["--results", f"{ODD}/results"]
    run, data = ["found", *there], f"{ODD}/data"
    (place.parent / "file").write_text("")
    wrong = [
        *(["predict", f"{ODD}/results/found/best", data, "-o", name] for name in ("/proc/x.csv", f"{data}/no/x.csv")),
        ["export", *run, "-o", "/proc/x.yaml"],
        ["export", *run, "-o", "../file/x.yaml"],
        ["report", *run, "-o", "/proc/x.html"],
        ["inspect", data, "--plot", "/proc/x.png"],
        ["simulate", "/proc/x", "--train", "8"],
        ["simulate", "../file/x", "--train", "8"],
        ["bench", "reading", "--quick", "--record", "/proc/x.jsonl"],
        ["bench", "reading", "--quick", "--figures", "/proc/x"],
        ["audit", "--data-root", data, "--results", "/proc/x"],
        ["baselines", "--data-root", data, "--only", "ridge", "--results", "/proc/x"],
    ]
    for arguments in wrong:
        done = call(*arguments, folder=place).require(2)
        (told,) = errors(done)
        assert "cannot be written" in told or "is not there" in told, told
        assert done.stdout == ""
    (place.parent / "file").unlink()


def test_empty_names_and_paths_are_not_taken_for_none(place: Path) -> None:
    spec, data = f"{ODD}/tiny.yaml", ["--data-root", f"{ODD}/data"]
    wrong = [
        ["run", spec, *data, "--dry-run", "--name", ""],
        ["run", spec, *data, "--dry-run", "--results", ""],
        ["run", spec, "--dry-run", "--data-root", ""],
        ["simulate", ""],
        ["inspect", ""],
        ["evaluate", f"{ODD}/results/found/best", "--data", ""],
        ["baselines", *data, "--only", ""],
        ["bench", "--figures", ""],
    ]
    for arguments in wrong:
        assert len(errors(call(*arguments, folder=place).require(2))) == 1


@pytest.mark.parametrize("name", ["found", "../x", "a b", "baselines", "-x"])
def test_a_dry_run_refuses_the_names_that_a_run_refuses(place: Path, name: str) -> None:
    arguments = [f"{ODD}/tiny.yaml", "--data-root", f"{ODD}/data", f"--name={name}", *INLINE]
    before = (place / ODD / "results").stat().st_mtime_ns
    dry = call("run", *arguments, "--dry-run", folder=place).require(2)
    assert (place / ODD / "results").stat().st_mtime_ns == before
    assert errors(dry) == errors(call("run", *arguments, folder=place).require(2))
    # Before the data is looked for, too.
    nowhere = [part if part != f"{ODD}/data" else "nowhere" for part in arguments]
    assert errors(call("run", *nowhere, "--dry-run", folder=place).require(2)) == errors(dry)


def test_a_fault_in_the_data_is_an_exit_code(place: Path) -> None:
    root = place.parent / "faulty"
    shutil.copytree(place / ODD / "data", root)
    whole = (root / "val_0" / "dataset.h5").read_bytes()
    (root / "val_0" / "dataset.h5").write_bytes(whole[: len(whole) // 2])
    assert "fault: " in call("inspect", root, folder=place).require(1).stdout
    found = call("inspect", root, "--json", folder=place).require(1).json()
    assert [finding["level"] for finding in found["findings"]] == ["fault"]
    shutil.rmtree(root / "val_0")
    call("inspect", root, folder=place).require(0)


def test_a_disk_that_gets_full_under_predictions_leaves_none(place: Path) -> None:
    """One of room for the try of a block, and for no table."""
    model = place / ODD / "results" / "found" / "best"
    done = limited(
        "predict", model, place / ODD / "data" / "train_0", "-o", "x.csv", folder=place.parent, most_bytes=4096
    )
    assert (done.code, done.stdout) == (1, "")
    (told,) = errors(done)
    assert told.startswith("x.csv cannot be written (File too large)")
    assert not list(place.parent.glob("*x.csv*"))


def test_a_run_on_a_full_or_read_only_disk_says_so(place: Path, tmp_path: Path) -> None:
    source = place / ODD / "results"
    with mounted(tmp_path / "disk", "size=16m") as disk:
        shutil.copytree(source, disk / "results")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        there = ["--results", disk / "results"]
        call("status", "found", *there, folder=place).require()
        for arguments in (
            ["resume", "found", "--trials", "5", "--executor", "inline"],
            ["run", place / ODD / "tiny.yaml"],
        ):
            more = ["--data-root", place / ODD / "data"]
            (told,) = errors(call(*arguments, *more, *there, folder=place).require(2))
            assert "cannot be written (Read-only file system)" in told


def test_a_search_whose_output_nobody_reads_any_more_is_kept_and_goes_on(place: Path, tmp_path: Path) -> None:
    arguments = [place / ODD / "tiny.yaml", "--data-root", place / ODD / "data", "--results", tmp_path / "r"]
    process = subprocess.Popen(
        command("run", *arguments, "--name", "piped", "--executor", "inline", "--set", "fit.epochs=40"),
        env=paths(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    for line in process.stdout:
        if "new best" in line:
            break
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 130, told
    assert "Traceback" not in told
    assert "everything so far is kept" in told and "resume piped" in told
    there = ["--results", tmp_path / "r"]
    assert call("status", "piped", *there, "--json", folder=place).require().json()["state"] == "interrupted"
    call("resume", "piped", "--executor", "inline", *there, folder=place).require()


def test_a_search_goes_on_when_the_disk_of_its_log_is_full(place: Path, tmp_path: Path) -> None:
    """Only what it says is lost; and where it shows beforehand, nothing is begun."""
    arguments = [place / ODD / "tiny.yaml", "--data-root", place / ODD / "data", "--results", tmp_path / "r"]
    options = ["--executor", "inline", "--name", "logged"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command("run", *arguments, *options, "--json"), env=paths(), stdout=full, stderr=subprocess.PIPE, text=True
        )
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("error: The output cannot be written (No space left on device)")
        found = call("status", "logged", "--results", tmp_path / "r", "--json", folder=place).require().json()
        assert found["state"] == "finished"
        begun = subprocess.run(
            command("run", *arguments, "--executor", "inline"), env=paths(), stdout=full, stderr=subprocess.PIPE
        )
    assert begun.returncode == 1
    assert os.listdir(tmp_path / "r") == ["logged"]


def test_ray_in_an_odd_place(place: Path, tmp_path: Path) -> None:
    """Its session, its scratch folders, and the run."""
    scratch = Path("/tmp") / f"odd #1?%41 {os.getpid()}"  # short: Ray puts sockets there
    scratch.mkdir()
    try:
        arguments = [f"{ODD}/tiny.yaml", "--data-root", f"{ODD}/data", "--results", tmp_path / ODD]
        done = spawn("run", *arguments, "--no-dashboard", "--json", folder=place, TMPDIR=str(scratch)).require()
        assert done.json()["state"] == "finished"
    finally:
        shutil.rmtree(scratch)

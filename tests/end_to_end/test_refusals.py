"""Wrong requests end with exit code 2 and one plain sentence a fault, before Ray starts and before a run is made."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from command_line import Done, call, errors, paths, write_spec
from learnable_root import write_root
from small_shards import fake_labels, make_shard

TINY = """
model: {kind: mlp, hidden: [16]}
fit: {epochs: 3, batch_size: 64}
space: {fit.lr: {log_uniform: [1e-3, 1e-2]}}
search: {trials: 2, min_epochs: 1}
"""
DATA = ["--data-root", "good"]

CASES: dict[str, tuple[list[str], list[str]]] = {
    "no such root": (["run", "tiny.yaml", "--data-root", "nowhere"], ["no data root", "nowhere"]),
    "a root without shards": (["run", "tiny.yaml", "--data-root", "hollow"], ["holds no train*/dataset.h5"]),
    "no such stage": (["run", "cnn_stag1a", *DATA], ["did you mean cnn_stage1a"]),
    "no such file": (["run", "nowhere/x.yaml", *DATA], ["there is no file"]),
    "a truncated shard": (
        ["run", "tiny.yaml", "--data-root", "truncated"],
        ["file is truncated", "copy or write"],
    ),
    "a foreign HDF5": (["run", "tiny.yaml", "--data-root", "foreign"], ["this is not a shard"]),
    "no HDF5 at all": (["run", "tiny.yaml", "--data-root", "text"], ["not an HDF5 file"]),
    "other pixels": (["run", "tiny.yaml", "--data-root", "disagree"], ["disagree on pixels"]),
    "no log_g": (["run", "tiny.yaml", "--data-root", "unlabelled"], ["no column log_g"]),
    "no valid pixel": (["run", "tiny.yaml", "--data-root", "blind"], ["No pixel of the train and val spectra"]),
    "no pixel valid everywhere": (["run", "tiny.yaml", "--data-root", "apart"], ["in train and val alike"]),
    "the same log_g": (["run", "tiny.yaml", "--data-root", "constant"], ["log_g is the same for all"]),
    "too few spectra": (["run", "tiny.yaml", "--data-root", "few"], ["too few spectra to split"]),
    "a kernel longer than the spectra": (
        ["run", "cnn_stage1a", *DATA, "--set", "model.kernel_size=2001", "--set", "model.average_to=1"],
        ["kernel"],
    ),
    "an even kernel": (["run", "cnn_stage1a", *DATA, "--set", "model.kernel_size=4"], ["4 is even"]),
    "no patience": (["run", "step1", *DATA, "--set", "fit.patience=0"], ["fit.patience", "at least 1"]),
    "a GPU that is not there": (["run", "tiny.yaml", *DATA, "--gpus", "77"], ["GPU 77 was asked for"]),
    "no GPU index": (["run", "tiny.yaml", *DATA, "--gpus", "one"], ["--gpus must be", "'one'"]),
    "a negative GPU": (["run", "tiny.yaml", *DATA, "--gpus=-1"], ["--gpus must be", "'-1'"]),
    "a name that is used": (["run", "tiny.yaml", *DATA, "--name", "used"], ["already", "--name"]),
    "a name that climbs": (["run", "tiny.yaml", *DATA, "--name", "../up"], ["cannot name a run"]),
    "a file in the way": (["run", "tiny.yaml", *DATA, "--results", "blocker"], ["blocker", "cannot be written"]),
    "a folder that cannot be": (["run", "tiny.yaml", *DATA, "--results", "/proc/x"], ["/proc/x cannot be written"]),
    "a closed port": (["run", "tiny.yaml", *DATA, "--address", "127.0.0.1:1"], ["No Ray cluster answers"]),
    "no port": (["run", "tiny.yaml", *DATA, "--address", "somewhere"], ["HOST:PORT"]),
    "a cluster inline": (
        ["run", "tiny.yaml", *DATA, "--address", "127.0.0.1:1", "--executor", "inline"],
        ["joins no cluster"],
    ),
    "--set without a value": (["run", "tiny.yaml", *DATA, "--set", "fit.lr"], ["KEY=VALUE"]),
    "--set of an unknown key": (["run", "tiny.yaml", *DATA, "--set", "fit.lrr=1"], ["did you mean fit.lr"]),
    "an unknown sampler": (
        ["run", "tiny.yaml", *DATA, "--sampler", "best"],
        ["gp, grid, parzen, random, tpe", "'best'"],
    ),
    "an unknown executor": (["run", "tiny.yaml", *DATA, "--executor", "far"], ["shared, separate or inline", "'far'"]),
    "a place of copies that is none": (
        ["run", "tiny.yaml", *DATA, "--copy-to", "runs"],
        ["resources.copy_to: the place of copies is no URL of an object store: write s3://BUCKET/FOLDER"],
    ),
    "no trials": (["run", "tiny.yaml", *DATA, "--trials", "0"], ["search.trials", "at least 1"]),
    "negative epochs": (["run", "tiny.yaml", *DATA, "--epochs", "-3"], ["fit.epochs", "found -3"]),
    "nothing at a time": (["run", "tiny.yaml", *DATA, "--concurrent", "0"], ["resources.concurrent", "found 0"]),
    "too many spectra": (["run", "tiny.yaml", *DATA, "--num-train", "9999"], ["9999", "there are 64"]),
    "too many cores": (["run", "tiny.yaml", *DATA, "--set", "resources.cpus_per_trial=999"], ["999 cores"]),
    "no number": (["run", "tiny.yaml", *DATA, "--trials", "many"], ["--trials", "run --help"]),
    "an unknown option": (["run", "tiny.yaml", "--fast"], ["No such option: --fast"]),
    "an unknown command": (["fly"], ["No such command 'fly'"]),
    "nothing to run": (["run"], ["Missing argument"]),
    "nothing to inherit": (
        ["run", "cnn_stage1b", *DATA],
        ["cnn_stage1b takes fit.lr", "from the best trial of cnn_stage1a", "--set fit.lr="],
    ),
    "a search to train": (["train", "tiny.yaml", *DATA], ["is a search, not one config"]),
    "no run to resume": (["resume", "nope"], ["No run 'nope'"]),
    "no run to stop": (["stop", "nope"], ["No run 'nope'"]),
    "no run to show": (["status", "nope"], ["No run 'nope'"]),
    "no run to take the best of": (["best", "nope"], ["No run 'nope'"]),
    "no run to export": (["export", "nope", "-o", "x.yaml"], ["No run 'nope'"]),
    "no model to evaluate": (["evaluate", "nope", "--data", "good"], ["nope is neither"]),
    "no part": (["evaluate", "nope", "--data", "good", "--part", "most"], ["auto, train, val, test", "'most'"]),
    "no model to predict": (["predict", "nope", "good", "-o", "x.csv"], ["nope is neither"]),
    "no table": (["predict", "nope", "good", "-o", "x.txt"], [".csv, .parquet, .fits or .ecsv"]),
    "nothing to inspect": (["inspect", "nowhere"], ["nowhere", "no such file"]),
    "no stage to show": (["show", "nope"], ["there is no stage"]),
    "a place that cannot be simulated to": (["simulate", "/proc/x", "--train", "8"], ["/proc/x"]),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a good data root and bad ones."""
    folder = tmp_path_factory.mktemp("refusals")
    write_spec(folder / "tiny.yaml", TINY)
    (folder / "blocker").write_text("a file\n")
    (folder / "ray_results" / "used").mkdir(parents=True)
    (folder / "hollow").mkdir()
    write_root(folder / "good", train=64, val=32, test=0)
    whole = (folder / "good" / "train_0" / "dataset.h5").read_bytes()
    for name, content in {"truncated": whole[: len(whole) // 2], "text": b"wave,flux\n1,2\n"}.items():
        (folder / name / "train_0").mkdir(parents=True)
        (folder / name / "train_0" / "dataset.h5").write_bytes(content)
    (folder / "foreign" / "train_0").mkdir(parents=True)
    with h5py.File(folder / "foreign" / "train_0" / "dataset.h5", "w") as file:
        file["images"] = np.zeros(3)
    make_shard(folder / "disagree" / "train_0" / "dataset.h5", 16, pixels=24)
    make_shard(folder / "disagree" / "train_1" / "dataset.h5", 16, pixels=25)
    labels = fake_labels(32)
    make_shard(folder / "constant" / "train_0" / "dataset.h5", 32, labels=labels.assign(log_g=4.4))
    make_shard(folder / "unlabelled" / "train_0" / "dataset.h5", 32, labels=labels.rename(columns={"log_g": "g"}))
    make_shard(folder / "few" / "train_0" / "dataset.h5", 7)
    make_shard(folder / "blind" / "train_0" / "dataset.h5", 32, mask_BL=np.ones((32, 24), np.int64))
    left = np.repeat(np.arange(24)[None] < 12, 32, axis=0)
    make_shard(folder / "apart" / "train_0" / "dataset.h5", 32, mask_BL=left.astype(np.int64))
    make_shard(folder / "apart" / "val_0" / "dataset.h5", 32, mask_BL=(~left).astype(np.int64))
    return folder


@pytest.fixture(scope="module")
def answered(place: Path) -> dict[str, Any]:
    """All of them, asked one after the other in a process of their own, and which heavy modules it has loaded since."""
    program = (
        "import json, pathlib, sys\nfrom command_line import call\nhere, told = pathlib.Path.cwd(), {}\n"
        "for case, arguments in json.loads(sys.argv[1]).items():\n"
        "    done = call(*arguments, folder=here)\n"
        "    runs = [path.name for path in (here / 'ray_results').iterdir()]\n"
        "    told[case] = [done.code, done.stdout, done.stderr, runs]\n"
        "print(json.dumps([told, sorted({'ray', 'torch', 'optuna'} & set(sys.modules))]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps({case: arguments for case, (arguments, _) in CASES.items()})],
        cwd=place,
        env=paths(),
        capture_output=True,
        text=True,
        check=True,
    )
    told, loaded = json.loads(done.stdout)
    return {"told": told, "loaded": loaded}


def test_a_wrong_request_is_answered_in_a_sentence(answered: dict[str, Any]) -> None:
    assert answered["told"].keys() == CASES.keys()
    wrong = {}
    for case, (code, stdout, stderr, runs) in answered["told"].items():
        lacking = [text for text in CASES[case][1] if text not in stderr]
        if (code, stdout, len(errors(Done(code, stdout, stderr))), lacking, runs) != (2, "", 1, [], ["used"]):
            wrong[case] = {"code": code, "stdout": stdout, "stderr": stderr, "lacking": lacking, "runs": runs}
    assert wrong == {}


def test_no_refusal_loads_ray_or_torch(answered: dict[str, Any]) -> None:
    assert answered["loaded"] == []


def test_all_faults_of_a_file_are_told_at_once(place: Path) -> None:
    write_spec(
        place / "faulty.yaml",
        "modle: {kind: mlp}\nmodel: {kind: mlp, hiden: [8], dropout: lots}\nfit: {epochs: 2.5, patience: -1}\n"
        "space: {fit.lr: {log_uniform: [1e-1, 1e-3]}, fit.weight_decay: {uniform: [0.1]}}\n",
    )
    told = "\n".join(errors(call("run", "faulty.yaml", *DATA, "--json", folder=place).require(2)))
    for text in ("modle", "model.hidden", "model.dropout", "fit.epochs", "fit.patience", "reversed", "must be a range"):
        assert text in told
    assert "faulty.yaml line" in told


def test_faults_of_machine_and_data_are_told_at_once(place: Path) -> None:
    wrong = ["--gpus", "77", "--num-train", "9999"]
    told = errors(call("run", "tiny.yaml", *DATA, *wrong, folder=place).require(2))
    assert len(told) == 2


def test_the_name_is_refused_before_data_is_looked_for(place: Path) -> None:
    done = call("run", "tiny.yaml", "--data-root", "nowhere", "--name", "used", folder=place).require(2)
    assert "used" in done.stderr
    assert "nowhere" not in done.stderr


def test_what_only_a_whole_reading_shows_leaves_no_run_behind(place: Path) -> None:
    """Every pixel is bad in more than 1% of the spectra, but in none that the plan samples."""
    bad_BL = np.zeros((200, 24), np.int64)
    bad_BL[10:20] = 1
    make_shard(place / "late" / "train_0" / "dataset.h5", 200, mask_BL=bad_BL)
    make_shard(place / "late" / "val_0" / "dataset.h5", 64)
    again = ["run", "tiny.yaml", "--data-root", "late", "--name", "late", "--executor", "inline", "--json"]
    for _ in range(2):
        done = call(*again, folder=place).require(2)
        assert done.stdout == ""
        assert "No pixel has a valid flux and error" in done.stderr
        assert not (place / "ray_results" / "late").exists()


@contextmanager
def listening() -> Iterator[str]:
    """The address of a server that accepts and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.slow
def test_a_server_that_is_not_ray_is_refused_within_15_s(place: Path) -> None:
    with listening() as address:
        started = time.monotonic()
        done = call("run", "tiny.yaml", *DATA, "--address", address, folder=place).require(2)
    assert time.monotonic() - started < 15
    assert len(errors(done)) == 1
    assert done.stdout == ""


def test_no_data_root_is_refused_by_a_dry_run_and_nothing_is_simulated(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATA_ROOT", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    done = call("run", "tiny.yaml", "--dry-run", folder=place).require(2)
    assert "DATA_ROOT" in done.stderr
    assert not (place / "cache").exists()


def test_data_root_from_the_environment(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_ROOT", "good")
    assert call("run", "tiny.yaml", "--dry-run", "--json", folder=place).require().json()["train_spectra"] == 64

"""Runs share what was compressed, and none depends on it: cleared, killed on the way, or made of other bytes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from command_line import Done, call, paths
from default_signals import default_signals
from small_search import differences, facts

from spectral_search.record.array_cache import ArrayCache
from spectral_search.record.durable import read_arrays
from spectral_search.record.paths import RunPaths
from spectral_search.tasks.spectra.simulator.simulate import simulate

pytestmark = pytest.mark.slow

SPEC: dict[str, Any] = {
    "stage": "small",
    "data": {"root": "data", "input": {"kind": "signal"}},
    "model": {"kind": "mlp", "hidden": [16]},
    "fit": {"epochs": 3, "batch_size": 64, "precision": "float32"},
    "space": {"fit.lr": {"log_uniform": [1.0e-3, 1.0e-2]}},
    "search": {"trials": 2, "finalists": 1, "retest_draws": 2, "retest_seeds": 1, "pruner": "none"},
    "resources": {"gpus": []},
}
DIES = """
import os, signal, sys
from spectral_search.cli.main import main
from spectral_search.record.live_view import LiveView
LiveView.step = lambda self, title, unit: lambda done, total: os.kill(os.getpid(), signal.{signal})
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Data, a cache of its own, and two runs of one search, the second of which finds what the first has made."""
    folder = tmp_path_factory.mktemp("cache")
    simulate(folder / "data", train=400, val=128, test=64, pixels=256, dtype="float32", shards=2)
    for file in folder.glob("data/*/*.h5"):
        os.utime(file, ns=(10**18, 10**18))
    (folder / "small.yaml").write_text(yaml.safe_dump(SPEC))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPECTRAL_SEARCH_CACHE", str(folder / "kept"))
        yield folder


@pytest.fixture(scope="module")
def outputs(folder: Path) -> list[Done]:
    return [run(folder, name).require() for name in ("one", "two")]


def run(folder: Path, name: str) -> Done:
    return call("run", "small.yaml", "--name", name, "--executor", "inline", "--json", folder=folder)


def record(folder: Path, name: str) -> RunPaths:
    return RunPaths(folder / "ray_results", name)


def kinds(folder: Path) -> list[str]:
    return sorted(entry.kind for entry in ArrayCache(folder / "kept" / "signal", 10**9).entries())


def test_the_second_run_takes_what_the_first_has_made(folder: Path, outputs: list[Done]) -> None:
    first, second = outputs
    where = folder / "kept" / "signal"
    assert "Components of 400 spectra: " in first.stderr and f"kept in {where}." in first.stderr
    assert f"from the cache in {where}." in second.stderr
    assert {done.json()["state"] for done in outputs} == {"finished"}  # and nothing else on stdout
    assert differences(facts(record(folder, "one")), facts(record(folder, "two"))) == []
    ours, theirs = (read_arrays(record(folder, name).content_npz) for name in ("one", "two"))
    assert ours.keys() == theirs.keys() and {"train_flux", "train_error"} <= ours.keys()
    for array, hash_N in ours.items():
        np.testing.assert_array_equal(theirs[array], hash_N)


def test_what_is_kept_is_listed(folder: Path, outputs: list[Done]) -> None:
    found = call("cache", "--json", folder=folder).require().json()
    assert {entry["kind"] for entry in found["entries"]} == {"components", "subspace"}
    assert found["bytes"] == sum(entry["bytes"] for entry in found["entries"]) < found["limit_bytes"] == 4 * 10**9
    (components,) = (entry for entry in found["entries"] if entry["kind"] == "components")
    assert components["spectra"] == 400 and components["pixels"] == 256 and not components["in_use"]
    told = call("cache", folder=folder).require().stdout
    assert "2 entries, " in told and "of at most 4 GB" in told and f"in {folder / 'kept' / 'signal'}" in told


def test_a_run_is_whole_without_the_cache(folder: Path, outputs: list[Done]) -> None:
    removed = call("cache", "--clear", "--json", folder=folder).require().json()
    assert len(removed["removed"]) == 2 and removed["entries"] == [] and kinds(folder) == []
    best = outputs[0].json()["best"]
    scores = call("evaluate", "one", "--data", "data", "--part", "val", "--json", folder=folder).require().json()
    assert scores["r2"] == pytest.approx(best["val_r2"], abs=1e-5)
    table = folder / "predicted.csv"
    call("predict", "one", "data", "-o", table, "--json", folder=folder).require()
    assert len(table.read_text().splitlines()) == 1 + 64  # a head and the test spectra
    call("export", "one", "-o", "best.yaml", "--json", folder=folder).require()
    exported = call("evaluate", "best.yaml", "--data", "data", "--part", "val", "--json", folder=folder).require()
    assert exported.json()["r2"] == pytest.approx(scores["r2"], abs=1e-6)
    longer = call("resume", "two", "--trials", "3", "--executor", "inline", "--json", folder=folder).require()
    assert longer.json()["trials"]["complete"] == 3 and "compressed in" in longer.stderr
    retrained = call("train", "best.yaml", "--seeds", "1", "--executor", "inline", "--json", folder=folder).require()
    assert "from the cache in" in retrained.stderr  # which the resumed run has made again


@pytest.mark.parametrize(("number", "code"), [("SIGKILL", -9), ("SIGINT", 130)])
def test_a_cut_while_compressing_leaves_nothing_half(folder: Path, outputs: list[Done], number: str, code: int) -> None:
    call("cache", "--clear", folder=folder).require()
    command = ["run", "small.yaml", "--name", number.lower(), "--executor", "inline"]
    done = subprocess.run(
        [sys.executable, "-c", DIES.format(signal=number), *command],
        cwd=folder,
        env=paths(),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=default_signals,
    )
    assert done.returncode == code, done.stderr
    assert kinds(folder) == ["subspace"]
    assert [path.name for path in (folder / "kept" / "signal").iterdir() if path.name.startswith(".")] == []
    resumed = call("resume", number.lower(), "--executor", "inline", "--json", folder=folder).require()
    assert "compressed in" in resumed.stderr and kinds(folder) == ["components", "subspace"]
    assert resumed.json()["best"]["val_r2"] == pytest.approx(outputs[0].json()["best"]["val_r2"], abs=1e-5)


def test_data_that_changed_are_refused_whatever_is_kept(folder: Path, outputs: list[Done]) -> None:
    shard = sorted((folder / "data").glob("train*/*.h5"))[0]
    before = shard.read_bytes()
    try:
        with h5py.File(shard, "r+") as file:
            file["dataset/arrays/flux/value"][3, 100] *= np.float32(1.5)
        os.utime(shard, ns=(10**18, 10**18))
        refused = call("resume", "one", "--trials", "3", "--executor", "inline", folder=folder)
        # Size and time are as they were, so that reading alone tells: and it is read, for its files were changed since.
        assert refused.code == 2 and "changed since run one began" in refused.stderr, refused.stderr
        fresh = run(folder, "fresh").require()
        assert "compressed in" in fresh.stderr
    finally:
        shard.write_bytes(before)

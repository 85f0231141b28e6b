"""Data in an object store: a search on them is that on a folder, records keep the URL, any node can read them."""

import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import call, spawn
from processes import Running
from small_pairs import pair_arrays
from small_search import environment, facts, make_data, make_spec
from small_store import ACCESS, SECRET, SmallStore

from spectral_search.record.durable import read_yaml
from spectral_search.record.fetched_data import origin_of
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord
from spectral_search.record.stored_run import StoredRun
from spectral_search.tasks.spectra.shards.blocks import read_ranges, row_ranges
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.split import Selection

_READS = """
import pickle, sys
import numpy as np
from spectral_search.tasks.spectra.shards.ray_blocks import _read_table, cut
part = pickle.load(open(sys.argv[1], "rb"))
(table,) = _read_table(part, False, None)
np.save(sys.argv[2], np.concatenate([block.flux_BL for block in cut(table, part)]))
"""


@pytest.fixture
def url(tmp_path: Path, used_store: SmallStore, request: pytest.FixtureRequest) -> str:
    """A data root in a store; the same lies in the folder `data`."""
    return used_store.put(make_data(tmp_path / "data"), f"data/{request.node.name}/spectra")


@pytest.mark.slow
def test_a_search_on_a_url_is_that_on_a_folder(url: str, tmp_path: Path) -> None:
    make_spec(tmp_path, tmp_path / "data", search={"trials": 3})
    how = ("--results", "runs", "--executor", "inline")
    call("run", "small.yaml", "--name", "local", *how, folder=tmp_path).require()
    told = call("run", "small.yaml", "--name", "far", "--data-root", url, *how, folder=tmp_path).require()
    assert f"fetching {url} (MB)" in told.stdout
    local, far = (RunPaths(tmp_path / "runs", name) for name in ("local", "far"))
    assert facts(local) == facts(far)
    assert read_yaml(far.spec_yaml)["data"]["root"] == [url]
    kept = b"".join(path.read_bytes() for path in far.folder.rglob("*") if path.is_file())
    assert SECRET.encode() not in kept and ACCESS.encode() not in kept
    assert str(tmp_path / "cache").encode() not in kept, "a record names the cache of this machine"

    # Elsewhere: a machine that has nothing but the run and the URL.
    shutil.rmtree(tmp_path / "cache")
    shutil.rmtree(tmp_path / "data")
    elsewhere = {"SPECTRAL_SEARCH_CACHE": str(tmp_path / "other")}
    spawn("resume", "far", "--trials", 4, *how, folder=tmp_path, **elsewhere).require()
    found = spawn("evaluate", "far", "--data", url, "--json", "--results", "runs", folder=tmp_path, **elsewhere).json()
    assert found["spectra"] == 32 and found["own_test_set"]
    entries = spawn("cache", "--json", folder=tmp_path, **elsewhere).require().json()["fetched"]["entries"]
    assert [(entry["url"], entry["objects"], entry["in_use"]) for entry in entries] == [(url, 3, False)]
    assert url in spawn("cache", folder=tmp_path, **elsewhere).require().stdout


def test_a_node_that_has_none_of_the_data_fetches_them(url: str, tmp_path: Path) -> None:
    selection = Selection.all_of(DataRoot.find(url).train)
    part = row_ranges(selection)
    (tmp_path / "part").write_bytes(pickle.dumps(part))
    flux_NL = np.concatenate([block.flux_BL for block in read_ranges(part)])
    assert origin_of(part[0].shard.path) is not None
    shutil.rmtree(tmp_path / "cache")
    subprocess.run(
        [sys.executable, "-c", _READS, str(tmp_path / "part"), str(tmp_path / "flux.npy")],
        env={**environment(), "SPECTRAL_SEARCH_CACHE": str(tmp_path / "other")}, timeout=300, check=True,
    )  # fmt: skip
    assert np.array_equal(np.load(tmp_path / "flux.npy"), flux_NL)
    assert len(list((tmp_path / "other").rglob("dataset.h5"))) == 3


def test_verbs_take_a_url(url: str, tmp_path: Path, used_store: SmallStore) -> None:
    assert call("inspect", url, "--json", folder=tmp_path).require().json()["path"] == url
    assert "findings" in call("audit", "--data-root", url, "--json", folder=tmp_path).require().json()
    above = url.rpartition("/")[0]
    refused = call("inspect", above, folder=tmp_path).require(2)
    assert refused.stderr.startswith(f"error: {above}: no shards in this folder"), "not by where it lies in the cache"
    np.savez(tmp_path / "pairs.npz", **pair_arrays())
    pairs = used_store.put(tmp_path / "pairs.npz", "data/some/pairs.npz")
    assert call("inspect", pairs, "--task", "pairs", "--json", folder=tmp_path).require().json()["path"] == pairs
    (tmp_path / "cars.csv").write_text("a,b\n" + "1,2\n" * 300)
    cars = used_store.put(tmp_path / "cars.csv", "data/some/cars.csv")
    call("inspect", cars, "--task", "traffic", "--json", folder=tmp_path).require()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("s3://no-such-bucket/data", "error: There is no bucket no-such-bucket"),
        (f"s3://{ACCESS}:{SECRET}@data/spectra", "error: --data-root is a URL with keys in it"),
    ],
)
def test_a_url_that_cannot_be_read_is_told_before_a_run_begins(
    given: str, told: str, tmp_path: Path, used_store: SmallStore
) -> None:
    make_spec(tmp_path, tmp_path / "data")
    done = call("run", "small.yaml", "--results", "runs", "--data-root", given, folder=tmp_path).require(2)
    assert done.stderr.startswith(told) and done.stderr.count("\n") == 1 and SECRET not in done.stderr
    assert not (tmp_path / "runs").exists() or not os.listdir(tmp_path / "runs")


@pytest.mark.slow
def test_a_place_that_takes_no_copy_is_told_before_the_data_are_fetched(url: str, tmp_path: Path) -> None:
    make_spec(tmp_path, tmp_path / "data")
    nowhere = ("--copy-to", "s3://no-such-bucket/runs", "--results", "runs")
    done = call("run", "small.yaml", "--data-root", url, *nowhere, folder=tmp_path).require(2)
    assert done.stderr.startswith("error: There is no bucket no-such-bucket") and "fetching" not in done.stdout


def test_a_run_whose_disk_is_lost_goes_on_from_its_copy(tmp_path: Path, used_store: SmallStore) -> None:
    used_store.make_bucket("runs")
    make_spec(tmp_path, make_data(tmp_path / "data"), fit={"epochs": 40, "patience": 40}, search={"trials": 12})
    copies = ("--copy-to", "s3://runs/mine", "--set", "resources.copy_seconds=0.1", "--executor", "inline")
    whole, here = RunPaths(tmp_path / "whole", "lost"), ("--executor", "inline")
    call("run", "small.yaml", "--name", "lost", "--results", whole.root, *here, folder=tmp_path).require()

    lost, stored = RunPaths(tmp_path / "disk", "lost"), StoredRun("s3://runs/mine/lost", "a test")
    running = Running("run", tmp_path / "small.yaml", "--name", "lost", "--results", lost.root, *copies)

    def copied() -> bool:
        index = stored.index()
        # Trials that are over, one on its way, and their epochs.
        return index is not None and len([path for path in index.files if path.endswith("progress.jsonl")]) >= 3

    assert running.wait_for(copied), running.end()
    running.kill()
    assert RunRecord.load(lost).state == "interrupted", "it was over before it was killed"
    joined = call("run", "small.yaml", "--join", "lost", "--results", lost.root, folder=tmp_path).require(2)
    assert "is not copied: leave --copy-to out, or say --copy-to none" in joined.stderr
    shutil.rmtree(lost.root)

    found = RunPaths(tmp_path / "other", "lost")
    resumed = call("resume", stored.url, "--results", found.root, *here, folder=tmp_path).require()
    assert "fetching s3://runs/mine/lost (files)" in resumed.stdout
    assert facts(found) == facts(whole)
    # It went on being copied: its end is in the store too, and is not overwritten here.
    refused = call("resume", stored.url, "--results", found.root, folder=tmp_path).require(2)
    assert "`resume lost` goes on with what is there" in refused.stderr
    call("resume", stored.url, "--results", "third", folder=tmp_path).require()
    assert facts(RunPaths(tmp_path / "third", "lost")) == facts(whole)
    kept = {path: path.read_bytes() for path in found.folder.rglob("*") if path.is_file()}
    assert all(SECRET.encode() not in content and ACCESS.encode() not in content for content in kept.values())
    nowhere = ("--copy-to", "s3://no-such-bucket", "--results", found.root)
    refused = call("resume", "lost", "--trials", 13, *nowhere, folder=tmp_path).require(2)
    assert "There is no bucket no-such-bucket" in refused.stderr
    assert kept == {path: path.read_bytes() for path in kept}, "what is refused leaves the run as it was"
    again = call("run", "small.yaml", "--name", "lost", "--results", "new", *copies, folder=tmp_path).require(2)
    assert "s3://runs/mine/lost holds another run of that name" in again.stderr
    assert not (tmp_path / "new" / "lost").exists()


def test_a_finished_run_whose_last_copy_is_missing_is_copied_again(tmp_path: Path, used_store: SmallStore) -> None:
    used_store.make_bucket("later")
    make_spec(tmp_path, make_data(tmp_path / "data"), search={"trials": 2})
    done, stored = RunPaths(tmp_path / "runs", "done"), StoredRun("s3://later/mine/done", "a test")
    how = ("--results", done.root, "--executor", "inline")
    call("run", "small.yaml", "--name", "done", "--copy-to", "s3://later/mine", *how, folder=tmp_path).require()
    whole = stored.index()
    assert whole is not None
    stored.write_index(replace(whole, files={path: one for path, one in whole.files.items() if "best/" not in path}))

    told = call("resume", "done", *how, folder=tmp_path).require()
    assert "Run done is finished, and s3://later/mine/done holds all of it." in told.stdout
    told = call("resume", "done", "--copy-to", "none", *how, folder=tmp_path).require()
    assert "holds all of it" not in told.stdout
    copied = stored.index()
    assert copied is not None and copied.files.keys() == whole.files.keys()
    # Whoever fetches it to look at it has nothing to write back.
    told = call("resume", stored.url, "--results", "other", folder=tmp_path).require()
    assert "holds all of it" not in told.stdout and stored.index() == copied
    assert facts(RunPaths(tmp_path / "other", "done")) == facts(done)

    told = call("resume", "done", "--copy-to", "s3://no-such-bucket", *how, folder=tmp_path).require(2)
    assert "There is no bucket no-such-bucket" in told.stderr and "--copy-to none goes on without a copy" in told.stderr

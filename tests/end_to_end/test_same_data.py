"""What was found on one set of bytes is not continued, rewritten or compared with another without a word."""

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from command_line import call
from learnable_root import write_root
from rich.console import Console

from spectral_search import service
from spectral_search.errors import RequestError
from spectral_search.record.durable import write_json
from spectral_search.record.evidence import load_evidence
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord
from spectral_search.service import RunOptions, Shown
from spectral_search.tasks.spectra.shards import same_data
from spectral_search.tasks.spectra.shards.data_root import DataRoot, sampled_sha256
from spectral_search.tasks.spectra.training import spectra_preparation
from spectral_search.train.trainer import Trainer

pytestmark = pytest.mark.slow

SPEC: dict[str, Any] = {
    "stage": "step1",
    "model": {"kind": "mlp", "hidden": [16]},
    "fit": {"epochs": 2, "batch_size": 32, "precision": "float32"},
    "space": {"fit.lr": {"log_uniform": [1.0e-3, 1.0e-2]}},
    "search": {"trials": 2, "finalists": 1, "retest_draws": 2, "retest_seeds": 1, "pruner": "none"},
    "resources": {"gpus": []},
}
CHANGED = "changed since run {} began: restore the data, or start a new run."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, two finished runs of one search on them, and one interrupted after an epoch."""
    folder = tmp_path_factory.mktemp("same")
    write_root(folder / "data", train=120, val=48, test=40, pixels=32, with_noisy=True)
    start(folder, "one")
    start(folder, "two")
    sound = Trainer.run_epoch

    def run_epoch(self: Trainer, members: list[Any]) -> Any:
        if members[0].epoch == 1:
            raise KeyboardInterrupt
        return sound(self, members)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", run_epoch)
        with pytest.raises(KeyboardInterrupt):
            start(folder, "cut")
    return folder


def start(folder: Path, name: str, stage: str = "step1", **spec: Any) -> RunRecord:
    """Run the search on folder/data."""
    file = folder / f"{stage}.yaml"
    file.write_text(json.dumps({**SPEC, "stage": stage, **spec}))
    options = options_of(folder, name=name, data_root=(str(folder / "data"),))
    return service.run(
        service.plan(str(file), options, service.silent(), dry_run=False), name, options, service.silent()
    )


def options_of(folder: Path, **changes: Any) -> RunOptions:
    return RunOptions(**{"results": str(folder / "results"), "executor": "inline", **changes})


@pytest.fixture
def place(folder: Path, tmp_path: Path) -> Path:
    """The results in a folder of the test's own; the data stay where they are unless the test copies them."""
    shutil.copytree(folder / "results", tmp_path / "results")
    return tmp_path


def moved_data(folder: Path, place: Path) -> Path:
    """Copy the data, as `cp` does: with new times."""
    shutil.copytree(folder / "data", place / "data", copy_function=shutil.copyfile)
    return place / "data"


def edit(root: Path, part: str, array: str, change: Callable[[Any], None]) -> None:
    with h5py.File(root / f"{part}_0/dataset.h5", "r+") as file:
        change(file[f"dataset/arrays/{array}/value"])


def three_rows(values: Any) -> None:
    """Not those at the ends and between that a sample of evenly spaced rows would see."""
    for row in (3, 20, 71):
        values[row] = values[row] * 1.01


def times_three(values: Any) -> None:
    values[:] = values[:] * 3


def resume(place: Path, name: str, data: Path, **options: Any) -> tuple[RunRecord, str]:
    text = io.StringIO()
    shown = Shown(Console(file=text, width=500))
    record = service.resume(name, options_of(place, data_root=(str(data),), **options), shown)
    return record, text.getvalue()


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def paths_of(place: Path, name: str) -> RunPaths:
    return RunPaths(place / "results", name)


def test_a_run_knows_every_spectrum_that_it_used(folder: Path) -> None:
    data = RunRecord.load(paths_of(folder, "one")).manifest.data
    arrays = {"train": {"flux", "error"}, "val": {"flux", "error", "noisy"}, "test": {"flux", "error", "noisy"}}
    assert {part: set(digests) for part, digests in data["content"].items()} == arrays
    with np.load(paths_of(folder, "one").content_npz) as hashes:
        assert {name: len(hashes[name]) for name in hashes if not name.endswith("mask")} == {
            f"{part}_{array}": {"train": 120, "val": 48, "test": 40}[part] for part in arrays for array in arrays[part]
        }
    assert data["content"] == RunRecord.load(paths_of(folder, "two")).manifest.data["content"]


def test_other_noise_is_not_taken_for_the_runs_own_test_set(folder: Path, place: Path) -> None:
    other = moved_data(folder, place)
    edit(other, "test", "noisy", times_three)
    before = contents(place / "results")
    arguments = ["evaluate", "one", "--data", other, "--results", place / "results"]
    document = call(*arguments, "--json", folder=place).require().json()
    assert document["own_test_set"] is False and document["spectra"] == 40
    told = call(*arguments, folder=place).require().stdout
    assert "not the test spectra of run one: what it keeps of its own stays as it is." in told
    assert contents(place / "results") == before
    found = service.compare("one", "two", str(place / "results"))
    assert found.gain is not None and found.gain.value == 0.0


def test_stored_predictions_are_never_rewritten_but_restored_from_the_own_test_set(folder: Path, place: Path) -> None:
    paths, data = paths_of(place, "one"), moved_data(folder, place)
    (file,) = paths.predictions_dir.glob("test_*.parquet")
    written, state = file.read_bytes(), file.stat().st_mtime_ns
    own = service.evaluate("one", str(data), results=str(place / "results"))
    assert (own["own_test_set"], own["note"]) == (True, None)
    assert file.stat().st_mtime_ns == state
    file.unlink()
    edit(data, "test", "noisy", times_three)
    service.evaluate("one", str(data), results=str(place / "results"))
    assert not file.exists()
    service.evaluate("one", str(folder / "data"), results=str(place / "results"))
    assert file.read_bytes() == written


def test_labels_make_another_test_set(folder: Path, place: Path) -> None:
    data = write_root(place / "data", train=8, val=0, test=40, pixels=32, with_noisy=True)
    import pandas as pd

    file = data / "test_0/dataset.h5"
    with h5py.File(file, "r+") as opened, h5py.File(folder / "data/test_0/dataset.h5") as own:
        for array in ("flux", "error", "noisy"):
            opened[f"dataset/arrays/{array}/value"][:] = own[f"dataset/arrays/{array}/value"][:]
    same = service.evaluate("one", str(data), results=str(place / "results"))
    labels = pd.read_hdf(file, "dataset/params")
    labels.loc[5, "log_g"] += 0.5
    with h5py.File(file, "r+") as opened:
        del opened["dataset/params"]
    labels.to_hdf(file, key="dataset/params", mode="a", format="table")
    changed = service.evaluate("one", str(data), results=str(place / "results"))
    assert (same["own_test_set"], changed["own_test_set"]) == (True, False)


@pytest.mark.parametrize("part", ["train", "val", "test"])
@pytest.mark.parametrize(("name", "options"), [("one", {"trials": 3}), ("cut", {})])
def test_edited_spectra_are_not_trained_on(
    folder: Path, place: Path, part: str, name: str, options: dict[str, Any]
) -> None:
    data = moved_data(folder, place)
    edit(data, part, "flux", lambda values: three_rows(values) if part == "train" else values.__setitem__(7, 1e-17))
    before = contents(place / "results" / name)
    spectra, row = {"train": ("3 of 120", 3), "val": ("1 of 48", 7), "test": ("1 of 40", 7)}[part]
    with pytest.raises(RequestError) as refused:
        resume(place, name, data, **options)
    assert list(refused.value.faults) == [
        f"{part}_0/dataset.h5 (flux of {spectra} {part} spectra, the first in row {row}) {CHANGED.format(name)}"
    ]
    assert contents(place / "results" / name) == before


def test_one_bit_of_recorded_noise_is_found_by_resume(folder: Path, place: Path) -> None:
    data = moved_data(folder, place)

    def flip(values: Any) -> None:
        row_L = values[11]
        row_L.view(np.uint64)[9] ^= 1 << 40
        values[11] = row_L

    edit(data, "val", "noisy", flip)
    with pytest.raises(RequestError, match=r"val_0/dataset.h5 \(noisy of 1 of 48 val spectra, the first in row 11\)"):
        resume(place, "cut", data)


def test_noise_that_is_gone_is_a_change(folder: Path, place: Path) -> None:
    data = moved_data(folder, place)
    with h5py.File(data / "val_0/dataset.h5", "r+") as file:
        del file["dataset/arrays/noisy"]
    with pytest.raises(RequestError, match="noisy of 48 of 48 val spectra"):
        resume(place, "cut", data)


def test_changed_labels_are_refused_without_reading(folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = moved_data(folder, place)
    with h5py.File(data / "train_0/dataset.h5", "r+") as file:
        table = file["dataset/params/table"]
        rows = table[:]
        rows["values_block_0"][0, 0] += 1.0
        table[:] = rows
    monkeypatch.setattr(same_data, "read_hashes", refuse_to_read)
    with pytest.raises(RequestError, match=r"train_0/dataset.h5 \(labels, wavelengths .* changed since run cut began"):
        resume(place, "cut", data)


def refuse_to_read(*arguments: Any) -> Any:
    raise AssertionError("spectra were read that are known to be unchanged")


@pytest.mark.parametrize("repacked", [False, True])
def test_moved_and_repacked_data_are_the_same(
    folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch, repacked: bool
) -> None:
    """By their bytes, once; from then on by their size and times."""
    data = moved_data(folder, place)
    if repacked:
        from spectral_search.tasks.spectra.shards.shard_writer import repack

        for part in ("train_0", "val_0", "test_0"):
            repack(folder / "data" / part / "dataset.h5", data / part / "dataset.h5", compression="gzip")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", interrupt)
        with pytest.raises(KeyboardInterrupt):
            resume(place, "cut", data)
    monkeypatch.setattr(same_data, "read_hashes", refuse_to_read)
    record, told = resume(place, "cut", data)
    assert record.state == "finished" and "Moved or written again" not in told
    whole = RunRecord.load(paths_of(folder, "one")).manifest
    assert record.manifest.test is not None and whole.test is not None
    assert record.manifest.test["r2"] == pytest.approx(whole.test["r2"], abs=1e-6)


def interrupt(*arguments: Any) -> Any:
    raise KeyboardInterrupt


def test_unchanged_data_are_not_read_to_be_known(folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(same_data, "read_hashes", refuse_to_read)
    record, told = resume(place, "cut", folder / "data")
    assert record.state == "finished" and told.count("Moved") == 0


def test_what_changes_behind_unchanged_times_is_found_while_it_is_read(folder: Path, place: Path) -> None:
    data = moved_data(folder, place)
    edit(data, "train", "flux", three_rows)
    for part in ("train", "val", "test"):
        times = (folder / "data" / f"{part}_0/dataset.h5").stat()
        os.utime(data / f"{part}_0/dataset.h5", ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(RequestError, match="flux of 3 of 120 train spectra"):
        resume(place, "cut", data)


def test_a_run_that_died_before_it_knew_its_data_resumes(
    folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was made of the data yet, so that they may change."""
    data = moved_data(folder, place)
    with monkeypatch.context() as patch:
        patch.setattr(spectra_preparation, "keep_content", interrupt)
        with pytest.raises(KeyboardInterrupt):
            start(place, "early")
    assert "content" not in RunRecord.load(paths_of(place, "early")).manifest.data
    edit(data, "train", "flux", three_rows)
    record, _ = resume(place, "early", data)
    assert record.state == "finished"
    assert (
        record.manifest.data["content"]["train"] != Manifest.load(paths_of(place, "one").manifest_json).data["content"]
    )


def test_runs_on_other_training_bytes_are_compared_with_a_word(folder: Path, place: Path) -> None:
    edit(moved_data(folder, place), "train", "flux", three_rows)
    start(place, "edited")
    found = service.compare("one", "edited", str(place / "results"))
    assert found.gain is not None and found.verdict.endswith(
        "Their train spectra differ: the same rows held other values."
    )
    assert "differ" not in service.compare("one", "two", str(place / "results")).verdict


def test_runs_on_other_test_bytes_are_not_compared(folder: Path, place: Path) -> None:
    edit(moved_data(folder, place), "test", "noisy", times_three)
    start(place, "noisier", data={**SPEC.get("data", {}), "allow_mismatch": True})
    found = service.compare("one", "noisier", str(place / "results"))
    assert found.gain is None and "tested on different spectra" in found.verdict


def test_a_stage_is_told_that_its_parent_had_other_data(folder: Path, place: Path) -> None:
    file = place / "child.yaml"
    heir = {"inherit": {"from": "step1", "keys": ["fit.lr"]}, "space": {"model.dropout": {"choice": [0.0, 0.1]}}}
    file.write_text(json.dumps({**SPEC, "stage": "child", **heir}))

    def notes(data: Path, **given: Any) -> str:
        options = options_of(place, name="child", data_root=(str(data),), **given)
        return " ".join(service.plan(str(file), options, service.silent()).notes)

    assert "best may not be the best here" not in notes(folder / "data")
    other_input = "two saw another input (standardize there, whiten here): its best may not be the best here."
    assert other_input in notes(folder / "data", input_kind="whiten")
    data = moved_data(folder, place)
    assert "Moved or written again since two used them: train_0/dataset.h5, val_0/dataset.h5" in notes(data)
    other = write_root(place / "other", train=100, val=48, test=40, pixels=32, with_noisy=True)
    assert "two had other data (train_0/dataset.h5): its best may not be the best here." in notes(other)


@pytest.fixture
def aged(folder: Path, place: Path) -> Iterator[Path]:
    """The runs as an earlier version would have left them: it knew eight spectra of each shard."""
    shards = {
        shard.name: {
            "spectra": shard.spectra,
            "pixels": shard.pixels,
            "bytes": shard.bytes,
            "sha256": sampled_sha256(shard),
        }
        for shard in DataRoot.find(folder / "data").shards
    }
    for name in ("one", "two", "cut"):
        paths = paths_of(place, name)
        document = json.loads(paths.manifest_json.read_text())
        document["data"] = {"shards": shards, "split": document["data"]["split"]}
        write_json(paths.manifest_json, document)
        paths.content_npz.unlink()
    yield place


def test_a_run_of_an_earlier_version_is_resumed_with_a_word(folder: Path, aged: Path) -> None:
    record, told = resume(aged, "cut", folder / "data")
    assert record.state == "finished" and "recorded eight spectra of each shard and no more" in told
    assert set(record.manifest.data["content"]) == {"train", "val", "test"}
    data = moved_data(folder, aged)
    edit(data, "train", "flux", three_rows)
    with pytest.raises(RequestError, match="flux of 3 of 120 train spectra"):
        resume(aged, "cut", data, trials=3)


def test_a_run_of_an_earlier_version_refuses_what_its_sample_sees(folder: Path, aged: Path) -> None:
    data = moved_data(folder, aged)
    edit(data, "train", "flux", lambda values: values.__setitem__(0, 1e-17))
    with pytest.raises(RequestError, match="train_0/dataset.h5 changed since run cut began"):
        resume(aged, "cut", data)


def test_runs_of_an_earlier_version_are_compared_with_a_word(folder: Path, aged: Path) -> None:
    found = service.compare("one", "two", str(aged / "results"))
    assert found.gain is not None and "eight of each shard: whether all are the same cannot be told" in found.verdict
    shutil.copytree(folder / "results/two", aged / "results/new")
    mixed = service.compare("one", "new", str(aged / "results"))
    assert mixed.gain is None and mixed.verdict.startswith("one was begun by an earlier version")
    standing = load_evidence(aged / "results", ["one", "two"])
    assert any("knew its test spectra by eight of each shard" in note for note in standing.notes)
    (file,) = paths_of(aged, "one").predictions_dir.glob("test_*.parquet")
    file.unlink()
    own = service.evaluate("one", str(folder / "data"), results=str(aged / "results"))
    assert own["own_test_set"] is True and "eight spectra of each shard" in own["note"] and file.exists()


def test_exports_hold_their_wavelengths(folder: Path, place: Path) -> None:
    (config,) = service.export("one", str(place / "best.yaml"), results=str(place / "results"))
    other = moved_data(folder, place)
    for part in ("train", "val", "test"):
        with h5py.File(other / f"{part}_0/dataset.h5", "r+") as file:
            for name in ("wave", "wave_edges"):
                file[f"spectrumdataset/{name}"][...] = file[f"spectrumdataset/{name}"][...] + 2.0
    for verb in (["evaluate", config, "--data", other], ["predict", config, other, "-o", "table.csv"]):
        refused = call(*verb, folder=place).require(2)
        assert "up to 2 Angstrom apart (allowed 0.001)" in refused.stderr
    refused = call("evaluate", config, "--data", other, "--part", "val", folder=place).require(2)
    assert "up to 2 Angstrom apart" in refused.stderr
    call("evaluate", config, "--data", folder / "data", folder=place).require()


def test_an_exported_model_says_that_val_is_another(folder: Path, place: Path) -> None:
    (config,) = service.export("one", str(place / "best.yaml"), results=str(place / "results"))
    assert "note" not in service.evaluate(str(config), str(folder / "data"), "val")
    other = moved_data(folder, place)
    edit(other, "val", "noisy", times_three)
    assert (
        "not the val spectra that the model was chosen on" in service.evaluate(str(config), str(other), "val")["note"]
    )

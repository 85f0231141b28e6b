"""What a run has read is gathered on the way, however it is read, and recorded before anything is made of it."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from learnable_root import write_root
from small_search import make_spec

from spectral_search.errors import RequestError
from spectral_search.record.durable import read_arrays
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import RunPaths
from spectral_search.spec.run import RunSpec
from spectral_search.tasks.spectra.shards.blocks import iter_blocks
from spectral_search.tasks.spectra.shards.content import arrays_used, content_digests, read_hashes
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.same_data import Reading, keep_content, parts_of, same_bytes
from spectral_search.tasks.spectra.shards.split import Splits, make_splits
from spectral_search.tasks.spectra.training.prepare_dataset import prepare

HASHED = partial(iter_blocks, hashed=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_root(tmp_path_factory.mktemp("same") / "data", train=90, val=24, test=20, with_noisy=True)


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    paths = RunPaths(tmp_path, "run").create()
    Manifest(name="run", stage="x", study_name="run", data={"shards": {}, "split": ""}).save(paths.manifest_json)
    return paths


def planned(root: Path, folder: Path, **data: object) -> tuple[RunSpec, Splits]:
    values = {f"data.{key}": value for key, value in {"num_train": 60, **data}.items()}
    spec = make_spec(folder, root).override(values)
    return spec, make_splits(DataRoot.find(root), spec.data)


@pytest.mark.parametrize(
    "kept", [("resident", "float32"), ("resident", "float16"), ("stream", "float32")], ids=lambda kept: " ".join(kept)
)
def test_all_that_a_search_reads_is_recorded(
    root: Path, tmp_path: Path, paths: RunPaths, kept: tuple[str, str]
) -> None:
    spec, splits = planned(root, tmp_path, residency=kept[0], stored_as=kept[1], noise_level=1.0)
    reading = Reading(splits)
    prepare(spec, splits, reading.watched(HASHED))
    keep_content(paths, splits, reading)
    recorded = read_arrays(paths.content_npz)
    for part, selection in parts_of(splits).items():
        arrays = arrays_used(part, selection)
        for array, hash_N in read_hashes(selection, arrays).items():
            np.testing.assert_array_equal(recorded[f"{part}_{array}"], hash_N, err_msg=f"{part} {array}")
        content = Manifest.load(paths.manifest_json).data["content"][part]
        assert content == content_digests(selection, arrays)


def test_what_is_read_again_is_compared_before_anything_is_written(root: Path, tmp_path: Path, paths: RunPaths) -> None:
    spec, splits = planned(root, tmp_path)
    reading = Reading(splits)
    prepared = prepare(spec, splits, reading.watched(HASHED))
    keep_content(paths, splits, reading)
    recorded = read_arrays(paths.content_npz)
    before = paths.manifest_json.read_bytes()
    again = Reading(splits)  # with the preprocessing of a run the test set is not read
    prepare(spec, splits, again.watched(HASHED), prepared.dataset.prep)
    keep_content(paths, splits, again)
    assert paths.manifest_json.read_bytes() == before
    recorded["val_noisy"][4] += np.uint64(1)
    np.savez(paths.content_npz, **recorded)
    with pytest.raises(RequestError, match=r"val_0/dataset.h5 \(noisy of 1 of 24 val spectra, the first in row 4\)"):
        keep_content(paths, splits, again)
    paths.content_npz.unlink()
    with pytest.raises(RequestError, match=r"content.npz cannot be read"):
        keep_content(paths, splits, again)


def test_digests_are_compared_in_what_was_read_now() -> None:
    recorded = {"flux": "a", "error": "b", "noisy": "c"}
    assert same_bytes(recorded, {"flux": "a", "error": "b"})  # at other levels recorded noise is not read
    assert not same_bytes(recorded, {"flux": "a", "error": "b", "noisy": "d"})
    assert not same_bytes({"flux": "a"}, {"flux": "a", "noisy": "c"})
    assert not same_bytes({**recorded, "mask": "m"}, {"flux": "a", "error": "b"})
    assert not same_bytes({"flux": "a"}, {"flux": "a", "mask": "m"})
    assert not same_bytes({}, {})

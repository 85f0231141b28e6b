import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_shards import PIXELS, fake_labels, make_shard

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.data_root import DataRoot, ShardInfo, sampled_sha256


def names(shards: list[ShardInfo]) -> list[str]:
    return [shard.name for shard in shards]


def test_finds_the_parts_in_natural_order(tmp_path: Path) -> None:
    for name in ("train_10", "train_2", "val_1k", "test_10k", "test_1k_0", "notes"):
        make_shard(tmp_path / name / "dataset.h5", 4, with_noisy=name.startswith(("val", "test")))
    (tmp_path / "train_empty").mkdir()
    root = DataRoot.find(tmp_path)
    assert names(root.train) == ["train_2/dataset.h5", "train_10/dataset.h5"]
    assert names(root.val) == ["val_1k/dataset.h5"]
    assert names(root.test) == ["test_1k_0/dataset.h5", "test_10k/dataset.h5"]
    shard = root.val[0]
    assert (shard.spectra, shard.pixels, shard.has_noisy, shard.has_mask) == (4, PIXELS, True, False)
    assert "log_g" in shard.columns
    assert shard.path.is_absolute()
    assert shard.bytes == shard.path.stat().st_size
    assert root.pixels == PIXELS
    assert root.wave_angstrom_L[-1] == 8850.0


def test_several_roots_globs_files_and_shard_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/train_0", "b/train_0", "b/test_0", "c/train_0"):
        make_shard(tmp_path / name / "dataset.h5", 4)
    both = DataRoot.find([str(tmp_path / "[ab]"), str(tmp_path / "b")])
    assert names(both.train) == ["a/train_0/dataset.h5", "b/train_0/dataset.h5"]
    assert names(both.test) == ["test_0/dataset.h5"]
    by_folder = DataRoot.find(str(tmp_path / "b" / "*"))
    assert (names(by_folder.train), names(by_folder.test)) == (["train_0/dataset.h5"], ["test_0/dataset.h5"])
    assert names(DataRoot.find(str(tmp_path / "b/test_0/dataset.h5")).train) == ["test_0/dataset.h5"]
    monkeypatch.chdir(tmp_path / "c")
    assert DataRoot.find(".").train[0].path == tmp_path / "c/train_0/dataset.h5"


def test_no_such_root_and_nothing_in_it_at_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/readme.txt").write_text("x")
    (tmp_path / "b.txt").write_text("x")
    with pytest.raises(RequestError) as error:
        DataRoot.find([tmp_path / "nowhere", tmp_path / "a", tmp_path / "b.txt", tmp_path / "z*", "z.h5"])
    assert len(error.value.faults) == 5
    assert "There is no data root" in error.value.faults[0]
    assert "holds no train*/dataset.h5; it holds readme.txt" in error.value.faults[1]
    assert "neither a folder nor an .h5 file" in error.value.faults[2]
    assert error.value.faults[4].startswith("There is no file z.h5;")


def test_a_root_that_cannot_even_be_looked_at_is_a_fault() -> None:
    with pytest.raises(RequestError, match="cannot be read"):
        DataRoot.find("x" * 5000)


def test_patterns_may_go_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_shard(tmp_path / "a1/train_0/dataset.h5", 4)
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    assert names(DataRoot.find("../a*").train) == ["train_0/dataset.h5"]
    assert names(DataRoot.find("../a1/").train) == ["train_0/dataset.h5"]


def test_no_root_and_only_test_data(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="No data root was given"):
        DataRoot.find([])
    make_shard(tmp_path / "test_0/dataset.h5", 4)
    with pytest.raises(RequestError, match="nothing to train on: only test_0/"):
        DataRoot.find(tmp_path)
    assert len(DataRoot.find(tmp_path, need_train=False).test) == 1


def test_shards_that_disagree_are_all_named(tmp_path: Path) -> None:
    make_shard(tmp_path / "train_0/dataset.h5", 4)
    make_shard(tmp_path / "train_1/dataset.h5", 4, pixels=PIXELS + 1)
    make_shard(tmp_path / "test_0/dataset.h5", 4, wave_angstrom_L=np.linspace(7100.0, 8850.01, PIXELS))
    make_shard(tmp_path / "val_0/dataset.h5", 4, labels=fake_labels(4).drop(columns="log_g"))
    (tmp_path / "train_2").mkdir()
    (tmp_path / "train_2/dataset.h5").write_bytes(b"not HDF5 at all")
    with pytest.raises(RequestError) as error:
        DataRoot.find(tmp_path)
    text = "\n".join(error.value.faults)
    assert len(error.value.faults) == 4
    assert f"train_0/dataset.h5 has {PIXELS} a spectrum, train_1/dataset.h5 has {PIXELS + 1}" in text
    assert "disagree on wavelength: train_0/dataset.h5" in text
    assert "8850.010" in text
    assert "0.01 Angstrom" in text
    assert "no column log_g" in text
    assert "not an HDF5 file" in text


def test_a_hair_of_wavelength_is_no_disagreement(tmp_path: Path) -> None:
    make_shard(tmp_path / "train_0/dataset.h5", 4)
    make_shard(tmp_path / "test_0/dataset.h5", 4, wave_angstrom_L=np.linspace(7100.0, 8850.0009, PIXELS))
    assert len(DataRoot.find(tmp_path).test) == 1


def test_fingerprint_follows_the_file_not_the_place(tmp_path: Path) -> None:
    make_shard(tmp_path / "a/train_0/dataset.h5", 40)
    before = DataRoot.find(tmp_path / "a").fingerprint()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert DataRoot.find(tmp_path / "b").fingerprint() == before
    os.utime(tmp_path / "b/train_0/dataset.h5", (1, 1))
    touched = DataRoot.find(tmp_path / "b").fingerprint()
    assert list(before) == list(touched) == ["train_0/dataset.h5"]
    one, other = before["train_0/dataset.h5"], touched["train_0/dataset.h5"]
    assert {key for key in one if one[key] != other[key]} == {"mtime_ns"}
    assert one["spectra"] == 40


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({"labels": fake_labels(40, seed=5)}, {"labels"}),
        ({"wave_angstrom_L": np.linspace(7100.0, 8850.0005, PIXELS)}, {"labels"}),
        ({"dtype": "float32"}, {"layout", "bytes"}),
        ({"chunk_rows": 4}, {"layout"}),
    ],
)
def test_fingerprint_says_what_is_another(tmp_path: Path, change: dict[str, Any], keys: set[str]) -> None:
    make_shard(tmp_path / "a/train_0/dataset.h5", 40)
    make_shard(tmp_path / "b/train_0/dataset.h5", 40, **change)
    a, b = (DataRoot.find(tmp_path / name).fingerprint()["train_0/dataset.h5"] for name in "ab")
    assert keys <= {key for key in a if a[key] != b[key]} <= keys | {"mtime_ns", "bytes"}


def test_the_sample_of_earlier_versions_comes_out_as_they_recorded_it(tmp_path: Path) -> None:
    """Their runs are resumed, and reported beside each other, by it."""
    make_shard(tmp_path / "train_0/dataset.h5", 40, dtype="float32", chunk_rows=8, with_mask=True, with_noisy=True)
    (shard,) = DataRoot.find(tmp_path).train
    assert sampled_sha256(shard) == "f269067fb9965c6e6d237137b3183f2ec0347942783501435ef35ade1946f06a"


def test_header_work_imports_neither_torch_nor_ray_nor_pandas() -> None:
    module = "spectral_search.tasks.spectra.shards.data_root"
    code = f"import sys; import {module}; print({{'torch', 'ray', 'pandas'}} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize("kind", ["folder", "dangling link"])
@pytest.mark.parametrize("part", ["train_1", "val_0"])
def test_a_shard_that_cannot_be_opened_is_not_left_out(part: str, kind: str, tmp_path: Path) -> None:
    make_shard(tmp_path / "train_0" / "dataset.h5", 4)
    (tmp_path / part).mkdir()
    file = tmp_path / part / "dataset.h5"
    if kind == "folder":
        file.mkdir()
    else:
        file.symlink_to(tmp_path / "annex")
    expected = "is a folder" if kind == "folder" else "no such file, to which it is a link"
    with pytest.raises(RequestError, match=f"{part}/dataset.h5.*{expected}"):
        DataRoot.find(tmp_path)

"""A bundle comes back as it went in, or not at all."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from full_disks import file_limit

from spectral_search.errors import RequestError
from spectral_search.record.bundle import BundlePaths, read_bundle, write_bundle

CONFIG: dict[str, Any] = {"stage": "step1", "model": {"kind": "mlp"}, "provenance": {"run": "step1", "trial": 3}}
WEIGHTS = {
    "layer.weight": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "layer.bias": np.arange(6, dtype=np.float64)[::2],
    "norm.num_batches_tracked": np.array(7, dtype=np.int64),
    "half": np.array([1.5], dtype=np.float16),
    "big_endian": np.array([1, 2, 3], dtype=">f4"),
    "empty": np.zeros((0, 3), dtype=np.float32),
}
PREPROCESSING = {"mean_L": np.array([0.5, np.nan], dtype=np.float32), "valid_L": np.array([True, False])}


def write(path: Path, scale: float = 1.0) -> Path:
    """Write the bundle of these tests."""
    weights = {**WEIGHTS, "layer.bias": WEIGHTS["layer.bias"] * scale}
    return write_bundle(
        path, CONFIG, weights, PREPROCESSING, {"val_r2": 0.6, "nan": float("nan")}, preprocessing_metadata={"kind": "a"}
    ).config


def test_every_array_comes_back(tmp_path: Path) -> None:
    bundle = read_bundle(write(tmp_path / "new" / "best.yaml"))
    assert set(bundle.weights) == set(WEIGHTS)
    for name, array in WEIGHTS.items():
        assert bundle.weights[name].dtype == array.dtype.newbyteorder("=")
        assert bundle.weights[name].shape == array.shape
        np.testing.assert_array_equal(bundle.weights[name], array)
    np.testing.assert_array_equal(bundle.preprocessing["mean_L"], PREPROCESSING["mean_L"])
    assert bundle.preprocessing["valid_L"].dtype == bool
    assert bundle.preprocessing_metadata == {"kind": "a"}
    assert bundle.metrics == {"val_r2": 0.6, "nan": None}
    assert {key: value for key, value in bundle.config.items() if key != "provenance"} == {
        "stage": "step1",
        "model": {"kind": "mlp"},
    }
    assert (bundle.provenance["run"], bundle.provenance["trial"]) == ("step1", 3)


def test_a_folder_and_a_file_name_their_parts(tmp_path: Path) -> None:
    write(tmp_path / "config.yaml")
    write(tmp_path / "a.b.yaml")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.b.metrics.json",
        "a.b.model.safetensors",
        "a.b.preprocessing.safetensors",
        "a.b.yaml",
        "config.yaml",
        "metrics.json",
        "model.safetensors",
        "preprocessing.safetensors",
    ]
    assert read_bundle(tmp_path).metrics == read_bundle(tmp_path / "config.yaml").metrics


def test_all_missing_files_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(RequestError) as caught:
        read_bundle(tmp_path / "absent.yaml")
    assert len(caught.value.faults) == 4
    config = write(tmp_path / "best.yaml")
    (tmp_path / "best.metrics.json").unlink()
    (tmp_path / "best.model.safetensors").unlink()
    with pytest.raises(RequestError) as caught:
        read_bundle(config)
    assert len(caught.value.faults) == 2
    (tmp_path / "best.preprocessing.safetensors").unlink()
    with pytest.raises(RequestError, match=r"^\S*best.yaml is no exported model, .* `spectral-search export RUN -o"):
        read_bundle(config)


@pytest.mark.parametrize("part", ["model", "preprocessing", "metrics"])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_cut_file_is_refused(tmp_path: Path, part: str, keep: float) -> None:
    config = write(tmp_path / "best.yaml")
    path: Path = getattr(BundlePaths(config), part)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content.rstrip()) * keep)])
    with pytest.raises(RequestError, match=path.name):
        read_bundle(config)


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"a: [", b"\xff\xfe\x00"])
def test_a_damaged_config_is_refused(tmp_path: Path, content: bytes) -> None:
    config = write(tmp_path / "best.yaml")
    config.write_bytes(content)
    with pytest.raises(RequestError, match=r"best\.yaml"):
        read_bundle(config)


def test_files_of_two_exports_are_not_mixed(tmp_path: Path) -> None:
    config = write(tmp_path / "best.yaml")
    other = BundlePaths(write(tmp_path / "other.yaml", scale=2.0))
    BundlePaths(config).model.write_bytes(other.model.read_bytes())
    with pytest.raises(RequestError, match=r"best\.model\.safetensors is not the one"):
        read_bundle(config)


def test_a_config_written_by_hand_needs_no_digests(tmp_path: Path) -> None:
    config = write(tmp_path / "best.yaml")
    config.write_text(yaml.safe_dump({"stage": "step1"}))
    assert read_bundle(config).provenance == {}


def test_a_full_disk_leaves_the_older_bundle_whole(tmp_path: Path) -> None:
    config = write(tmp_path / "best.yaml")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    wide = {"weight": np.ones((64, 64), np.float32)}
    with file_limit(4096), pytest.raises(OSError, match="File too large"):
        write_bundle(config, CONFIG, wide, PREPROCESSING, {"val_r2": 0.7})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    config = write(tmp_path / "best.yaml")
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    BundlePaths(config).model.write_bytes(pickled.getvalue())
    with pytest.raises(RequestError, match="no safetensors file"):
        read_bundle(config)


def test_other_paths_are_no_bundles(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="names no exported model"):
        read_bundle(tmp_path / "model.safetensors")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="File exists"):
        write(tmp_path / "file" / "best.yaml")

"""What the writer writes is the real layout, whole or not at all."""

import re
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from shard_variants import VARIANTS, Sample, make_sample, write_variant

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.shard import Shard
from spectral_search.tasks.spectra.shards.shard_check import check_shard
from spectral_search.tasks.spectra.shards.shard_writer import ShardWriter, edges_from_centres, repack


@pytest.fixture(scope="module")
def sample() -> Sample:
    return make_sample()


def _write(path: Path, sample: Sample, **options: object) -> Path:
    spectra, pixels = sample.flux_NL.shape
    with ShardWriter(
        path, spectra=spectra, pixels=pixels, wave_angstrom_L=sample.wave_angstrom_L, with_noisy=True, **options
    ) as writer:
        for start in range(0, spectra, 10):
            rows = slice(start, min(start + 10, spectra))
            writer.write(
                start,
                sample.flux_NL[rows],
                sample.error_NL[rows],
                sample.noisy_NL[rows],
                sample.invalid_NL[rows].astype(int),
            )
        writer.write_params(sample.labels)
    return path


def test_the_layout_is_that_of_the_real_writer(tmp_path: Path, sample: Sample) -> None:
    path = _write(tmp_path / "train_0" / "dataset.h5", sample)
    with h5py.File(path) as file:
        for name in ("flux", "error", "noisy", "mask"):
            data = file[f"dataset/arrays/{name}/value"]
            assert data.shape == (37, 53) and data.chunks == (37, 53)
            assert data.dtype == (np.int64 if name == "mask" else np.float64)
        assert file["spectrumdataset/wave"].shape == (53,)
        assert file["spectrumdataset/wave_edges"].shape == (54,)
        assert "values_block_0" in file["dataset/params/table"].dtype.names
    pd.testing.assert_frame_equal(pd.read_hdf(path, "dataset/params"), sample.labels)
    assert not [file for file in path.parent.iterdir() if file != path]


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": np.float32},
        {"dtype": ">f8"},
        {"dtype": np.float16, "chunk_rows": None},
        {"compression": "gzip", "shuffle": True},
        {"compression": "lzf", "chunk_rows": 4},
    ],
    ids=str,
)
def test_what_is_written_is_read(options: dict[str, object], tmp_path: Path, sample: Sample) -> None:
    with Shard.open(_write(tmp_path / "dataset.h5", sample, **options)) as shard:
        arrays = shard.read(0, 37, ("flux", "error", "noisy", "mask"))
        labels = shard.params()
        wave, edges = shard.wave_angstrom_L, shard.wave_edges_angstrom_L1
    for name, expected in {"flux": sample.flux_NL, "error": sample.error_NL, "noisy": sample.noisy_NL}.items():
        np.testing.assert_array_equal(arrays[name], expected)
    np.testing.assert_array_equal(arrays["mask"], sample.invalid_NL)
    assert labels["log_g"].tolist() == sample.labels["log_g"].tolist()
    np.testing.assert_allclose(wave, sample.wave_angstrom_L)
    np.testing.assert_allclose(edges, sample.edges_angstrom_L1)


def test_the_checker_finds_nothing_wrong_with_it(tmp_path: Path, sample: Sample) -> None:
    findings = check_shard(_write(tmp_path / "dataset.h5", sample, dtype=np.float32))
    assert [(finding.level, finding.sentence.split(" have ")[0]) for finding in findings] == [
        ("warning", "pixels 0, 52")
    ]


def test_a_failed_write_leaves_nothing(tmp_path: Path, sample: Sample) -> None:
    options = {"spectra": 2, "pixels": 53, "wave_angstrom_L": sample.wave_angstrom_L}
    path = tmp_path / "dataset.h5"
    path.write_text("the previous one")
    with pytest.raises(KeyboardInterrupt), ShardWriter(path, **options):
        raise KeyboardInterrupt
    with (
        pytest.raises(ValueError, match="1 spectra and the labels not written"),
        ShardWriter(path, **options) as writer,
    ):
        writer.write(0, sample.flux_NL[:1], sample.error_NL[:1])
    assert [file.name for file in tmp_path.iterdir()] == ["dataset.h5"]
    assert path.read_text() == "the previous one"


def test_misuse_is_refused(tmp_path: Path, sample: Sample) -> None:
    flux, error = sample.flux_NL[:3], sample.error_NL[:3]
    with pytest.raises(ValueError, match="wave_angstrom_L has shape"):
        ShardWriter(tmp_path / "a.h5", spectra=2, pixels=52, wave_angstrom_L=sample.wave_angstrom_L)
    with (
        pytest.raises(ValueError, match="not written"),
        ShardWriter(tmp_path / "b.h5", spectra=2, pixels=53, wave_angstrom_L=sample.wave_angstrom_L) as writer,
    ):
        with pytest.raises(ValueError, match="rows 0:3 of a shard with 2"):
            writer.write(0, flux, error)
        with pytest.raises(ValueError, match="noisy_BL and mask_BL"):
            writer.write(0, flux[:2], error[:2], flux[:2])
        with pytest.raises(ValueError, match="3 rows of labels for 2"):
            writer.write_params(sample.labels[:3])


def test_edges_lie_half_way() -> None:
    np.testing.assert_allclose(edges_from_centres(np.array([1.0, 2.0, 4.0])), [0.5, 1.5, 3.0, 5.0])
    np.testing.assert_allclose(edges_from_centres(np.array([7.0])), [6.5, 7.5])


@pytest.mark.parametrize("name", ["big_float64", "gzip", "bool_mask", "column_datasets", "no_noisy", "no_mask"])
def test_repacking_keeps_every_value(name: str, tmp_path: Path, sample: Sample) -> None:
    source = write_variant(tmp_path / "source.h5", sample, VARIANTS[name])
    repack(source, tmp_path / "new" / "dataset.h5")
    with Shard.open(source) as old, Shard.open(tmp_path / "new" / "dataset.h5") as new:
        assert new.storage["flux"]["dtype"] == "float32" and new.storage["flux"]["compression"] is None
        before, after = (shard.read(0, 37, tuple(old.storage)) for shard in (old, new))
        for array, values in before.items():
            np.testing.assert_array_equal(after[array], values)
        assert new.params().to_dict() == old.params().to_dict()


def test_repacking_needs_wavelengths(tmp_path: Path, sample: Sample) -> None:
    source = write_variant(tmp_path / "source.h5", sample, VARIANTS["no_wave"])
    with pytest.raises(RequestError, match="no wavelengths"):
        repack(source, tmp_path / "new.h5")
    assert not (tmp_path / "new.h5").exists()


def test_the_examples_of_the_page_run(tmp_path: Path, sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[5] / "docs" / "shard_format.md").read_text()
    write, pack = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names = {
        "N": 37, "L": 53, "wave": sample.wave_angstrom_L, "flux": sample.flux_NL, "error": sample.error_NL,
        "labels": sample.labels,
    }  # fmt: skip
    exec(write, names)
    (tmp_path / "slow").symlink_to(tmp_path / "root")
    exec(pack, names)
    with Shard.open(tmp_path / "fast" / "train_0" / "dataset.h5") as shard:
        np.testing.assert_array_equal(shard.read(0, 37)["flux"], sample.flux_NL)

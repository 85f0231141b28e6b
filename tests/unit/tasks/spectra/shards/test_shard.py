"""Every stored variant of a shard reads to the same tensors, and every fault is named."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from shard_variants import VARIANTS, Sample, Variant, make_sample, write_variant

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.shard import Shard


@pytest.fixture(scope="module")
def sample() -> Sample:
    return make_sample()


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_reads_to_the_same_tensors(name: str, tmp_path: Path, sample: Sample) -> None:
    variant = VARIANTS[name]
    expected = {"flux": sample.flux_NL, "error": sample.error_NL}
    expected |= {"noisy": sample.noisy_NL} if variant.noisy else {}
    expected |= {"mask": sample.invalid_NL} if variant.mask else {}
    with Shard.open(write_variant(tmp_path / "dataset.h5", sample, variant)) as shard:
        assert (shard.spectra, shard.pixels) == sample.flux_NL.shape
        assert (shard.has_noisy, shard.has_mask) == (variant.noisy, variant.mask is not None)
        for start, stop in [(0, shard.spectra), (0, 0), (3, 29), (36, 37), (8, 16)]:
            arrays = shard.read(start, stop, tuple(expected))
            for key, values in expected.items():
                assert arrays[key].dtype == values.dtype and arrays[key].dtype.isnative
                np.testing.assert_array_equal(arrays[key], values[start:stop], err_msg=key)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_gives_the_same_wavelengths_and_labels(name: str, tmp_path: Path, sample: Sample) -> None:
    variant = VARIANTS[name]
    with Shard.open(write_variant(tmp_path / "dataset.h5", sample, variant)) as shard:
        labels = shard.params()
        wave, edges = shard.wave_angstrom_L, shard.wave_edges_angstrom_L1
    for column in sample.labels.columns.drop("survey" if variant.params == "fixed" else []):
        assert labels[column].tolist() == sample.labels[column].tolist(), column
    assert (wave is None) == (variant.edges == "neither")
    assert (edges is None) == (variant.edges in ("neither", "none"))
    if wave is not None:
        np.testing.assert_allclose(wave, sample.wave_angstrom_L, rtol=1e-12)
    if edges is not None:
        np.testing.assert_allclose(edges, sample.edges_angstrom_L1, rtol=1e-12)


@pytest.mark.parametrize("name", ["contiguous_float32", "contiguous_float64", "chunks_across_pixels_gzip", "float16"])
def test_random_row_ranges_into_reused_buffers(name: str, tmp_path: Path, sample: Sample) -> None:
    rng = np.random.default_rng(1)
    shape = sample.flux_NL.shape
    out = {"flux": np.empty(shape, np.float32), "error": np.empty(shape, np.float32), "mask": np.empty(shape, bool)}
    with Shard.open(write_variant(tmp_path / "dataset.h5", sample, VARIANTS[name])) as shard:
        for _ in range(30):
            start, stop = sorted(rng.integers(0, shape[0] + 1, 2))
            arrays = shard.read(start, stop, tuple(out), out=out)
            assert all(np.shares_memory(arrays[key], out[key]) for key in out) or start == stop
            np.testing.assert_array_equal(arrays["flux"], sample.flux_NL[start:stop])
            np.testing.assert_array_equal(arrays["error"], sample.error_NL[start:stop])
            np.testing.assert_array_equal(arrays["mask"], sample.invalid_NL[start:stop])


def test_large_rows_are_read_in_several_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: Sample) -> None:
    monkeypatch.setattr("spectral_search.tasks.spectra.shards.stored_array.UNIT_BYTES", 5 * 53 * 8)
    with Shard.open(write_variant(tmp_path / "dataset.h5", sample, Variant(chunk_rows=10_000))) as shard:
        assert shard.chunk_rows == 5  # an unfiltered chunk need not be read whole
        np.testing.assert_array_equal(shard.read(2, 36)["flux"], sample.flux_NL[2:36])
    gzip = write_variant(tmp_path / "gzip.h5", sample, Variant(chunk_rows=10_000, compression="gzip"))
    with Shard.open(gzip) as shard:
        assert shard.chunk_rows == 37
        np.testing.assert_array_equal(shard.read(2, 36)["flux"], sample.flux_NL[2:36])


def test_doubles_beyond_float32_become_infinite(tmp_path: Path, sample: Sample) -> None:
    path = write_variant(tmp_path / "dataset.h5", sample, Variant())
    with h5py.File(path, "r+") as file:
        file["dataset/arrays/flux/value"][0, 0] = 1e300
    with Shard.open(path) as shard:
        assert np.isposinf(shard.read(0, 1)["flux"][0, 0])


def test_negative_and_large_mask_values_are_bad(tmp_path: Path, sample: Sample) -> None:
    path = write_variant(tmp_path / "dataset.h5", sample, Variant())
    with h5py.File(path, "r+") as file:
        file["dataset/arrays/mask/value"][0, :4] = [0, -1, 256, 2**40]
    with Shard.open(path) as shard:
        assert shard.read(0, 1, ("mask",))["mask"][0, :4].tolist() == [False, True, True, True]


@pytest.mark.parametrize(
    ("dtype", "fill", "bad"), [("i8", 0, False), ("i8", 1, True), (bool, False, True), (bool, True, False)]
)
def test_a_mask_that_was_never_written_holds_its_fill_value(
    tmp_path: Path, sample: Sample, dtype: str, fill: int, bad: bool
) -> None:
    path = write_variant(tmp_path / "dataset.h5", sample, Variant())
    with h5py.File(path, "r+") as file:
        del file["dataset/arrays/mask"]
        shape = sample.flux_NL.shape
        file.create_dataset("dataset/arrays/mask/value", shape, dtype, fillvalue=fill, chunks=(2, shape[1]))
    with Shard.open(path) as shard:
        assert (shard.read(0, 3, ("mask",))["mask"] == bad).all()


def test_chosen_columns_only(tmp_path: Path, sample: Sample) -> None:
    with Shard.open(write_variant(tmp_path / "dataset.h5", sample, Variant())) as shard:
        assert list(shard.params(["log_g", "id"])) == ["log_g", "id"]


def test_storage_says_how_arrays_are_stored(tmp_path: Path, sample: Sample) -> None:
    with Shard.open(write_variant(tmp_path / "a.h5", sample, VARIANTS["gzip_shuffle_float32"])) as shard:
        flux = shard.storage["flux"]
    assert (flux["dtype"], flux["chunks"], flux["compression"], flux["shuffle"]) == ("float32", [8, 53], "gzip", True)
    with Shard.open(write_variant(tmp_path / "b.h5", sample, VARIANTS["big_float32_contiguous"])) as shard:
        assert (shard.storage["flux"]["byte_order"], shard.storage["flux"]["chunks"]) == ("big", None)


def _delete(key: str) -> Callable[[h5py.File], None]:
    return lambda file: file.__delitem__(key)


def _replace(key: str, values: np.ndarray) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file[key]
        file[key] = values

    return edit


FAULTS: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "foreign": (_delete("dataset/arrays"), r"dataset/arrays/flux/value is missing .*holds: dataset, spectrumdataset"),
    "no error": (_delete("dataset/arrays/error"), r"error/value is missing \(found: flux, mask, noisy\)"),
    "no params": (_delete("dataset/params"), "dataset/params is missing"),
    "no log_g": (_delete("dataset/params/log_g"), r"no column log_g \(found: M_H, T_eff, id, snr, survey\)"),
    "error shape": (
        _replace("dataset/arrays/error/value", np.ones((37, 52))),
        r"error has shape \(37, 52\) but flux \(37, 53\)",
    ),
    "text flux": (_replace("dataset/arrays/noisy/value", np.full((37, 53), b"x")), r"noisy is stored as text \(\|S1\)"),
    "one spectrum": (_replace("dataset/arrays/flux/value", np.ones(53)), r"flux has shape \(53,\), expected"),
    "empty params": (_replace("dataset/params", np.ones(37)), "holds no table of labels"),
    "wave length": (_replace("spectrumdataset/wave", np.ones(52)), r"wave has shape \(52,\) but the spectra 53 pixels"),
    "uneven columns": (_replace("dataset/params/snr", np.ones(36)), r"different lengths \(.*snr 36"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_name_the_file_and_what_was_found(name: str, tmp_path: Path, sample: Sample) -> None:
    edit, message = FAULTS[name]
    path = write_variant(tmp_path / "dataset.h5", sample, VARIANTS["column_datasets"])
    with h5py.File(path, "r+") as file:
        edit(file)
    with pytest.raises(RequestError, match=message) as caught:
        Shard.open(path)
    assert all(fault.startswith(str(path)) for fault in caught.value.faults)


def test_several_shape_faults_come_together(tmp_path: Path, sample: Sample) -> None:
    path = write_variant(tmp_path / "dataset.h5", sample, Variant())
    with h5py.File(path, "r+") as file:
        _replace("dataset/arrays/error/value", np.ones((37, 52)))(file)
        _replace("dataset/arrays/flux/value", np.ones((36, 53)))(file)
    with pytest.raises(RequestError) as caught:
        Shard.open(path)
    assert len(caught.value.faults) == 4  # error, noisy, mask and params
    assert re.search(r"params has 37 rows but flux 36 spectra", str(caught.value))


def test_no_spectra_and_no_pixels(tmp_path: Path, sample: Sample) -> None:
    for shape, message in {(0, 5): "no spectra", (5, 0): "no pixels"}.items():
        path = tmp_path / "dataset.h5"
        with h5py.File(path, "w") as file:
            for name in ("flux", "error"):
                file[f"dataset/arrays/{name}/value"] = np.ones(shape)
            file["dataset/params/log_g"] = np.ones(shape[0])
        with pytest.raises(RequestError, match=message):
            Shard.open(path)


def test_labels_are_optional_where_they_are_not_needed(tmp_path: Path, sample: Sample) -> None:
    path = write_variant(tmp_path / "dataset.h5", sample, Variant(params="group"))
    with h5py.File(path, "r+") as file:
        del file["dataset/params"]
    with Shard.open(path, need_labels=False) as shard:
        assert shard.columns == ()
        with pytest.raises(RequestError, match="has no labels"):
            shard.params()


def test_non_finite_log_g_is_counted(tmp_path: Path, sample: Sample) -> None:
    log_g = sample.labels["log_g"].copy()
    log_g[[1, 5]] = [np.nan, np.inf]
    path = write_variant(tmp_path / "dataset.h5", replace(sample, labels=sample.labels.assign(log_g=log_g)), Variant())
    with Shard.open(path) as shard, pytest.raises(RequestError, match="not finite for 2 of 37 spectra"):
        shard.params()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "no such file"),
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_text("wave,flux\n" * 100), "not an HDF5 file"),
        (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "truncated"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "truncated"),
        (lambda path: (path.unlink(), path.mkdir()), "is a folder"),
    ],
    ids=["missing", "empty", "text", "half", "one byte short", "folder"],
)
def test_unreadable_files(damage: Callable[[Path], object], message: str, tmp_path: Path, sample: Sample) -> None:
    path = write_variant(tmp_path / "dataset.h5", sample, VARIANTS["contiguous_float32"])
    damage(path)
    with pytest.raises(RequestError, match=message):
        Shard.open(path)


def test_damaged_compressed_bytes_are_a_plain_sentence(tmp_path: Path, sample: Sample) -> None:
    path = write_variant(tmp_path / "dataset.h5", sample, VARIANTS["gzip"])
    with h5py.File(path) as file:
        chunk = file["dataset/arrays/flux/value"].id.get_chunk_info(1)
    with path.open("r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\xff" * chunk.size)
    with Shard.open(path) as shard:
        shard.read(0, 8)
        with pytest.raises(RequestError, match="reading rows 8:16 of flux failed"):
            shard.read(8, 16)


def test_a_filter_that_is_not_here_is_named(tmp_path: Path) -> None:
    path = tmp_path / "dataset.h5"
    with h5py.File(path, "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((2, 5))
        plist.set_filter(32042, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((4, 5))
        group = file.create_group("dataset/arrays")
        h5py.h5d.create(group.id, b"flux", h5py.h5t.IEEE_F32LE, space, plist)
        file["dataset/arrays/error/value"] = np.ones((4, 5))
        file["dataset/params/log_g"] = np.ones(4)
    with pytest.raises(RequestError, match=r"filter 32042\), which cannot be read here; repack"):
        Shard.open(path)


def test_arrays_never_written_read_as_their_fill_value(tmp_path: Path) -> None:
    path = tmp_path / "dataset.h5"
    with h5py.File(path, "w") as file:
        for name in ("flux", "error"):
            file.create_dataset(f"dataset/arrays/{name}/value", (4, 5), "<f4", fillvalue=2)
        file["dataset/params/log_g"] = np.ones(4)
    with Shard.open(path) as shard:
        assert np.all(shard.read(0, 4)["flux"] == 2)


def test_asking_for_an_absent_array_is_refused(tmp_path: Path, sample: Sample) -> None:
    with Shard.open(write_variant(tmp_path / "dataset.h5", sample, VARIANTS["no_noisy"])) as shard:
        with pytest.raises(RequestError, match="noisy is asked for but not in the file"):
            shard.read(0, 1, ("noisy",))
        with pytest.raises(ValueError, match="rows 0:38"):
            shard.read(0, 38)
        with pytest.raises(ValueError, match="C-contiguous float32"):
            shard.read(0, 2, ("flux",), out={"flux": np.empty((2, 53))})

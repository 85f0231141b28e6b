"""The dataset of a search: whatever way the training spectra are kept, its statistics are the same."""

import numpy as np
import pytest
import torch
from small_search import make_data, make_spec

from spectral_search.spec.run import RunSpec
from spectral_search.tasks.spectra.shards.blocks import iter_blocks
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.split import make_splits
from spectral_search.tasks.spectra.training.dataset import Dataset, Labelled, Stream
from spectral_search.tasks.spectra.training.prepare_dataset import prepare
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing
from spectral_search.tasks.spectra.training.train_source import train_source

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> RunSpec:
    folder = tmp_path_factory.mktemp("search")
    return make_spec(folder, make_data(folder / "data"))


def prepared(spec: RunSpec, residency: str, stored_as: str, prep: Preprocessing | None = None) -> Dataset:
    spec = spec.override({"data.residency": residency, "data.stored_as": stored_as})
    splits = make_splits(DataRoot.find(spec.data.root or []), spec.data)
    return prepare(spec, splits, iter_blocks, prep).dataset


@pytest.fixture(scope="module")
def datasets(spec: RunSpec) -> dict[str, Dataset]:
    kinds = {"float32": ("resident", "float32"), "float16": ("resident", "float16"), "stream": ("stream", "float32")}
    return {name: prepared(spec, *how) for name, how in kinds.items()}


def test_statistics_do_not_depend_on_how_spectra_are_kept(datasets: dict[str, Dataset]) -> None:
    expected = datasets["float32"].prep.to_arrays()
    for name in ("float16", "stream"):
        for key, values in datasets[name].prep.to_arrays().items():
            np.testing.assert_array_equal(values, expected[key], err_msg=f"{name} {key}")


def test_float16_holds_the_spectra_of_float32_in_half_the_memory(datasets: dict[str, Dataset]) -> None:
    whole, half = datasets["float32"].train, datasets["float16"].train
    assert isinstance(whole, Labelled)
    assert isinstance(half, Labelled)
    assert 2 * half.nbytes == whole.nbytes
    np.testing.assert_allclose(half.flux_NL.astype(np.float32), whole.flux_NL, rtol=1e-3)
    np.testing.assert_allclose(half.error_NL.astype(np.float32), whole.error_NL, rtol=1e-3)
    np.testing.assert_array_equal(half.error_NL == 0, whole.error_NL == 0)
    np.testing.assert_array_equal(half.log_g_N, whole.log_g_N)


def test_batches_are_float32_and_alike(datasets: dict[str, Dataset]) -> None:
    sources = [train_source(datasets[name], CPU) for name in ("float32", "float16")]
    for ours, theirs in zip(*(source.epoch(1, 1, 32) for source in sources), strict=True):
        for values_BL, expected_BL in zip(theirs.spectra(), ours.spectra(), strict=True):
            assert values_BL.dtype == torch.float32
            torch.testing.assert_close(values_BL, expected_BL, rtol=1e-3, atol=1e-6)


def test_a_resumed_run_keeps_its_preprocessing(spec: RunSpec, datasets: dict[str, Dataset]) -> None:
    first = datasets["float16"]
    again = prepared(spec, "resident", "float16", first.prep)
    assert again.prep is first.prep
    assert isinstance(first.train, Labelled)
    assert isinstance(again.train, Labelled)
    np.testing.assert_array_equal(again.train.flux_NL, first.train.flux_NL)
    assert isinstance(prepared(spec, "stream", "float32", first.prep).train, Stream)

"""Every epoch gives each spectrum once, in an order that is a function of (seed, epoch)."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from small_dataset import make_spectra
from small_shards import make_shard

from spectral_search.task.batch_bounds import batch_bounds
from spectral_search.tasks.spectra.shards.blocks import iter_blocks, read_ranges
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.loaded_spectra import load_spectra
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.training import streamed_spectra as stream
from spectral_search.tasks.spectra.training.dataset import (
    Dataset,
    Frozen,
    Stream,
    as_blocks,
    labelled,
    oracle_bins,
    shared_tensor,
)
from spectral_search.tasks.spectra.training.preprocessing import fit_preprocessing
from spectral_search.tasks.spectra.training.streamed_spectra import StreamSource
from spectral_search.tasks.spectra.training.train_source import train_source
from spectral_search.tasks.spectra.training.training_batches import Batch, ResidentSource, TrainSource

CPU = torch.device("cpu")
SPECTRA = 203


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, TrainSource]:
    """The same 203 spectra of two shards, held in memory and streamed in several windows."""
    make_shard(tmp_path / "train_0/dataset.h5", 120)
    make_shard(tmp_path / "train_1/dataset.h5", 100, seed=1, shift=1000.0)
    everything = Selection.all_of(DataRoot.find(tmp_path).train)
    selection = everything.take(np.delete(np.arange(220), np.arange(3, 220, 13)))
    assert len(selection) == SPECTRA
    spectra = load_spectra(selection, iter_blocks(selection))
    log_g_N, bin_N = spectra.labels["log_g"].to_numpy(np.float32), oracle_bins(spectra.labels)
    prep = fit_preprocessing(as_blocks(spectra), log_g_N, spectra.pixels)
    monkeypatch.setattr(stream, "RANGE_BYTES", 16 * 8 * spectra.pixels)
    monkeypatch.setattr(stream, "WINDOW_BYTES", 50 * 8 * spectra.pixels)
    streamed = StreamSource(Stream(selection, log_g_N, bin_N), prep, CPU, read_ranges)
    return {"resident": ResidentSource(labelled(spectra, prep), CPU), "stream": streamed}


def epoch(source: TrainSource, seed: int = 42, number: int = 1, batch_size: int = 32) -> list[Batch]:
    return list(source.epoch(seed, number, batch_size))


def joined(steps: list[Batch]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    return (
        torch.cat([step.spectra()[0] for step in steps]),
        torch.cat([step.spectra()[1] for step in steps]),
        torch.cat([step.log_g_B for step in steps]),
        torch.cat([step.bin_B for step in steps]),
    )


@pytest.mark.parametrize("kind", ["resident", "stream"])
def test_each_spectrum_once_an_epoch_with_its_own_labels(sources: dict[str, TrainSource], kind: str) -> None:
    steps = epoch(sources[kind])
    assert len(steps) == sources[kind].steps(32) == 6
    assert [step.index for step in steps] == list(range(6))
    flux_NL, error_NL, log_g_N, bin_N = joined(steps)
    # `make_shard` names row and pixel in each flux, so sorting by a valid pixel restores the order of the shards.
    order_N = flux_NL[:, 5].argsort()
    expected = joined(list(sources["resident"].epoch(7, 99, SPECTRA)))
    expected_order_N = expected[0][:, 5].argsort()
    for got, want in zip((flux_NL, error_NL, log_g_N, bin_N), expected, strict=True):
        assert torch.equal(got[order_N], want[expected_order_N])
    assert len(flux_NL[:, 5].unique()) == SPECTRA
    assert not torch.equal(order_N, torch.arange(SPECTRA))


@pytest.mark.parametrize("kind", ["resident", "stream"])
def test_order_is_a_function_of_seed_and_epoch(sources: dict[str, TrainSource], kind: str) -> None:
    source = sources[kind]
    first_N = joined(epoch(source))[0][:, 5]
    torch.manual_seed(5)
    np.random.default_rng().random(3)
    epoch(source, number=2)
    assert torch.equal(joined(epoch(source))[0][:, 5], first_N)
    for seed, number in ((42, 2), (43, 1)):
        assert (joined(epoch(source, seed, number))[0][:, 5] != first_N).float().mean() > 0.9


def test_read_only_arrays_are_shared_without_a_warning_or_a_copy() -> None:
    spectra = make_spectra(20, 1)
    prep = fit_preprocessing(as_blocks(spectra), spectra.labels["log_g"].to_numpy(), spectra.pixels)
    train = labelled(spectra, prep)
    for values in (train.flux_NL, train.error_NL, train.log_g_N, train.bin_N):
        values.flags.writeable = False
    val = Frozen(train.flux_NL[None], train.error_NL, train.log_g_N, train.bin_N)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = train_source(Dataset(train, val, prep, 1.0), CPU)
        epoch(source, batch_size=8)
        assert shared_tensor(train.flux_NL).data_ptr() == train.flux_NL.ctypes.data


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 64, 1000])
@pytest.mark.parametrize("spectra", [2, 3, 5, 8, 9, 63, 64, 65, 127, 129, 1001])
def test_batches_are_even_and_never_hold_one_spectrum(spectra: int, batch_size: int) -> None:
    sizes = np.diff(batch_bounds(spectra, batch_size))
    assert sizes.sum() == spectra
    assert sizes.max() - sizes.min() <= 1
    assert sizes.min() >= min(2, batch_size)
    assert sizes.max() <= max(1.5 * batch_size, 3)
    if spectra % batch_size == 0:
        assert (sizes == batch_size).all()

"""Inputs are made in stripes, by whatever threads there are: the numbers are those of the whole batch at once."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from small_dataset import small_dataset

from spectral_search.tasks.spectra.section import InputSpec
from spectral_search.tasks.spectra.training.dataset import Dataset, Labelled
from spectral_search.tasks.spectra.training.frozen_inputs import FrozenInputs
from spectral_search.tasks.spectra.training.input_feed import STRIPE_ROWS, Feed, InputFormat
from spectral_search.tasks.spectra.training.input_transforms import InputTransform
from spectral_search.tasks.spectra.training.training_batches import Batch

CPU = torch.device("cpu")
COUNT = 3 * STRIPE_ROWS + 5


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return small_dataset(200, 150, draws=2)


@pytest.fixture(autouse=True)
def threads_restored() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def batch_of(dataset: Dataset) -> Batch:
    train = dataset.train
    assert isinstance(train, Labelled)
    flux_NL, error_NL, log_g_N, bin_N = map(
        torch.from_numpy, (train.flux_NL, train.error_NL, train.log_g_N, train.bin_N)
    )
    rows_B = torch.randperm(len(train), generator=torch.Generator().manual_seed(1))[:COUNT]
    return Batch(0, flux_NL, error_NL, log_g_N[rows_B], bin_N[rows_B], rows_B)


def wanted(dataset: Dataset, level: float = 1.0) -> dict[str, InputFormat]:
    specs = {"plain": InputSpec(kind="standardize"), "two": InputSpec(kind="flux_error", clamp=2.0)}
    formats = {"plain": torch.float32, "two": torch.bfloat16}
    return {
        key: InputFormat(InputTransform(spec, dataset.prep, level, CPU), formats[key]) for key, spec in specs.items()
    }


def test_without_noise_the_inputs_are_those_of_the_clipped_batch(dataset: Dataset) -> None:
    batch, want = batch_of(dataset), wanted(dataset, 0.0)
    made = Feed(0.0, CPU).inputs(batch, want, 42)
    flux_BL, error_BL = batch.spectra()
    for key in want:
        expected_BCK = want[key].transform(flux_BL.clamp(min=0.0), error_BL)
        assert made[key].dtype == want[key].format
        assert torch.equal(made[key], expected_BCK.to(want[key].format))


def test_inputs_depend_on_the_counter_and_not_on_the_threads(dataset: Dataset) -> None:
    batch, want, feed = batch_of(dataset), wanted(dataset), Feed(1.0, CPU)
    made = []
    for threads, counter in ((1, 7), (3, 7), (2, 7), (2, 8)):
        torch.set_num_threads(threads)
        made.append(feed.inputs(batch, want, 42, "noise", counter))
        assert torch.get_num_threads() == threads
    for key in want:
        assert torch.equal(made[0][key], made[1][key])
        assert torch.equal(made[0][key], made[2][key])
        assert (made[0][key] != made[3][key]).float().mean() > 0.3


def test_noise_differs_between_stripes_and_has_the_width_of_the_error(dataset: Dataset) -> None:
    batch = batch_of(dataset)
    ones_NL = torch.ones_like(batch.flux_NL)
    alike = replace(batch, flux_NL=100.0 * ones_NL, error_NL=ones_NL)
    noisy_BL = Feed(2.0, CPU).inputs(alike, {"raw": InputFormat(_Raw(ones_NL.shape[1]), torch.float32)}, 42)["raw"][
        :, 0
    ]
    pull_BL = (noisy_BL - 100.0) / 2.0
    assert abs(float(pull_BL.mean())) < 0.05
    assert float(pull_BL.std()) == pytest.approx(1.0, abs=0.03)
    stripes = pull_BL[: 3 * STRIPE_ROWS].unflatten(0, (3, STRIPE_ROWS)).flatten(1)
    correlation = torch.corrcoef(stripes) - torch.eye(3)
    assert float(correlation.abs().max()) < 0.15


class _Raw(InputTransform):
    """The noisy flux as it is."""

    def __init__(self, pixels: int) -> None:
        self.channels, self.pixels = 1, pixels

    def __call__(self, noisy_BL: torch.Tensor, error_BL: torch.Tensor) -> torch.Tensor:
        return noisy_BL.unsqueeze(1)


@pytest.mark.parametrize("keep_bytes", [0, 1 << 30])
def test_frozen_inputs_are_the_same_kept_or_not(dataset: Dataset, keep_bytes: int) -> None:
    val, want = dataset.val, wanted(dataset)
    frozen = FrozenInputs(val, CPU, keep_bytes)
    first = [part.inputs for part in frozen.parts(want, 64)]
    seen = torch.zeros(2, 150)
    for part, before in zip(frozen.parts(want, 64), first, strict=True):
        seen[part.draw, part.rows] += 1
        noisy_BL = torch.from_numpy(val.noisy_DNL[part.draw, part.rows])
        error_BL = torch.from_numpy(val.error_NL[part.rows])
        for key, w in want.items():
            assert torch.equal(part.inputs[key], w.transform(noisy_BL, error_BL).to(w.format))
            assert (part.inputs[key].data_ptr() == before[key].data_ptr()) is (keep_bytes > 0)
    assert (seen == 1).all()


def test_kept_inputs_give_way_to_newer_ones(dataset: Dataset) -> None:
    want = wanted(dataset)
    one = 2 * 150 * 32 * 4
    frozen = FrozenInputs(dataset.val, CPU, keep_bytes=one + 1)
    for key in ("plain", "two", "plain"):
        parts = list(frozen.parts({key: want[key]}, 1000))
        assert len(parts) == 2
    assert list(frozen._kept) == [("plain", torch.float32)]

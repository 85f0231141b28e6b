"""Noise is a function of its counter, and of nothing else."""

import numpy as np
import pytest
import torch
from scipy import stats
from small_dataset import make_spectra, small_dataset

from spectral_search.task.counter import counter_seed
from spectral_search.tasks.spectra.noise.noise_kernel import fill_deviates, fill_noisy
from spectral_search.tasks.spectra.noise.noise_model import add_noise, noisy_rows, normal_deviates
from spectral_search.tasks.spectra.noise.val_draws import val_draws
from spectral_search.tasks.spectra.training.dataset import (
    Labelled,
    as_blocks,
    draw_noise,
    freeze,
    labelled,
    shared_tensor,
)
from spectral_search.tasks.spectra.training.preprocessing import fit_preprocessing

CPU = torch.device("cpu")


def deviates(spectra: int, pixels: int, *counter: int | str, first: int = 0) -> torch.Tensor:
    return normal_deviates(torch.Size((spectra, pixels)), CPU, counter, first)


def scrambled(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def expected_deviates(rows_S: np.ndarray, pixels: int, seed: int) -> np.ndarray:
    """What the documentation of the kernel says, by numpy in float64."""
    golden, other = np.uint32(0x9E3779B1), np.uint32(0x85EBCA6B)
    row_S1, seed_low, seed_high = rows_S[:, None].astype(np.uint32), np.uint32(seed % 2**32), np.uint32(seed >> 32)
    key_S1 = scrambled(seed_low ^ (row_S1 * golden))
    number_P = np.arange((pixels + 1) // 2, dtype=np.uint32)
    bits_SP = scrambled(scrambled(number_P * golden + key_S1) ^ scrambled((key_S1 * other) ^ seed_high))
    radius_SP = np.sqrt(-2.0 * np.log(((bits_SP >> 16) + 0.5) / 2**16))
    angle_SP = 0.5 * np.pi * ((bits_SP & 0x3FFF) + 0.5) / 2**14
    left_SP = radius_SP * np.sin(angle_SP) * np.where(bits_SP & 0x4000, -1.0, 1.0)
    right_SP = radius_SP * np.cos(angle_SP) * np.where(bits_SP & 0x8000, -1.0, 1.0)
    return np.concatenate([left_SP, right_SP], 1)[:, :pixels]


def conditioned(count: int = 50) -> Labelled:
    spectra = make_spectra(count, 3, nan_edges=True)
    prep = fit_preprocessing(as_blocks(spectra), spectra.labels["log_g"].to_numpy(), spectra.pixels)
    return labelled(spectra, prep)


def part_of(spectra: Labelled, rows: slice) -> Labelled:
    return Labelled(spectra.flux_NL[rows], spectra.error_NL[rows], spectra.log_g_N[rows], spectra.bin_N[rows])


def test_counters_differ_in_every_part_and_in_order() -> None:
    counters = [(1, 2), (2, 1), (12,), ("1", 2), (1, "2"), (1, 2, 0), (1, "noise", 2), (1, "order", 2)]
    seeds = [counter_seed(*counter) for counter in counters]
    assert len(set(seeds)) == len(counters)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert counter_seed(42, "noise", 1, 0) == 4689092926029751785  # runs of earlier versions must stay reproducible


def test_same_counter_same_noise_whatever_ran_before() -> None:
    flux_BL, error_BL = torch.ones(6, 40), torch.full((6, 40), 0.1)
    first_BL = add_noise(flux_BL, error_BL, 1.0, (42, "noise", 3, 7))
    torch.manual_seed(0)
    torch.rand(1000)
    add_noise(flux_BL, error_BL, 1.0, (42, "noise", 3, 6))
    again_BL = add_noise(flux_BL, error_BL, 1.0, (42, "noise", 3, 7))
    other_BL = add_noise(flux_BL, error_BL, 1.0, (42, "noise", 4, 7))
    assert torch.equal(first_BL, again_BL)
    assert (first_BL != other_BL).float().mean() > 0.99
    assert (flux_BL == 1.0).all()


@pytest.mark.parametrize("level", [0.5, 1.0])
def test_noise_has_the_width_of_the_error_and_is_clipped_at_zero(level: float) -> None:
    flux_BL = torch.linspace(0.0, 4.0, 41).repeat(20_000, 1)
    error_BL = torch.full_like(flux_BL, 0.4)
    noisy_BL = add_noise(flux_BL, error_BL, level, (1,))
    assert (noisy_BL >= 0).all()
    bright_BM = (noisy_BL - flux_BL)[:, 25:]
    assert abs(float(bright_BM.mean())) < 3e-3
    assert float(bright_BM.std()) == pytest.approx(0.4 * level, rel=5e-3)
    # Half of the spectra with no flux are clipped; what is left averages sigma / sqrt(2 pi).
    assert float((noisy_BL[:, 0] == 0).float().mean()) == pytest.approx(0.5, abs=0.02)
    assert float(noisy_BL[:, 0].mean()) == pytest.approx(0.4 * level / np.sqrt(2 * np.pi), rel=0.03)


@pytest.mark.parametrize("pixels", [1, 2, 7, 40])
def test_deviates_depend_on_position_and_counter_alone(pixels: int) -> None:
    z_BL = deviates(30, pixels, 1, "any")
    assert z_BL.dtype == torch.float32
    assert len(z_BL.unique()) > 0.99 * z_BL.numel()
    parts = [deviates(10, pixels, 1, "any", first=first) for first in (0, 10, 20)]
    assert torch.equal(torch.cat(parts), z_BL)
    assert torch.isin(deviates(30, pixels, 2, "any"), z_BL).float().mean() < 0.05


def test_deviates_are_normal_and_independent() -> None:
    z_BL = deviates(1000, 1000, 1, "normal").double()
    assert stats.kstest(z_BL.flatten().numpy(), "norm").pvalue > 1e-3
    # Standard errors for a million deviates: 0.001, 0.0014 and 0.0098.
    assert abs(float(z_BL.mean())) < 0.004
    assert abs(float(z_BL.square().mean()) - 1.0) < 0.006
    assert abs(float(z_BL.pow(4).mean()) - 3.0) < 0.04
    for tail in (3.5, 4.0):
        found = int((z_BL.abs() > tail).sum())
        assert found == pytest.approx(2e6 * stats.norm.sf(tail), abs=4 * np.sqrt(2e6 * stats.norm.sf(tail)))
    # Neighbouring pixels, those that share 32 bits, the same pixel of the next spectrum: as they are, and in size.
    for lag in (1, 2, 500, 1000):
        left_N, right_N = z_BL.flatten()[:-lag], z_BL.flatten()[lag:]
        assert abs(float((left_N * right_N).mean())) < 0.004
        assert abs(float((left_N.square() * right_N.square()).mean()) - 1.0) < 0.012


def test_deviates_of_different_counters_are_independent() -> None:
    first_BL, second_BL = (deviates(500, 1000, 42, "noise", 3, batch).double() for batch in (0, 1))
    assert abs(float((first_BL * second_BL).mean())) < 4 / np.sqrt(first_BL.numel())


@pytest.mark.parametrize("pixels", [1, 2, 41, 256])
@pytest.mark.parametrize("seed", [0, 1, 1 << 15, 1 << 16, 1 << 31, 1 << 32, 1 << 62, 4689092926029751785])
@pytest.mark.parametrize("first", [0, 4095, 1 << 20, (1 << 31) + 5])
def test_deviates_are_those_of_their_counter(pixels: int, seed: int, first: int) -> None:
    out_SL = np.empty((20, pixels), np.float32)
    fill_deviates(out_SL, first, seed % 2**32, seed >> 32)
    np.testing.assert_allclose(out_SL, expected_deviates(first + np.arange(20), pixels, seed), atol=5e-5)


def test_runs_of_this_version_will_stay_reproducible() -> None:
    """Other deviates are other val noise: then raise the format of stored baselines, and say so to users."""
    expected_SL = [[0.606660, 0.318140, 0.670314], [0.759133, 1.072254, -1.184306]]
    np.testing.assert_allclose(deviates(2, 3, 42, "noise", 1, 0).numpy(), expected_SL, atol=5e-5)


def test_every_radius_and_angle_is_as_exact_as_documented() -> None:
    z_BL = deviates(512, 4096, 1, "pairs").double().numpy()
    expected_BL = expected_deviates(np.arange(512), 4096, counter_seed(1, "pairs"))
    square_BP = np.square(expected_BL[:, :2048]) + np.square(expected_BL[:, 2048:])
    assert len(np.unique(np.round(np.exp(-0.5 * square_BP) * 2**16 - 0.5))) == 2**16
    off_BL = np.abs(z_BL - expected_BL)
    assert off_BL.max() < 4e-5
    assert off_BL[np.tile(square_BP > 0.01, 2)].max() < 1e-5


@pytest.mark.parametrize("pixels", [1, 6, 41])
def test_gathered_rows_are_those_of_the_set_with_the_noise_of_their_places(pixels: int) -> None:
    draw = torch.Generator().manual_seed(1)
    flux_NL, error_NL = (torch.rand(20, pixels, generator=draw) for _ in range(2))
    rows_B = torch.randperm(20, generator=draw)[:7]
    noisy_BL, copied_BL = noisy_rows(flux_NL, error_NL, rows_B, 0.7, (1, "rows"), first=5)
    expected_BL = flux_NL[rows_B] + 0.7 * error_NL[rows_B] * deviates(7, pixels, 1, "rows", first=5)
    torch.testing.assert_close(noisy_BL, expected_BL.clamp(min=0.0), rtol=1e-6, atol=1e-6)
    assert torch.equal(copied_BL, error_NL[rows_B])


@pytest.mark.parametrize("shape", [(5, 8), (5, 9)])
def test_spectra_need_not_lie_in_memory_in_order_nor_be_writable(shape: tuple[int, int]) -> None:
    values_BL = np.random.default_rng(1).random(shape, np.float32)
    expected_BL = add_noise(torch.from_numpy(values_BL), torch.from_numpy(values_BL), 1.0, (1,))
    frozen_BL = values_BL.copy()
    frozen_BL.setflags(write=False)
    other_order = torch.from_numpy(np.asfortranarray(values_BL))
    assert torch.equal(add_noise(other_order, shared_tensor(frozen_BL), 1.0, (1,)), expected_BL)


def test_noise_of_an_unknown_value_is_unknown() -> None:
    noisy_BL = add_noise(torch.tensor([[float("nan"), 1.0]]), torch.ones(1, 2), 1.0, (1,))
    assert noisy_BL.isnan().tolist() == [[True, False]]


def test_level_zero_and_error_zero_add_nothing() -> None:
    flux_BL = torch.tensor([[-1.0, 0.5, 2.0]])
    for level, error in ((0.0, 1.0), (1.0, 0.0)):
        noisy_BL = add_noise(flux_BL, torch.full_like(flux_BL, error), level, (1,))
        assert torch.equal(noisy_BL, torch.tensor([[0.0, 0.5, 2.0]]))


def test_frozen_noise_of_a_spectrum_does_not_depend_on_what_is_drawn_with_it() -> None:
    spectra = conditioned()
    whole_NL = draw_noise(spectra, 1.0, (42, "val"))
    parts = [draw_noise(part_of(spectra, slice(a, a + 7)), 1.0, (42, "val"), first=a) for a in range(0, 50, 7)]
    np.testing.assert_array_equal(np.concatenate(parts), whole_NL)
    assert not np.array_equal(whole_NL, draw_noise(spectra, 1.0, (43, "val")))
    pull_NL = (whole_NL - spectra.flux_NL)[:, 1:-1] / spectra.error_NL[:, 1:-1]
    assert pull_NL.std() == pytest.approx(1.0, abs=0.1)
    np.testing.assert_array_equal(whole_NL[:, [0, -1]], spectra.flux_NL[:, [0, -1]])


def test_recorded_noise_is_the_first_draw_at_level_one_only() -> None:
    spectra = conditioned()
    recorded_NL = spectra.flux_NL - 1.0
    counter = (42, "val")
    at_one = freeze(spectra, recorded_NL, draws=2, noise_level=1.0, counter=counter)
    np.testing.assert_array_equal(at_one.noisy_DNL[0], np.maximum(recorded_NL, 0.0))
    np.testing.assert_array_equal(at_one.noisy_DNL[1], draw_noise(spectra, 1.0, (*counter, 1)))
    at_half = freeze(spectra, recorded_NL, draws=2, noise_level=0.5, counter=counter)
    np.testing.assert_array_equal(at_half.noisy_DNL[0], draw_noise(spectra, 0.5, (*counter, 0)))
    without = freeze(spectra, None, draws=2, noise_level=1.0, counter=counter)
    np.testing.assert_array_equal(without.noisy_DNL[1], at_one.noisy_DNL[1])


def test_without_noise_one_draw_is_enough() -> None:
    frozen = freeze(conditioned(), None, draws=4, noise_level=0.0, counter=(42, "val"))
    assert frozen.noisy_DNL.shape[0] == 1


@pytest.mark.parametrize(
    ("requested", "spectra", "draws"),
    [("auto", 10_000, 1), ("auto", 9_999, 2), ("auto", 5_000, 2), ("auto", 3_000, 4), ("auto", 2, 8), (3, 2, 3)],
)
def test_auto_draws_reach_ten_thousand_noisy_spectra(requested: int | str, spectra: int, draws: int) -> None:
    assert val_draws(requested, spectra) == draws


def test_frozen_noise_is_the_same_in_every_dataset_of_one_seed() -> None:
    first, second = small_dataset(64, 64), small_dataset(128, 64)
    scale = first.prep.flux_scale / second.prep.flux_scale
    valid_L = first.prep.valid_L
    np.testing.assert_allclose(
        first.val.noisy_DNL[..., valid_L] * scale, second.val.noisy_DNL[..., valid_L], rtol=1e-6, atol=1e-6
    )


def some(*shape: int, kind: type = np.float32) -> np.ndarray:
    return np.ones(shape, kind)


def frozen() -> np.ndarray:
    values_BL = some(2, 4)
    values_BL.setflags(write=False)
    return values_BL


GOOD = [some(3, 4), some(3, 4), np.array([0, 2]), 1.0, 0, 1, 2, some(2, 4), some(2, 4)]


@pytest.mark.parametrize(
    ("place", "values", "error", "text"),
    [
        (0, some(3, 4, kind=np.float16), TypeError, "float32 values are needed, not float16"),
        (1, some(3, 4, kind=np.float64), TypeError, "float32 values are needed, not float64"),
        (2, np.array([0.0, 2.0], np.float32), TypeError, "int64 values are needed, not float32"),
        (2, np.array([0, 1, 2, 3])[::2], TypeError, "in another order"),
        (0, some(4, 3).T, TypeError, "in another order"),
        (7, some(2, 4, kind=np.int64), TypeError, "float32 values are needed, not int64"),
        (7, frozen(), TypeError, "an array to write to"),
        (8, frozen(), TypeError, "an array to write to"),
        (1, some(3, 1), ValueError, "do not go together"),
        (1, some(4), ValueError, "do not go together"),
        (1, some(1, 4), ValueError, "do not go together"),
        (0, some(3, 4, 1), ValueError, "do not go together"),
        (7, some(3, 4), ValueError, "do not go together"),
        (8, some(2, 5), ValueError, "do not go together"),
        (2, np.array([0, 3]), IndexError, "rows 0 to 3 of 3 spectra"),
        (2, np.array([-1, 2]), IndexError, "rows -1 to 2 of 3 spectra"),
    ],
)
def test_the_kernel_refuses_what_it_would_read_wrongly(
    place: int, values: np.ndarray, error: type[Exception], text: str
) -> None:
    fill_noisy(*GOOD)
    with pytest.raises(error, match=text):
        fill_noisy(*GOOD[:place], values, *GOOD[place + 1 :])


def test_no_rows_are_no_work() -> None:
    fill_noisy(*GOOD[:2], np.empty(0, np.int64), *GOOD[3:7], some(0, 4), some(0, 4))
    fill_deviates(some(0, 4), 0, 1, 2)

"""Noise is a function of its counter, and of nothing else."""

import numpy as np
import pytest
import torch
from scipy import stats
from small_dataset import make_spectra, small_dataset

from spectral_search.data.counter import counter_seed
from spectral_search.data.dataset import Labelled, as_blocks, draw_noise, freeze, labelled, val_draws
from spectral_search.data.noise import LEVELS, add_noise, normal_deviates
from spectral_search.data.preprocess import fit_preprocessing


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


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (2, 5, 11)])
def test_deviates_come_in_any_shape(shape: tuple[int, ...]) -> None:
    drawn, again = (normal_deviates(torch.Size(shape), torch.device("cpu"), (1, "any")) for _ in range(2))
    assert drawn.shape == shape
    assert drawn.dtype == torch.float32
    assert torch.equal(drawn, again)


def test_deviates_are_normal_and_independent() -> None:
    z_BL = normal_deviates(torch.Size((1000, 1000)), torch.device("cpu"), (1, "normal")).double()
    assert stats.kstest(z_BL.flatten().numpy(), "norm").pvalue > 1e-3
    # Standard errors for a million deviates: 0.001, 0.0014 and 0.0049.
    assert abs(float(z_BL.mean())) < 0.004
    assert abs(float(z_BL.square().mean()) - 1.0) < 0.006
    assert abs(float(z_BL.pow(4).mean()) - 3.0) < 0.02
    tail = float((z_BL.abs() > 3.5).double().mean())
    assert tail == pytest.approx(2 * stats.norm.sf(3.5), rel=0.2)
    # Four deviates come from one draw of 64 bits.
    for lag in (1, 2, 3, 4, 1000):
        products_N = z_BL.flatten()[:-lag] * z_BL.flatten()[lag:]
        assert abs(float(products_N.mean())) < 0.004


def test_all_deviates_that_can_be_drawn_have_exactly_the_moments_of_a_normal_distribution() -> None:
    z_BL = normal_deviates(torch.Size((64, 65_536)), torch.device("cpu"), (1, "all"))
    values = z_BL.unique().double()
    assert len(values) == LEVELS
    assert float(values.mean()) == pytest.approx(0.0, abs=1e-7)
    assert float(values.square().mean()) == pytest.approx(1.0, abs=1e-6)
    assert float(values.pow(4).mean()) == pytest.approx(3.0, abs=3e-4)
    # Each in the middle of its share of the probability, but for the outermost, where the mean lies further out.
    expected = (torch.arange(LEVELS, dtype=torch.float64) + 0.5) / LEVELS
    assert float((torch.special.ndtr(values) - expected).abs()[1:-1].max()) < 0.1 / LEVELS


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

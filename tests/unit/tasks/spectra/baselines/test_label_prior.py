"""Which labels make spectra, and how they are distributed: against sets made with known answers."""

import numpy as np
import pytest

from spectral_search.tasks.spectra.baselines.label_prior import determining, fit_noise_prior, fit_prior, ranks, varying


def test_only_labels_that_move_the_spectrum_are_kept() -> None:
    rng = np.random.default_rng(0)
    label_ND = rng.random((4000, 4)) * [2000.0, 4.0, 1.0, 1.0] + [4000.0, 1.0, 0.0, 0.0]
    hot_N, gravity_N, faint_N, _ = label_ND.T
    mean_NK = np.column_stack([np.tanh((hot_N - 5000) / 300) * 50, gravity_N**2, 0.5 * faint_N * gravity_N])
    assert determining(label_ND, mean_NK) == [0, 1, 2]


def test_labels_that_are_constant_unknown_or_derived_are_no_candidates() -> None:
    label_ND = np.column_stack([np.arange(5.0), np.full(5, 0.0), [1, 2, np.nan, 4, 5], np.arange(5.0), np.arange(5.0)])
    assert varying(label_ND, ("log_g", "redshift", "C_M", "snr", "id")) == [0]


def test_independent_labels_are_drawn_one_by_one() -> None:
    label_ND = np.random.default_rng(0).random((8000, 3)) ** [1.0, 2.0, 3.0]
    prior = fit_prior(label_ND, ("log_g", "a", "b"), 1)
    assert not len(prior.weights_P) and not prior.tied
    np.testing.assert_allclose(prior.labels(np.full((1, 3), 0.5)), np.median(label_ND, 0)[None], atol=1e-3)


def test_the_density_of_labels_that_depend_on_each_other() -> None:
    rng = np.random.default_rng(0)
    # u, v uniform, with density 1 + 0.8 P1(u) P1(v) by rejection.
    u_M, v_M, keep_M = rng.random((3, 60_000))
    density_M = 1.0 + 0.8 * (2 * u_M - 1) * (2 * v_M - 1)
    kept_M = keep_M * 1.8 < density_M
    prior = fit_prior(np.column_stack([u_M, v_M])[kept_M], ("log_g", "a"), 1)
    point_MD = rng.random((200, 2)) * 0.9 + 0.05
    exact_M = np.log(1.0 + 0.8 * (2 * point_MD[:, 0] - 1) * (2 * point_MD[:, 1] - 1))
    off_M = prior.log_ratio(point_MD) - exact_M
    assert np.std(off_M) < 0.08 and np.std(exact_M) > 0.2


def test_labels_on_one_line_cannot_be_drawn() -> None:
    x_N = np.random.default_rng(0).random(4000)
    assert fit_prior(np.column_stack([x_N, 2 * x_N + 1e-3 * x_N**2, x_N**3]), ("log_g", "a", "b"), 1).tied


def test_the_noise_is_expected_from_the_labels() -> None:
    rng = np.random.default_rng(0)
    rank_ND = ranks(rng.random((6000, 2)))
    log_noise_N = 1.0 + 2.0 * rank_ND[:, 0] + rng.uniform(-1.0, 1.0, 6000)
    prior = fit_noise_prior(rank_ND, log_noise_N, 0.02)
    assert np.abs(prior.expected(rank_ND) - 1.0 - 2.0 * rank_ND[:, 0]).max() < 0.15
    inside, outside = prior.log_density(np.array([0.0, 2.0]))
    assert np.exp(inside) == pytest.approx(0.5, rel=0.1) and outside < inside - 5.0

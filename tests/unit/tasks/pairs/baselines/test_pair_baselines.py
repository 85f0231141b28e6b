"""Baselines of pairs find what pixels tell, and nothing where they tell nothing."""

import numpy as np
import pytest
from small_pairs import drawings

from spectral_search.tasks.pairs.baselines.pair_baselines import BASELINES, differences, fitted
from spectral_search.tasks.pairs.images.pair_part import PairPart, drawn_pairs


def part(seed: int, pattern: bool = True, side: int = 12) -> PairPart:
    images_MHW, class_M = drawings(5, 20, side, seed)
    if not pattern:
        images_MHW = np.random.default_rng(seed).integers(0, 256, images_MHW.shape).astype(np.uint8)
    return drawn_pairs(images_MHW.reshape(100, -1), class_M, 400, tuple("abcde"), seed, "pairs")


@pytest.mark.parametrize("name", BASELINES)
def test_it_sees_patterns_of_classes_it_was_not_fitted_on(name: str) -> None:
    test = part(2)
    right = (fitted(name, part(1), test).logit_N > 0) == (test.same_N > 0.5)
    assert right.mean() > 0.9


@pytest.mark.parametrize("name", BASELINES)
def test_it_sees_nothing_in_noise(name: str) -> None:
    test = part(2, pattern=False)
    logit_N = fitted(name, part(1, pattern=False), test).logit_N
    assert np.isfinite(logit_N).all()
    assert abs(((logit_N > 0) == (test.same_N > 0.5)).mean() - 0.5) < 0.1


def test_differences_are_of_places_and_the_same_both_ways() -> None:
    large = part(1, side=28)
    assert differences(large).shape == (400, 14 * 14)
    turned = PairPart(large.images_MP, large.second_N, large.first_N, large.same_N)
    assert np.array_equal(differences(turned), differences(large))
    assert differences(large).max() <= 1.0

"""Pairs that are drawn anew."""

from dataclasses import replace

import numpy as np

from spectral_search.tasks.pairs.images.pair_part import drawn_pairs

CLASS_M = np.repeat(np.arange(5), [2, 3, 4, 5, 6])
IMAGES_MP = np.arange(20 * 16, dtype=np.uint16).reshape(20, 16).astype(np.uint8)
PART = drawn_pairs(IMAGES_MP, CLASS_M, 400, tuple("abcde"), 1, "some")


def test_a_seed_gives_one_drawing() -> None:
    again = drawn_pairs(IMAGES_MP, CLASS_M, 400, tuple("abcde"), 1, "some")
    assert again.sha256() == PART.sha256()
    assert PART.redrawn(3).sha256() == PART.redrawn(3).sha256() != PART.redrawn(4).sha256()


def test_other_pairs_keep_labels_and_first_classes() -> None:
    other = PART.redrawn(7)
    assert np.array_equal(other.same_N, PART.same_N)
    assert np.array_equal(CLASS_M[other.first_N], CLASS_M[PART.first_N])
    assert np.array_equal(CLASS_M[other.first_N] == CLASS_M[other.second_N], other.same_N == 1.0)
    assert not (other.first_N == other.second_N).any()
    assert (other.first_N != PART.first_N).mean() > 0.5


def test_every_image_comes_to_be_used() -> None:
    used = np.unique(np.concatenate([PART.first_N, PART.second_N]))
    assert np.array_equal(used, np.arange(20))


def test_given_pairs_are_turned_round() -> None:
    given = replace(PART, class_M=None)
    other = given.redrawn(3)
    kept = (other.first_N == given.first_N) & (other.second_N == given.second_N)
    turned = (other.first_N == given.second_N) & (other.second_N == given.first_N)
    assert (kept | turned).all() and 0.4 < kept.mean() < 0.6

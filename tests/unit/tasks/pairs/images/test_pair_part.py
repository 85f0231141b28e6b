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


def test_pairs_have_their_classes_in_common_where_there_are_many_and_else_their_images() -> None:
    rng = np.random.default_rng(0)
    images_MP = rng.integers(0, 256, (60, 4)).astype(np.uint8)
    images_MP[1] = images_MP[0]  # one image, twice
    many = drawn_pairs(images_MP, np.arange(60) % 20, 200, tuple(map(str, range(20))), 1)
    assert many.class_M is not None
    assert np.array_equal(many.group_N2(), np.stack([many.class_M[many.first_N], many.class_M[many.second_N]], 1))
    few = drawn_pairs(images_MP, np.arange(60) % 3, 200, ("a", "b", "c"), 1)
    group_N2, rows_N2 = few.group_N2(), np.stack([few.first_N, few.second_N], 1)
    by_image = {int(row): int(group) for row, group in zip(rows_N2.ravel(), group_N2.ravel(), strict=True)}
    assert by_image[0] == by_image[1] and len(set(by_image.values())) == len(by_image) - 1

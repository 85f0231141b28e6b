"""Pairs that are made of digits."""

from pathlib import Path

import numpy as np
import pytest

from spectral_search.errors import RequestError
from spectral_search.tasks.pairs.images.pair_source import find_pairs
from spectral_search.tasks.pairs.images.turned_digits import write_turned_digits
from spectral_search.tasks.pairs.section import PairData


def write(root: Path, seed: int = 1, rotation: float = 0.0, side: int = 16) -> Path:
    counts = {"train": 40, "val": 10, "test": 12}
    write_turned_digits(root, counts, side=side, rotation=rotation, shift=0.0, seed=seed, told=lambda done, total: None)
    return root


def test_they_are_read_as_any_others(tmp_path: Path) -> None:
    found = find_pairs(PairData(root=str(write(tmp_path / "made", rotation=15.0))))
    assert {name: len(part) for name, part in found.parts.items()} == {"train": 40, "val": 10, "test": 12}
    assert found.data.size == 16 and all(part.same_N.mean() == 0.5 for part in found.parts.values())


def test_a_seed_makes_them_and_no_other(tmp_path: Path) -> None:
    one, again, other = (
        np.load(write(tmp_path / name, seed) / "train.npz")["xa"] for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_a_digit_that_is_not_turned_is_the_digit(tmp_path: Path) -> None:
    from spectral_search.tasks.pairs.images.digit_images import digit_images

    known = {row.tobytes() for row in digit_images().images_MP}
    images = np.load(write(tmp_path / "made", side=8) / "train.npz")["xa"].reshape(40, 64)
    assert all(row.tobytes() in known for row in images)


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(RequestError, match="is already there"):
        write(tmp_path)

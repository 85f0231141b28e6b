"""Small sets of pairs that are made: scikit-learn's digits, turned and moved a little, two by two.

Shape suffixes: M images, N pairs, H rows and columns.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import affine_transform

from spectral_search.errors import RequestError
from spectral_search.places import writing
from spectral_search.spec.seeds import numpy_seed
from spectral_search.task.counter import counter_seed
from spectral_search.tasks.pairs.images.digit_images import digit_images
from spectral_search.tasks.pairs.images.image_splits import content_ids, parts_of_images
from spectral_search.tasks.pairs.images.pair_part import drawn_pairs

_FRACTIONS = (0.2, 0.2)
"""Of the digits for val and test."""


def write_turned_digits(
    root: Path,
    pairs: dict[str, int],
    *,
    side: int,
    rotation: float,
    shift: float,
    seed: int,
    told: Callable[[int, int], None],
) -> None:
    """Write train.npz, val.npz and test.npz with arrays xa, xb and y; no digit of one is in another.

    Args:
        root: The folder to be made.
        pairs: How many, by part.
        side: Pixels of an image.
        rotation: Most that a digit is turned, in degrees.
        shift: Most that it is moved, in parts of its side.
        seed: The same gives the same pairs.
        told: Hears how many are done.

    Raises:
        RequestError: There is something at that place already, or it cannot be written.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise RequestError(f"{root} is already there: name a new folder.")
    digits = digit_images()
    part_M = parts_of_images(digits.class_M, content_ids(digits.images_MP), _FRACTIONS, seed)
    total, done = sum(pairs.values()), 0
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
    for number, (name, count) in enumerate(pairs.items()):
        own_M = part_M == number
        drawn = drawn_pairs(
            digits.images_MP[own_M], digits.class_M[own_M], count, digits.names, seed, "simulated", name
        )
        rng = np.random.default_rng(numpy_seed(counter_seed(seed, "turned", name)))
        images = drawn.images_MP.reshape(-1, drawn.side, drawn.side)
        first, second = (
            np.stack([_turned(image, side, rotation, shift, rng) for image in images[rows_N]])
            for rows_N in (drawn.first_N, drawn.second_N)
        )
        with writing(root / f"{name}.npz"):
            np.savez_compressed(root / f"{name}.npz", xa=first, xb=second, y=drawn.same_N.astype(np.uint8))
        told(done := done + count, total)


def _turned(image_HH: np.ndarray, side: int, rotation: float, shift: float, rng: np.random.Generator) -> np.ndarray:
    """An image in another size, turned and moved by chance."""
    angle, moved_2 = np.deg2rad(rng.uniform(-rotation, rotation)), rng.uniform(-shift, shift, 2) * side
    turn_22 = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * (len(image_HH) / side)
    offset_2 = (len(image_HH) - 1) / 2 - turn_22 @ ((side - 1) / 2 + moved_2)
    made_HH = affine_transform(image_HH.astype(np.float64), turn_22, offset_2, (side, side), order=1)
    return np.rint(np.clip(made_HH, 0, 255)).astype(np.uint8)

"""Pairs of one part of the data: images, which of them make a pair, and whether both show the same.

Shape suffixes: M images, P pixels of an image, N pairs.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256

import numpy as np

from spectral_search.spec.seeds import numpy_seed
from spectral_search.task.counter import counter_seed

_MANY_CLASSES = 20
"""So many classes of val pairs that folds of cross-validation go by them, and otherwise by images."""


@dataclass(frozen=True)
class PairPart:
    """Pairs of images.

    Attributes:
        images_MP: Square images, row by row, uint8.
        first_N: Row of the first image of each pair, int32.
        second_N: Of the second.
        same_N: 1 where both show the same, else 0, float32; NaN where that is not known.
        class_M: What each image shows, int32; None where that is not known, so that no other pairs can be made.
        names: Of the classes, by number.
    """

    images_MP: np.ndarray
    first_N: np.ndarray
    second_N: np.ndarray
    same_N: np.ndarray
    class_M: np.ndarray | None = None
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.same_N)

    @property
    def values(self) -> int:
        """Numbers of a pair."""
        return 2 * int(self.images_MP.shape[1])

    @property
    def nbytes(self) -> int:
        held = (self.images_MP, self.first_N, self.second_N, self.same_N, self.class_M)
        return sum(array.nbytes for array in held if array is not None)

    @property
    def side(self) -> int:
        """Pixels of a row."""
        return round(self.images_MP.shape[1] ** 0.5)

    def sha256(self) -> str:
        """Of all images and pairs."""
        held = (self.images_MP, self.first_N, self.second_N, self.same_N)
        return sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in held)).hexdigest()

    @cached_property
    def _by_class(self) -> "_Classes":
        assert self.class_M is not None
        return _Classes.of(self.class_M)

    def group_N2(self) -> np.ndarray:
        """What both images of each pair have in common with others, int64 (N, 2): their classes, else themselves.

        Classes count where there are many of them. Of few, hardly a pair would be without those of some others.
        """
        rows_N2 = np.stack([self.first_N, self.second_N], axis=1).astype(np.int64)
        if self.class_M is not None and len(np.unique(self.class_M[rows_N2])) >= _MANY_CLASSES:
            return self.class_M[rows_N2].astype(np.int64)
        # Equal images are one, wherever they lie.
        _, same_M = np.unique(self.images_MP, axis=0, return_inverse=True)
        return same_M.reshape(-1)[rows_N2].astype(np.int64)

    def redrawn(self, seed: int) -> "PairPart":
        """Other pairs with the same labels, in their order, a function of the seed.

        Where classes are known, each pair keeps that of its first image, and both images are drawn anew. Where only
        pairs are, about half of them are turned round.
        """
        rng = np.random.default_rng(numpy_seed(seed))
        if self.class_M is None:
            turned_N = rng.random(len(self)) < 0.5
            first_N = np.where(turned_N, self.second_N, self.first_N)
            return replace(self, first_N=first_N, second_N=np.where(turned_N, self.first_N, self.second_N))
        first_N, second_N = self._by_class.drawn(self.class_M[self.first_N], self.same_N > 0.5, rng)
        return replace(self, first_N=first_N, second_N=second_N)

    def together(self, images: int, of_a_class: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Images of some classes, and pairs of any two of them, a function of the seed; classes are known.

        Args:
            images: How many, or a few less: an even number, and as many of each class.
            of_a_class: So many, or more where there are too few classes.
            seed: Of all draws.

        Returns:
            Rows of the images, (I,); of each pair both places among these, (Q, 2); whether both show the same, (Q,).
        """
        assert self.class_M is not None
        rng = np.random.default_rng(numpy_seed(seed))
        row_I = self._by_class.some(images, of_a_class, rng)
        row_I = row_I[: len(row_I) // 2 * 2]
        first, second = np.triu_indices(len(row_I), 1)
        same = self.class_M[row_I[first]] == self.class_M[row_I[second]]
        alike, other = np.flatnonzero(same), np.flatnonzero(~same)
        # As many of both: of all pairs of some images, those of different things are by far the most.
        fewer = min(len(alike), len(other))
        chosen_Q = np.concatenate([rng.permutation(alike)[:fewer], rng.permutation(other)[:fewer]])
        pair_Q2 = np.stack([first[chosen_Q], second[chosen_Q]], axis=1)
        # Which comes first must tell nothing.
        return row_I, rng.permuted(pair_Q2, axis=1), same[chosen_Q].astype(np.float32)


@dataclass(frozen=True)
class _Classes:
    """The images of each class, one class after the other: rows, and where each class begins."""

    rows_M: np.ndarray
    start_K: np.ndarray
    count_K: np.ndarray

    @classmethod
    def of(cls, class_M: np.ndarray) -> "_Classes":
        count_K = np.bincount(class_M)
        return cls(np.argsort(class_M, kind="stable").astype(np.int32), np.cumsum(count_K) - count_K, count_K)

    def some(self, images: int, of_a_class: int, rng: np.random.Generator) -> np.ndarray:
        """Rows of different images, as many of each of some classes; less where a class has less."""
        classes = min(len(self.count_K), max(2, images // of_a_class))
        each = max(2, images // classes)
        chosen = rng.permutation(len(self.count_K))[:classes]
        places = [self.start_K[k] + rng.permutation(self.count_K[k])[:each] for k in chosen]
        return self.rows_M[np.concatenate(places)]

    def drawn(self, class_N: np.ndarray, same_N: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Rows of both images: the first of a class, the second another of it, or any of another class."""
        classes, size = len(self.count_K), len(class_N)
        place_N = rng.integers(0, self.count_K[class_N])
        # One of the others: a place from the next one on, round to the one before.
        beside_N = (place_N + rng.integers(1, np.maximum(self.count_K[class_N], 2))) % self.count_K[class_N]
        # A shift of 1 to K - 1 reaches every other class equally often, and never the class itself.
        other_N = (class_N + rng.integers(1, classes, size)) % classes
        elsewhere_N = rng.integers(0, self.count_K[other_N])
        second_class_N, second_N = np.where(same_N, class_N, other_N), np.where(same_N, beside_N, elsewhere_N)
        return self.rows_M[self.start_K[class_N] + place_N], self.rows_M[self.start_K[second_class_N] + second_N]


def drawn_pairs(
    images_MP: np.ndarray, class_M: np.ndarray, pairs: int, names: tuple[str, ...], *counter: int | str
) -> PairPart:
    """Pairs of images whose classes are known, half of them of one class; every class has at least two images.

    Args:
        images_MP: The images.
        class_M: What each shows, numbered from 0 without a gap.
        pairs: How many.
        names: Of the classes.
        counter: What they follow from.
    """
    rng = np.random.default_rng(numpy_seed(counter_seed(*counter)))
    classes = _Classes.of(class_M)
    # Half exactly, and not half on average, of which a small part could be far off by chance.
    same_N = rng.permutation(np.arange(pairs) % 2 == 0)
    first_N, second_N = classes.drawn(rng.integers(0, len(classes.count_K), pairs), same_N, rng)
    return PairPart(images_MP, first_N, second_N, same_N.astype(np.float32), class_M.astype(np.int32), names)

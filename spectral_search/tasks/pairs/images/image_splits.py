"""Which images train, validate and test: no image, and by choice no class, is in two of them.

Shape suffixes: M images, K classes, N pairs; parts are numbers, see `image_files.PARTS`.
"""

from collections.abc import Sequence

import numpy as np
import xxhash
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from spectral_search.spec.seeds import numpy_seed
from spectral_search.task.counter import counter_seed

_TRAIN, _VAL, _TEST, _NOWHERE = 0, 1, 2, -1
MANY_CLASSES = 20
"""From here on a part of the classes is enough to train on, and it is what is asked of a comparison."""
_ENOUGH = 0.5
"""Part of what val and test are to have that they must get of whole groups of images."""


def content_ids(images_MP: np.ndarray) -> np.ndarray:
    """A number for each image, the same for images that are equal in every pixel, int64 of shape (M,)."""
    digests = [xxhash.xxh3_128_digest(row_P.tobytes()) for row_P in np.ascontiguousarray(images_MP)]
    return np.unique(np.array(digests, "S16"), return_inverse=True)[1].reshape(-1)


def parts_of_classes(class_M: np.ndarray, fractions: Sequence[float], seed: int) -> np.ndarray:
    """The part of each image where whole classes are shared out, int8 of shape (M,).

    Args:
        class_M: What each shows.
        fractions: Of the classes for val and for test.
        seed: Of the order of the classes.
    """
    classes = int(class_M.max()) + 1
    order_K = np.random.default_rng(numpy_seed(counter_seed(seed, "classes"))).permutation(classes)
    # Two at least, or a part would have no pair of different things.
    val, test = (max(2, round(classes * fraction)) for fraction in fractions)
    part_K = np.full(classes, _TRAIN, np.int8)
    part_K[order_K[:val]], part_K[order_K[val : val + test]] = _VAL, _TEST
    return part_K[class_M]


def parts_of_images(class_M: np.ndarray, id_M: np.ndarray, fractions: Sequence[float], seed: int) -> np.ndarray:
    """The part of each image where the images of each class are shared out, equal ones together, int8 of shape (M,)."""
    part_M = np.full(len(class_M), _TRAIN, np.int8)
    for label in np.unique(class_M):
        own_M = np.flatnonzero(class_M == label)
        distinct = np.unique(id_M[own_M])
        rng = np.random.default_rng(numpy_seed(counter_seed(seed, "images", int(label))))
        shuffled = rng.permutation(distinct)
        # Two at least, or a part would have no pair of different images of the class.
        val, test = (max(2, round(len(distinct) * fraction)) for fraction in fractions)
        part_M[own_M[np.isin(id_M[own_M], shuffled[:val])]] = _VAL
        part_M[own_M[np.isin(id_M[own_M], shuffled[val : val + test])]] = _TEST
    return part_M


def without_repeats(part_M: np.ndarray, id_M: np.ndarray) -> np.ndarray:
    """The parts with every image that equals one of an earlier part left out of the later one."""
    kept_M = part_M.copy()
    for later, earlier in ((_VAL, (_TRAIN,)), (_TEST, (_TRAIN, _VAL))):
        kept_M[(part_M == later) & np.isin(id_M, id_M[np.isin(part_M, earlier)])] = _NOWHERE
    return kept_M


def parts_of_pairs(first_N: np.ndarray, second_N: np.ndarray, fractions: Sequence[float], seed: int) -> np.ndarray:
    """The part of each pair so that no image is in two, int8 of shape (N,); _NOWHERE for pairs that lie across parts.

    Pairs that hang together by their images stay together. Where that leaves val or test with less than half of what
    it is to have, as one large group does, the images are shared out and pairs between two parts left out.

    Args:
        first_N: What image comes first, a number for each content.
        second_N: And second.
        fractions: Of the pairs for val and for test.
        seed: Of the order.
    """
    rng = np.random.default_rng(numpy_seed(counter_seed(seed, "pairs apart")))
    images = int(max(first_N.max(), second_N.max())) + 1
    links = coo_array((np.ones(len(first_N), bool), (first_N, second_N)), shape=(images, images))
    groups, group_M = connected_components(links, directed=False)
    group_N = group_M[first_N]
    size_G = np.bincount(group_N, minlength=groups)
    wanted = [round(len(first_N) * fraction) for fraction in fractions]
    part_G, filled = np.full(groups, _TRAIN, np.int8), [0] * len(wanted)
    for group in rng.permutation(groups):
        for place, most in enumerate(wanted):
            if filled[place] + size_G[group] <= most:
                filled[place] += int(size_G[group])
                part_G[group] = (_VAL, _TEST)[place]
                break
    if all(got >= _ENOUGH * most for got, most in zip(filled, wanted, strict=True)):
        return part_G[group_N]
    drawn_M = rng.random(images)
    edges = np.cumsum([fractions[0], *fractions[1:]])
    part_M = np.full(images, _TRAIN, np.int8)
    part_M[drawn_M < edges[-1]] = (_VAL, _TEST)[len(fractions) - 1]
    part_M[drawn_M < edges[0]] = _VAL
    return np.where(part_M[first_N] == part_M[second_N], part_M[first_N], _NOWHERE).astype(np.int8)

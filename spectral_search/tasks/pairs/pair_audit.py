"""What would make numbers on pairs misleading: images in two parts, nearly the same ones, answers out of balance.

Shape suffixes: M images, P pixels of an image, N pairs.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from spectral_search.tasks.pairs.images.image_splits import content_ids
from spectral_search.tasks.pairs.images.pair_part import PairPart
from spectral_search.tasks.pairs.images.pixels import resized

_NEAR = 0.03
"""Images whose pixels differ by less, as a root mean square of a range of 1, are nearly the same."""
_SMALL_SIDE = 12
_MOST_IMAGES = 20_000
"""Of a part that are looked at for nearly equal ones."""
_BALANCED = 0.1
"""Labels whose share lies no further from a half are balanced."""
_SHOWN = 5


def audit_pairs(parts: Mapping[str, PairPart]) -> dict[str, Any]:
    """Findings by name, each with whether it is a fault, a sentence, and rows that show it."""
    ids = _ids(parts)
    findings: dict[str, dict[str, Any]] = {}
    for one, other in combinations(parts, 2):
        shared = np.intersect1d(ids[one], ids[other])
        findings[f"same images in {one} and {other}"] = {
            "fault": bool(len(shared)),
            "told": f"{len(shared):,} images of {other} are in {one} too",
            "rows": _rows(ids[other], shared),
        }
    for one, other in combinations(parts, 2):
        near = _near(parts[one], parts[other], np.intersect1d(ids[one], ids[other]), ids[other])
        findings[f"nearly equal images in {one} and {other}"] = {
            "fault": bool(len(near)),
            "told": f"{len(near):,} images of {other} differ from one of {one} by less than {_NEAR:.0%} of all grey",
            "rows": near[:_SHOWN].tolist(),
        }
    for name, part in parts.items():
        share = float(part.same_N.mean())
        findings[f"labels of {name}"] = {
            "fault": abs(share - 0.5) > _BALANCED,
            "told": f"{share:.1%} of {len(part):,} pairs show the same",
            "rows": [],
        }
        both = ids[name][part.first_N] == ids[name][part.second_N]
        wrong = int((both & (part.same_N < 0.5)).sum())
        findings[f"images beside themselves in {name}"] = {
            "fault": bool(both.any()),
            "told": f"{int(both.sum()):,} pairs are of two equal images, {wrong:,} of them labelled as different",
            "rows": np.flatnonzero(both)[:_SHOWN].tolist(),
        }
    return findings


def _ids(parts: Mapping[str, PairPart]) -> dict[str, np.ndarray]:
    """The content of each image of each part, a number for each that is the same across parts."""
    all_M = content_ids(np.concatenate([part.images_MP for part in parts.values()]))
    ends = np.cumsum([len(part.images_MP) for part in parts.values()])[:-1]
    return dict(zip(parts, np.split(all_M, ends), strict=True))


def _rows(ids_M: np.ndarray, shared: np.ndarray) -> list[int]:
    return np.flatnonzero(np.isin(ids_M, shared))[:_SHOWN].tolist()


def _near(one: PairPart, other: PairPart, equal: np.ndarray, ids_M: np.ndarray) -> np.ndarray:
    """Rows of images of the other part that are nearly one of the first, without those that are equal."""
    side = min(_SMALL_SIDE, one.side, other.side)
    first_MP, second_MP = (
        resized(part.images_MP[:_MOST_IMAGES], side).astype(np.float32) / 255.0 for part in (one, other)
    )
    reach = _NEAR * side  # of the distance: a root of a sum, not of a mean
    distance_M, _ = cKDTree(first_MP).query(second_MP, distance_upper_bound=reach)
    near = np.flatnonzero(np.isfinite(distance_M))
    return near[~np.isin(ids_M[near], equal)]

"""Pairs for training, val and test from whatever a data section names.

Shape suffixes: M images, N pairs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.spec.seeds import numpy_seed
from spectral_search.task.counter import counter_seed
from spectral_search.tasks.pairs.images.image_files import PARTS, ClassImages, class_images
from spectral_search.tasks.pairs.images.image_splits import (
    MANY_CLASSES,
    content_ids,
    parts_of_classes,
    parts_of_images,
    parts_of_pairs,
    without_repeats,
)
from spectral_search.tasks.pairs.images.pair_arrays import PairArrays, part_files, read_pairs
from spectral_search.tasks.pairs.images.pair_part import PairPart, drawn_pairs
from spectral_search.tasks.pairs.images.pixels import resized
from spectral_search.tasks.pairs.section import MOST_SIDE, PairData

DRAWN = {"train": 8000, "val": 2000, "test": 4000}
"""Pairs that are drawn of images where nothing is said."""
_DIGITS = "digits"
"""Names those of scikit-learn where a place is asked for."""
_EMBEDDED = "scikit-learn's digits"


@dataclass(frozen=True)
class FoundPairs:
    """What a data section names.

    Attributes:
        parts: train, val and, where there is one, test.
        data: The section, all decided.
        about: What was found, a few words.
        notes: What the user should know, a sentence each.
    """

    parts: Mapping[str, PairPart]
    data: PairData
    about: str
    notes: tuple[str, ...] = ()


def find_pairs(data: PairData) -> FoundPairs:
    """Read what a data section names, and make pairs of it.

    Raises:
        RequestError: There is nothing there, it cannot be read, or no pairs can be made of it.
    """
    place = data.place
    if place is None or (str(place) == _DIGITS and not place.exists()):
        from spectral_search.tasks.pairs.images.digit_images import digit_images

        return _of_images(digit_images(), data, _EMBEDDED)
    if not place.exists():
        raise RequestError(f"{place} does not exist: give --data-root a folder or zip of images, or an .npz of pairs.")
    if place.is_dir() and (files := part_files(place)):
        if "train" not in files:
            raise RequestError(f"{place} holds {', '.join(file.name for file in files.values())} and no train.npz.")
        return _of_pairs({part: read_pairs(file, data) for part, file in files.items()}, data, str(place))
    if place.suffix.lower() == ".npz":
        return _of_pairs({"train": read_pairs(place, data)}, data, str(place))
    if place.is_file() and place.suffix.lower() != ".zip":
        raise RequestError(f"{place} is neither a .zip of images nor an .npz of pairs: give one, or a folder.")
    return _of_images(class_images(place, data.size), data, str(place))


def unlabelled_pairs(place: Path, data: PairData) -> PairPart | None:
    """The pairs of one .npz file as they are, labelled or not; None where a place is no such file."""
    if place.suffix.lower() != ".npz" or not place.is_file():
        return None
    arrays = read_pairs(place, data, labelled=False)
    return _part(arrays, np.arange(len(arrays.same_N)), data.size or _side(arrays))


# ---- images of classes ----


def _of_images(found: ClassImages, data: PairData, about: str) -> FoundPairs:
    side = data.size or round(found.images_MP.shape[1] ** 0.5)
    found = replace(found, images_MP=resized(found.images_MP, side))
    if len(found.names) < 2:
        raise RequestError(f"{about} holds one class, {found.names[0]}: different things need two classes or more.")
    by = data.split_by if data.split_by != "auto" else "class" if len(found.names) >= MANY_CLASSES else "image"
    id_M, fractions = content_ids(found.images_MP), (data.val_fraction, data.test_fraction)
    if found.part_M is not None:
        part_M = found.part_M
    elif by == "class":
        part_M = parts_of_classes(found.class_M, fractions, data.split_seed)
    else:
        part_M = parts_of_images(found.class_M, id_M, fractions, data.split_seed)
    kept_M, notes = without_repeats(part_M, id_M), []
    if repeats := int((kept_M != part_M).sum()):
        notes.append(f"{repeats:,} images of val or test equal one of another part, and are left out.")
    named = [name for at, name in enumerate(PARTS) if (part_M == at).any()]
    if missing := [name for name in PARTS[:2] if name not in named]:
        raise RequestError(f"{about} has too few images for {' and '.join(missing)}, none at all: give more of them.")
    parts = {name: _drawn(found, kept_M == PARTS.index(name), name, data, about) for name in named}
    decided = data.model_copy(update={"size": side, "split_by": by})
    return FoundPairs(
        parts, decided, f"{about}, {len(found.images_MP):,} images of {len(found.names):,} classes", tuple(notes)
    )


def _drawn(found: ClassImages, chosen_M: np.ndarray, name: str, data: PairData, about: str) -> PairPart:
    """Pairs of the chosen images; classes with a single image among them are left out."""
    images_MP, class_M = found.images_MP[chosen_M], found.class_M[chosen_M]
    shown = np.flatnonzero(np.bincount(class_M, minlength=len(found.names)) >= 2)
    if len(shown) < 2:
        raise RequestError(
            f"{about} has too few images for {name}: two classes with two different images each are the least, and "
            f"{len(shown)} has them."
        )
    kept_M = np.isin(class_M, shown)
    images_MP, class_M, names = (
        images_MP[kept_M],
        np.searchsorted(shown, class_M[kept_M]),
        [found.names[k] for k in shown],
    )
    if name == "train" and data.quarter_turns:
        images_MP, class_M, names = _turned(images_MP, class_M, names)
    pairs = data.wanted(name) or DRAWN[name]
    return drawn_pairs(images_MP, class_M, pairs, tuple(names), data.split_seed, "pairs", name)


def _turned(images_MP: np.ndarray, class_M: np.ndarray, names: list[str]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Every class four times, as it is and turned by a quarter, a half and three quarters."""
    side = round(images_MP.shape[1] ** 0.5)
    squares = images_MP.reshape(-1, side, side)
    turned = [np.rot90(squares, turns, (1, 2)).reshape(images_MP.shape) for turns in range(4)]
    classes = [class_M + turns * len(names) for turns in range(4)]
    return (
        np.concatenate(turned),
        np.concatenate(classes),
        [f"{name} {90 * t}°" if t else name for t in range(4) for name in names],
    )


# ---- pairs as they are given ----


def _of_pairs(given: dict[str, PairArrays], data: PairData, about: str) -> FoundPairs:
    side = data.size or _side(given["train"])
    sizes = {part: round(arrays.first_NP.shape[1] ** 0.5) for part, arrays in given.items()}
    if data.size is None and len(set(sizes.values())) > 1:
        told = ", ".join(f"{part} {size} x {size}" for part, size in sizes.items())
        raise RequestError(f"The images of {about} are of several sizes, {told}: set data.size.")
    notes: list[str] = []
    rows = {part: (arrays, np.arange(len(arrays.same_N))) for part, arrays in given.items()}
    if "val" not in given:
        # Of one file all three are made, and of a folder that has its own test pairs only val.
        wanted = [name for name in PARTS[1:] if name not in given]
        rows |= _shared_out(given["train"], data, wanted, notes)
    parts = {name: _part(*rows[name], side) for name in PARTS if name in rows}
    parts = {name: _limited(part, data.wanted(name), data.split_seed, name) for name, part in parts.items()}
    for name, part in parts.items():
        if len(part) < 4 or len(np.unique(part.same_N)) < 2:
            kinds = ", ".join(f"{value:g}" for value in np.unique(part.same_N)) or "none"
            raise RequestError(
                f"{about} has {len(part):,} pairs for {name} with labels {kinds}: both 0 and 1 are needed, and four "
                "pairs or more."
            )
    if "val" in given and (shared := _shared_images(parts)):
        notes.append(f"{shared:,} images are in two of train, val and test: `spectral-search audit` names them.")
    pairs = sum(len(part) for part in parts.values())
    return FoundPairs(parts, data.model_copy(update={"size": side}), f"{about}, {pairs:,} pairs", tuple(notes))


def _side(arrays: PairArrays) -> int:
    return min(round(arrays.first_NP.shape[1] ** 0.5), MOST_SIDE)


def _shared_out(
    arrays: PairArrays, data: PairData, wanted: list[str], notes: list[str]
) -> dict[str, tuple[PairArrays, np.ndarray]]:
    """Rows of train, and of the parts that are made of it."""
    id_M = content_ids(np.concatenate([arrays.first_NP, arrays.second_NP]))
    fractions = [{"val": data.val_fraction, "test": data.test_fraction}[name] for name in wanted]
    first_N, second_N = np.split(id_M, 2)
    part_N = parts_of_pairs(first_N, second_N, fractions, data.split_seed)
    if across := int((part_N < 0).sum()):
        notes.append(f"{across:,} pairs are left out: their two images are in different parts.")
    return {name: (arrays, np.flatnonzero(part_N == PARTS.index(name))) for name in ("train", *wanted)}


def _part(arrays: PairArrays, rows_N: np.ndarray, side: int) -> PairPart:
    images_MP = np.concatenate([arrays.first_NP[rows_N], arrays.second_NP[rows_N]])
    first_N = np.arange(len(rows_N), dtype=np.int32)
    return PairPart(resized(images_MP, side), first_N, first_N + np.int32(len(rows_N)), arrays.same_N[rows_N])


def _limited(part: PairPart, most: int | None, seed: int, name: str) -> PairPart:
    if most is None or most >= len(part):
        return part
    rng = np.random.default_rng(numpy_seed(counter_seed(seed, "some pairs", name)))
    rows = np.sort(rng.permutation(len(part))[:most])
    images = np.concatenate([part.first_N[rows], part.second_N[rows]])
    first_N = np.arange(most, dtype=np.int32)
    return PairPart(part.images_MP[images], first_N, first_N + np.int32(most), part.same_N[rows])


def _shared_images(parts: Mapping[str, PairPart]) -> int:
    """Different images that are in more than one part."""
    id_M = content_ids(np.concatenate([part.images_MP for part in parts.values()]))
    ends = np.cumsum([len(part.images_MP) for part in parts.values()])[:-1]
    _, counts = np.unique(np.concatenate([np.unique(ids) for ids in np.split(id_M, ends)]), return_counts=True)
    return int((counts > 1).sum())

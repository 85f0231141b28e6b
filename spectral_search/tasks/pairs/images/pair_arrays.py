"""Pairs in .npz files: two arrays of images and one of labels.

Shape suffixes: N pairs, P pixels of an image.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.tasks.pairs.images.pixels import square_pixels
from spectral_search.tasks.pairs.section import PairData

_MOST_NPZ_BYTES = 8 * 2**30
"""Of the arrays of one file, unpacked."""
_FILES = {"train": ("train.npz",), "val": ("val.npz",), "test": ("test.npz", "test_public.npz")}
"""What a folder of pairs holds, by part."""


@dataclass(frozen=True)
class PairArrays:
    """Pairs as a file holds them: images, uint8 of shape (N, P), and labels, float32; NaN where none are given."""

    first_NP: np.ndarray
    second_NP: np.ndarray
    same_N: np.ndarray


def part_files(folder: Path) -> dict[str, Path]:
    """The files of a folder of pairs, by part; none where it is no such folder."""
    found = {part: [folder / name for name in names if (folder / name).is_file()] for part, names in _FILES.items()}
    return {part: files[0] for part, files in found.items() if files}


def read_pairs(file: Path, data: PairData, *, labelled: bool = True) -> PairArrays:
    """The pairs of an .npz file.

    Args:
        file: The file.
        data: Says what its arrays are called.
        labelled: Whether labels must be there.

    Raises:
        RequestError: An array is missing, of no images, of another length, or labels are neither 0 nor 1.
    """
    names = [data.first, data.second, data.label]
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > _MOST_NPZ_BYTES:
            told = f"{file} takes {unpacked / 2**30:.1f} GiB unpacked, more than {_MOST_NPZ_BYTES // 2**30}"
            raise RequestError(f"{told}: give a part of it.")
        # A pickle runs whatever its author wished as it is opened.
        with np.load(file, allow_pickle=False) as held:
            wanted = names if labelled or data.label in held.files else names[:2]
            if missing := [name for name in wanted if name not in held.files]:
                raise RequestError(
                    f"{file} has no {' and no '.join(missing)}; it has {', '.join(held.files) or 'nothing'}: name its "
                    "arrays by data.first, data.second and data.label."
                )
            arrays = [held[name] for name in wanted]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RequestError(
            f"{file} cannot be read as .npz ({reason}): write it anew, without pickled objects."
        ) from None
    lengths = {len(array) if array.ndim else 0 for array in arrays}
    if len(lengths) > 1:
        told = ", ".join(
            f"{name} {len(array) if array.ndim else 0:,}" for name, array in zip(names, arrays, strict=False)
        )
        raise RequestError(f"The arrays of {file} must be of one length, found {told}.")
    first_NP, second_NP = (
        square_pixels(array, f"{name} of {file}") for name, array in zip(names[:2], arrays[:2], strict=True)
    )
    if first_NP.shape != second_NP.shape:
        told = f"{arrays[0].shape[1:]} and {arrays[1].shape[1:]}"
        raise RequestError(f"{data.first} and {data.second} of {file} must hold images of one size, found {told}.")
    if not len(first_NP):
        raise RequestError(f"{file} holds no pairs.")
    same_N = _labels(arrays[2], f"{data.label} of {file}") if len(arrays) > 2 else np.full(len(first_NP), np.nan)
    return PairArrays(first_NP, second_NP, same_N.astype(np.float32))


def _labels(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype.kind not in "buif" or array.size != len(array):
        raise RequestError(f"{name} must hold a number for each pair, found {array.dtype} of shape {array.shape}.")
    label_N = array.reshape(-1).astype(np.float64)
    if wrong := [f"{value:g}" for value in np.unique(label_N) if value not in (0.0, 1.0)]:
        raise RequestError(
            f"{name} must be 1 where both images show the same and else 0, found {', '.join(wrong[:3])}."
        )
    return label_N

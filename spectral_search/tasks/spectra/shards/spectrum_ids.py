"""The ids that spectra carry themselves: where a shard keeps them, and one column for any number of shards.

Shape suffixes: N spectra.
"""

from collections.abc import Sequence

import h5py
import numpy as np

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.stored_column import StoredColumn

_COLUMNS = (
    "id",
    "source_id",
    "object_id",
    "obj_id",
    "objid",
    "target_id",
    "targetid",
    "spec_id",
    "specid",
    "spectrum_id",
    "apogee_id",
    "sobject_id",
    "star_id",
)
"""Names of the label column with the ids, in any case; the first that is there counts."""
_DATASETS = ("dataset/id", "dataset/ids", "dataset/arrays/id", "spectrumdataset/id")
"""Where ids may lie when no label column holds them, each or with `/value`."""
_MISSING = ("nan", "NaN", "None", "<NA>")
"""What pandas and numpy write for a text that is not there."""
_EXACT = 2.0**53


def id_column(columns: Sequence[str]) -> str | None:
    """Which of the label columns holds the ids of the spectra; None where none does."""
    by_lower = {column.lower(): column for column in reversed(columns)}
    return next((by_lower[name] for name in _COLUMNS if name in by_lower), None)


def read_id_dataset(file: h5py.File, spectra: int, file_name: str) -> np.ndarray | None:
    """Ids (N,) that lie beside the labels, as stored; None where there are none.

    Raises:
        RequestError: They are not one for each spectrum.
    """
    for place in _DATASETS:
        node = file.get(f"{place}/value", file.get(place))
        if not isinstance(node, h5py.Dataset):
            continue
        if node.shape not in ((spectra,), (spectra, 1)):
            raise RequestError(
                f"{file_name}: {place} has shape {node.shape} but there are {spectra:,} spectra; write one id each."
            )
        return StoredColumn(place, node, None, None if len(node.shape) == 1 else 0).pick(node[:])
    return None


def as_ids(stored_N: np.ndarray, name: str, file_name: str) -> np.ndarray:
    """Ids as int64, with -1 where there is none, or as text, with "" where there is none.

    Whole numbers that pandas made float64, for want of some, are integers again. No digit is lost: numbers that are no
    whole ones, or beyond int64, become text.

    Raises:
        RequestError: They are neither numbers, texts nor times.
    """
    kind = stored_N.dtype.kind
    if kind in "iu":
        small = not len(stored_N) or stored_N.max() <= np.iinfo(np.int64).max
        return stored_N.astype(np.int64) if small else stored_N.astype(str).astype(object)
    if kind == "f":
        known_N = np.isfinite(stored_N)
        whole = (stored_N[known_N] == np.trunc(stored_N[known_N])).all()
        if whole and (np.abs(stored_N[known_N]) <= _EXACT).all():
            return np.where(known_N, stored_N, -1).astype(np.int64)
        return np.array([repr(float(v)) if known else "" for v, known in zip(stored_N, known_N, strict=True)], object)
    if kind == "M":
        return np.where(np.isnat(stored_N), "", np.datetime_as_string(stored_N)).astype(object)
    if kind == "O" and all(isinstance(value, str) for value in stored_N):
        missing_N = np.isin(stored_N.astype(str), _MISSING)
        return np.where(missing_N, "", stored_N).astype(object)
    raise RequestError(
        f"{file_name}: the ids of the spectra ({name}) are stored as {stored_N.dtype}; write numbers or texts."
    )


def joined(ids: Sequence[np.ndarray | None], lengths: Sequence[int]) -> np.ndarray:
    """The ids of several shards as one column, see `as_ids`: text as soon as one shard's are; None has none."""
    if all(part is None or part.dtype.kind == "i" for part in ids):
        parts = [np.full(n, -1) if part is None else part for part, n in zip(ids, lengths, strict=True)]
        return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, dtype=np.int64)
    texts = [np.full(n, "", object) if part is None else _texts(part) for part, n in zip(ids, lengths, strict=True)]
    return np.concatenate(texts)


def _texts(ids_N: np.ndarray) -> np.ndarray:
    if ids_N.dtype.kind == "O":
        return ids_N
    return np.where(ids_N == -1, "", ids_N.astype(str)).astype(object)

"""One shard: an HDF5 file of spectra and labels, read as native float32 whatever it is stored as.

The layout is described in docs/shard_format.md. Opening reads headers only; `read` only the rows and arrays asked for.

Shape suffixes: B rows of one read, L pixels, L1 pixel edges (L + 1).
"""

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import h5py
import numpy as np

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.array_types import refuse_unusable
from spectral_search.tasks.spectra.shards.hdf5_file import open_hdf5, read_refusal
from spectral_search.tasks.spectra.shards.hdf5_filters import refuse_unknown_filters
from spectral_search.tasks.spectra.shards.hdf5_links import find_node
from spectral_search.tasks.spectra.shards.hdf5_sources import check_columns, check_values
from spectral_search.tasks.spectra.shards.hdf5_written import nothing_written, refuse_undefined_fill, refuse_unwritten
from spectral_search.tasks.spectra.shards.label_numbers import check_finite, label_values
from spectral_search.tasks.spectra.shards.packing import Packing, refuse_packed
from spectral_search.tasks.spectra.shards.params_table import PARAMS, ParamsTable
from spectral_search.tasks.spectra.shards.spectrum_ids import as_ids, id_column, read_id_dataset
from spectral_search.tasks.spectra.shards.stored_array import StoredArray
from spectral_search.tasks.spectra.shards.wavelengths import read_wavelengths

if TYPE_CHECKING:
    import pandas as pd

ARRAYS = ("flux", "error", "noisy", "mask")
_FOLDER = "dataset/arrays"


class Shard:
    """An open shard. Use `Shard.open(path)` as a context manager.

    Attributes:
        path: The file.
        spectra: Number of spectra N.
        pixels: Number of pixels L.
        columns: Names of the labels; empty when there are none (only with `need_labels=False`).
        wave: Its wavelengths, and the unit in which they are stored.
        storage: Per array: dtype, byte_order, shape, chunks, compression, shuffle, bytes (as stored).
        chunk_rows: Rows that are read together most cheaply; align reads to multiples of it.
        has_noisy, has_mask: Whether the optional arrays are there.
        never_written: Optional arrays that were made but never written; they count as absent.
    """

    def __init__(self, path: Path, file: h5py.File, *, need_labels: bool = True) -> None:
        self.path = path
        self._file = file
        self._arrays, self.never_written = _find_arrays(path, file)
        self._table = _find_params(path, file, need_labels)
        self.columns: tuple[str, ...] = self._table.columns if self._table else ()
        _check_shapes(path, self._arrays, self._table)
        self.spectra, self.pixels = self._arrays["flux"].shape
        self.wave = read_wavelengths(path, file, self.pixels)
        self.storage: dict[str, dict[str, Any]] = {name: data.storage for name, data in self._arrays.items()}
        self.has_noisy = "noisy" in self._arrays
        self.has_mask = "mask" in self._arrays
        self.chunk_rows = self._arrays["flux"].chunk_rows

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, need_labels: bool = True) -> Self:
        """Opens a shard and checks its headers.

        Args:
            path: The HDF5 file.
            need_labels: Whether a shard without a finite `log_g` is refused; False for inspection and prediction.

        Raises:
            RequestError: With the file's name, what was found and what to do, for every fault found.
        """
        path = Path(path)
        file = open_hdf5(path)
        try:
            return cls(path, file, need_labels=need_labels)
        except BaseException as error:
            # On any exception: an interrupt must not leave the file open either.
            file.close()
            if isinstance(error, OSError | RuntimeError):
                raise read_refusal(path, "reading its header failed", error) from error
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; further reads fail."""
        for array in self._arrays.values():
            array.close()
        self._file.close()

    @property
    def wave_angstrom_L(self) -> np.ndarray | None:
        """Pixel centres in stored order, or None when the file has neither centres nor usable edges."""
        return self.wave.centres_angstrom_L

    @property
    def wave_edges_angstrom_L1(self) -> np.ndarray | None:
        """Pixel edges in the order of the centres, or None."""
        return self.wave.edges_angstrom_L1

    def read(
        self,
        start: int,
        stop: int,
        arrays: Sequence[str] = ("flux", "error"),
        out: dict[str, np.ndarray] | None = None,
    ) -> dict[str, np.ndarray]:
        """Reads rows start to stop of some arrays.

        Args:
            start, stop: Row range, 0 <= start <= stop <= spectra.
            arrays: Any of "flux", "error", "noisy" (float32) and "mask" (bool, True = bad, whichever way it is stored).
            out: Buffers by array name with at least stop - start rows; they are filled, and views of them returned.

        Returns:
            One native C-contiguous (B, L) array per name.

        Raises:
            RequestError: An array is not in the file, or its bytes cannot be read.
        """
        if not 0 <= start <= stop <= self.spectra:
            raise ValueError(f"rows {start}:{stop} of a shard with {self.spectra} spectra")
        result: dict[str, np.ndarray] = {}
        for name in arrays:
            if name not in self._arrays:
                raise RequestError(f"{self.path}: the array dataset/arrays/{name} is asked for but not in the file.")
            dtype = np.dtype(bool) if name == "mask" else np.dtype(np.float32)
            target = np.empty((stop - start, self.pixels), dtype) if out is None else out[name][: stop - start]
            if target.dtype != dtype or target.shape != (stop - start, self.pixels) or not target.flags.c_contiguous:
                raise ValueError(f"out[{name!r}] must be C-contiguous {dtype} ({stop - start}, {self.pixels})")
            try:
                self._arrays[name].fill(start, stop, target)
            except (OSError, RuntimeError) as error:  # HDF5 has no better name for some faults than RuntimeError
                raise read_refusal(self.path, f"reading rows {start}:{stop} of {name} failed", error) from error
            result[name] = target
        return result

    def params(self, columns: Sequence[str] | None = None) -> "pd.DataFrame":
        """Reads the labels.

        Args:
            columns: Which of `self.columns`; all that are numbers, bool, times or texts by default.

        Returns:
            One row per spectrum in stored order, index 0 to N - 1.

        Raises:
            RequestError: log_g is read and has non-finite values, a label that must be a number is none, or a column
                that was asked for cannot be understood; the faults of all labels at once.
        """
        import pandas as pd  # half a second that header-only work does not pay

        if self._table is None:
            raise RequestError(f"{self.path}: there is no {PARAMS} in the file, so it has no labels.")
        stored = self._table.read(None if columns is None else list(columns))
        values: dict[str, np.ndarray] = {}
        faults: list[str] = []
        for name, stored_N in stored.items():
            try:
                values[name] = label_values(stored_N, name, str(self.path))
                if name == "log_g":
                    check_finite(values[name], stored_N, name, str(self.path))
            except RequestError as error:
                faults += error.faults
        if faults:
            raise RequestError(*faults)
        return pd.DataFrame(values)

    def label(self, name: str) -> np.ndarray:
        """One column of `columns`, log_g also where it is not finite: (N,) numbers, bool, times or str.

        Raises:
            RequestError: A label that must be a number is none, or the column cannot be understood.
        """
        if self._table is None:
            raise KeyError(name)
        return label_values(self._table.read([name])[name], name, str(self.path))

    def ids(self) -> np.ndarray | None:
        """The spectra's own ids, from a label column or a dataset of `spectrum_ids`; None where the shard has none.

        Returns:
            (N,) int64 with -1 where there is none, or text with "" where there is none.

        Raises:
            RequestError: What is called id is no number, text or time, or not one for each spectrum.
        """
        name = id_column(self.columns)
        if self._table is not None and name is not None:
            return as_ids(self._table.read([name])[name], name, str(self.path))
        found_N = read_id_dataset(self._file, self.spectra, str(self.path))
        return None if found_N is None else as_ids(found_N, "id", str(self.path))


def _find_arrays(path: Path, file: h5py.File) -> tuple[dict[str, StoredArray], tuple[str, ...]]:
    """The arrays of a shard, each `dataset/arrays/NAME/value` or `dataset/arrays/NAME` itself, and those left empty."""
    found: dict[str, tuple[h5py.Dataset, h5py.Group | None]] = {}
    for name in ARRAYS:
        holder = find_node(path, file, f"{_FOLDER}/{name}")
        node = find_node(path, file, f"{_FOLDER}/{name}/value") if isinstance(holder, h5py.Group) else holder
        if isinstance(node, h5py.Dataset):
            found[name] = node, holder if isinstance(holder, h5py.Group) else None
    if "flux" not in found:
        top = ", ".join(sorted(map(str, file))) or "nothing"
        raise RequestError(
            f"{path}: no spectra, dataset/arrays/flux/value is missing (top level holds: {top}); this is not a shard "
            "in the format of docs/shard_format.md."
        )
    if "error" not in found:
        listed = ", ".join(sorted(map(str, file[_FOLDER])))
        raise RequestError(
            f"{path}: dataset/arrays/error/value is missing (found: {listed}); the 1-sigma errors "
            "are needed for the noise."
        )
    refuse_unusable(path, {name: data for name, (data, _) in found.items()})
    never_written = tuple(name for name in found if name == "noisy" and nothing_written(found[name][0]))
    written = {name: nodes for name, nodes in found.items() if name not in never_written}
    return {name: _stored_array(path, name, *nodes) for name, nodes in written.items()}, never_written


def _stored_array(path: Path, name: str, data: h5py.Dataset, holder: h5py.Group | None) -> StoredArray:
    """Makes sure that the values are there before anything is read."""
    refuse_unknown_filters(path, name, data)
    check_values(path, name, data)
    if name == "mask":
        refuse_undefined_fill(path, name, data)
        refuse_packed(path, name, data)
        return StoredArray(path, name, data)
    refuse_unwritten(path, name, data)
    packing = Packing.read(path, name, data, holder) if data.dtype.kind in "fiu" else None
    return StoredArray(path, name, data, packing)


def _find_params(path: Path, file: h5py.File, need_labels: bool) -> ParamsTable | None:
    node = find_node(path, file, PARAMS)
    if node is None:
        if not need_labels:
            return None
        raise RequestError(
            f"{path}: {PARAMS} is missing, so the spectra have no labels; write the labels into the file."
        )
    check_columns(path, PARAMS, node)
    table = ParamsTable(node, str(path))
    if need_labels:
        table.require("log_g")
    return table


def _check_shapes(path: Path, arrays: dict[str, StoredArray], table: ParamsTable | None) -> None:
    shape = arrays["flux"].shape
    faults: list[str] = []
    if len(shape) != 2:
        raise RequestError(f"{path}: flux has shape {shape}, expected (spectra, pixels); write it as a 2-D array.")
    if shape[0] == 0:
        faults.append(f"{path}: there are no spectra in the file (flux has shape {shape}); write some or leave it out.")
    if shape[1] == 0:
        faults.append(f"{path}: the spectra have no pixels (flux has shape {shape}); write the file again.")
    for name, data in arrays.items():
        if data.shape != shape:
            faults.append(f"{path}: {name} has shape {data.shape} but flux {shape}; write both with the same shape.")
    if table is not None and table.rows != shape[0]:
        faults.append(
            f"{path}: {PARAMS} has {table.rows:,} rows but flux {shape[0]:,} spectra; write one row of labels "
            "per spectrum."
        )
    if faults:
        raise RequestError(*faults)

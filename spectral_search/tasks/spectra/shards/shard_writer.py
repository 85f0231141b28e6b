"""Writes a shard exactly in the layout of docs/shard_format.md, at constant memory.

Shape suffixes: B rows of one write, L pixels, L1 pixel edges (L + 1).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py
import numpy as np
import pandas as pd

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.params_table import PARAMS
from spectral_search.tasks.spectra.shards.shard import Shard
from spectral_search.tasks.spectra.shards.wavelengths import WAVE, WAVE_EDGES

SPARE_BYTES = 1 << 20
"""Room for what HDF5 keeps beside the values."""


def edges_from_centres(wave_angstrom_L: np.ndarray) -> np.ndarray:
    """Pixel edges (L + 1,) half way between centres; the outer two mirror their neighbours."""
    wave_L = np.asarray(wave_angstrom_L, dtype=np.float64)
    if wave_L.size < 2:
        return np.array([wave_L[0] - 0.5, wave_L[0] + 0.5])
    middle = 0.5 * (wave_L[:-1] + wave_L[1:])
    return np.concatenate([[2 * wave_L[0] - middle[0]], middle, [2 * wave_L[-1] - middle[-1]]])


def row_bytes(pixels: int, dtype: np.typing.DTypeLike, *, with_noisy: bool, with_mask: bool = True) -> int:
    """What one spectrum takes in a shard that is not compressed."""
    return pixels * (np.dtype(dtype).itemsize * (2 + with_noisy) + 8 * with_mask)


class ShardWriter:
    """Writes one shard under a temporary name and renames it when everything is in.

    Args:
        path: Final name, usually ROOT/train_0/dataset.h5; missing folders are created.
        spectra: Number of spectra N.
        pixels: Number of pixels L.
        wave_angstrom_L: Pixel centres.
        with_noisy: Whether the shard holds spectra with frozen noise (val and test shards do).
        with_mask: Whether it holds a mask (int64, 0 = good).
        dtype: Stored type of flux, error and noisy; any float, either byte order.
        chunk_rows: Rows per chunk, each chunk spanning all pixels; None stores contiguously.
        compression: None, "gzip" or "lzf".
        shuffle: Whether bytes are shuffled before compression.
        attributes: Text attributes of the file itself, such as where it comes from.

    Raises:
        OSError: The disk has no room for it, or its folder cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        spectra: int,
        pixels: int,
        wave_angstrom_L: np.ndarray,
        with_noisy: bool = False,
        with_mask: bool = True,
        dtype: np.typing.DTypeLike = np.float64,
        chunk_rows: int | None = 64,
        compression: str | None = None,
        shuffle: bool = False,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        if np.shape(wave_angstrom_L) != (pixels,):
            raise ValueError(f"wave_angstrom_L has shape {np.shape(wave_angstrom_L)}, expected ({pixels},)")
        self.path = Path(path)
        self.spectra = spectra
        self._written = np.zeros(spectra, dtype=bool)
        self._has_params = False
        self._temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # v110 keeps the file readable by every HDF5 of the last ten years, PyTables' own copy included.
        self._file = h5py.File(self._temporary, "w", libver=("earliest", "v110"))
        chunks = None if chunk_rows is None else (min(chunk_rows, spectra), pixels)
        for name in ["flux", "error"] + ["noisy"] * with_noisy + ["mask"] * with_mask:
            self._file.create_dataset(
                f"dataset/arrays/{name}/value",
                shape=(spectra, pixels),
                dtype=np.int64 if name == "mask" else dtype,
                chunks=chunks,
                compression=compression,
                shuffle=shuffle,
            )
        self._file.attrs.update(attributes or {})
        self._file[WAVE] = np.asarray(wave_angstrom_L, dtype=np.float64)
        self._file[WAVE_EDGES] = edges_from_centres(wave_angstrom_L)
        for name in (WAVE, WAVE_EDGES):
            self._file[name].attrs["unit"] = "Angstrom"
        if compression is None:
            chunk = min(chunk_rows or spectra, spectra)
            row = row_bytes(pixels, dtype, with_noisy=with_noisy, with_mask=with_mask)
            self._reserve(-(-spectra // chunk) * chunk * row)

    def _reserve(self, more: int) -> None:
        """Take room on the disk for what comes next.

        HDF5 does not survive a disk that is full: its writes fail when files are closed, long after the fact, and then
        it ends the process with SIGSEGV (seen with HDF5 2.0). So the disk is asked first, where an error is one.

        Raises:
            OSError: There is no room; nothing of the shard is left.
        """
        try:
            with self._temporary.open("rb+") as file:
                end = file.seek(0, os.SEEK_END)
                os.posix_fallocate(file.fileno(), 0, end + more + SPARE_BYTES)
        except OSError:
            self._file.close()
            self._temporary.unlink()
            raise

    def write(
        self,
        start: int,
        flux_BL: np.ndarray,
        error_BL: np.ndarray,
        noisy_BL: np.ndarray | None = None,
        mask_BL: np.ndarray | None = None,
    ) -> None:
        """Writes rows from `start`; whole chunks at a time are fastest.

        Args:
            start: First row.
            flux_BL: Noise-free flux.
            error_BL: 1-sigma error; NaN where unknown.
            noisy_BL: Flux with noise; required exactly when the shard was made with_noisy.
            mask_BL: Integers, 0 = good; absent means all good.
        """
        stop = start + len(flux_BL)
        given = {"flux": flux_BL, "error": error_BL, "noisy": noisy_BL, "mask": mask_BL}
        arrays = self._file["dataset/arrays"]
        if (noisy_BL is not None) != ("noisy" in arrays) or (mask_BL is not None and "mask" not in arrays):
            raise ValueError("noisy_BL and mask_BL must be given as the writer was made: with_noisy, with_mask")
        if stop > self.spectra:
            raise ValueError(f"rows {start}:{stop} of a shard with {self.spectra} spectra")
        for name, values in given.items():
            if values is not None:
                arrays[name]["value"][start:stop] = values
        self._written[start:stop] = True

    def write_params(self, params: pd.DataFrame) -> None:
        """Writes the labels as the real writer does: by pandas, in table format.

        Args:
            params: One row per spectrum, with the column log_g.
        """
        if len(params) != self.spectra:
            raise ValueError(f"{len(params)} rows of labels for {self.spectra} spectra")
        self._file.close()  # PyTables opens the file itself; two HDF5 libraries must not hold it at once
        self._reserve(2 * int(params.memory_usage(index=True, deep=True).sum()))
        params.to_hdf(self._temporary, key=PARAMS, mode="a", format="table")
        self._file = h5py.File(self._temporary, "r+", libver=("earliest", "v110"))
        self._has_params = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        try:
            if kind is None:
                self._finish()
        finally:
            self._temporary.unlink(missing_ok=True)

    def _finish(self) -> None:
        missing = int(np.count_nonzero(~self._written))
        if missing or not self._has_params:
            raise ValueError(
                f"{self.path}: {missing} spectra and {'no' if self._has_params else 'the'} labels not written"
            )
        with self._temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(self._temporary, self.path)


def repack(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    dtype: np.typing.DTypeLike = np.float32,
    chunk_rows: int | None = 64,
    compression: str | None = None,
) -> None:
    """Writes any readable shard again, in the layout and type that read fastest, at constant memory.

    Args:
        source: A shard in any variant; it must have labels and wavelengths.
        target: The new file; replaced when it exists.
        dtype, chunk_rows, compression: As for `ShardWriter`.

    Raises:
        RequestError: The source cannot be read, or has no wavelengths.
    """
    with Shard.open(source) as shard:
        if shard.wave_angstrom_L is None:
            raise RequestError(
                f"{source}: there are no wavelengths ({WAVE}) to write into the new file; add them first."
            )
        arrays = ("flux", "error") + ("noisy",) * shard.has_noisy + ("mask",) * shard.has_mask
        with ShardWriter(
            target,
            spectra=shard.spectra,
            pixels=shard.pixels,
            wave_angstrom_L=shard.wave_angstrom_L,
            with_noisy=shard.has_noisy,
            with_mask=shard.has_mask,
            dtype=dtype,
            chunk_rows=chunk_rows,
            compression=compression,
        ) as writer:
            for start in range(0, shard.spectra, 512):
                block = shard.read(start, min(start + 512, shard.spectra), arrays)
                writer.write(start, block["flux"], block["error"], block.get("noisy"), block.get("mask"))
            writer.write_params(shard.params())

"""Writes simulated data sets in the layout of real shards. An approximation, not a substitute: docs/simulator.md.

Every spectrum follows from (seed, split, index) alone. Blocks always hold BLOCK_ROWS spectra starting at a multiple of
it, and the surplus is dropped, so that not even the last bit depends on how many are written or into how many shards.

Shape suffixes: B spectra of a block, L pixels, L1 pixel edges, N spectra of a shard.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from spectral_search.errors import RequestError
from spectral_search.places import require_folder, writing
from spectral_search.tasks.spectra.shards.shard_writer import ShardWriter, row_bytes
from spectral_search.tasks.spectra.simulator.sky import FLUX_UNIT, build_noise_model
from spectral_search.tasks.spectra.simulator.slab_physics import (
    REFERENCE_MAG,
    WAVE_RANGE_ANGSTROM,
    SpectrumModel,
    Stars,
)

_SPLITS = ("train", "val", "test")
HIDDEN = ".simulating"
"""Where shards are written until all are there."""
BLOCK_ROWS = 256
_MIN_PIXELS = 16
_MAX_PIXELS = 65536
_DTYPES = ("float64", "float32", "float16")
_SIMULATED = "simulated by spectral_search: an approximation of late-type stellar spectra, see docs/simulator.md"
# uniform ranges of the labels, in the order in which they are drawn; [C/M] stays below C/O = 1, so no carbon stars
LABEL_RANGES: dict[str, tuple[float, float]] = {
    "T_eff": (3750.0, 6000.0),
    "log_g": (1.0, 5.0),
    "M_H": (-1.0, 0.75),
    "a_M": (-0.1, 0.5),
    "C_M": (-0.5, 0.1),
    "mag": (20.5, 22.5),
}


@dataclass(frozen=True)
class Block:
    """Simulated spectra: labels by column name (B,), flux and error (B, L), and flux with noise where asked for."""

    labels: dict[str, np.ndarray]
    flux_BL: np.ndarray
    error_BL: np.ndarray
    noisy_BL: np.ndarray | None


class Simulator:
    """Draws stars and observes them.

    Args:
        pixels: Number of pixels over WAVE_RANGE_ANGSTROM.
        seed: Fixes every star and every noise draw.
    """

    def __init__(self, *, pixels: int, seed: int) -> None:
        edges_L1 = np.linspace(*WAVE_RANGE_ANGSTROM, pixels + 1)
        self.wave_angstrom_L = 0.5 * (edges_L1[:-1] + edges_L1[1:])
        self._seed = seed
        self._model = SpectrumModel(self.wave_angstrom_L)
        self._noise = build_noise_model(self.wave_angstrom_L, np.diff(edges_L1))

    def block(self, split: str, start: int, *, noisy: bool) -> Block:
        """The BLOCK_ROWS spectra of a split from index `start`, which must be a multiple of BLOCK_ROWS."""
        if start % BLOCK_ROWS:
            raise ValueError(f"start {start} is not a multiple of {BLOCK_ROWS}")
        generators = [self._generator(split, index) for index in range(start, start + BLOCK_ROWS)]
        low, high = np.array(list(LABEL_RANGES.values())).T
        drawn = (low + (high - low) * np.stack([rng.random(len(low)) for rng in generators])).T
        labels = dict(zip(LABEL_RANGES, drawn, strict=True))
        flux_BL = self._model.flux(Stars(*(labels[name] for name in ("T_eff", "log_g", "M_H", "a_M", "C_M"))))
        # the spectrograph sees the star at its own magnitude; both arrays are then brought back to REFERENCE_MAG
        dimming_B1 = 10.0 ** (-0.4 * (labels["mag"] - REFERENCE_MAG))[:, None]
        error_BL = self._noise.error(flux_BL * dimming_B1) / dimming_B1
        labels["snr"] = np.median(flux_BL / error_BL, axis=1)
        labels["redshift"] = np.zeros(BLOCK_ROWS)
        noisy_BL = None
        if noisy:
            noisy_BL = np.stack([rng.standard_normal(flux_BL.shape[1]) for rng in generators])
            noisy_BL = np.clip(flux_BL + error_BL * noisy_BL, 0.0, None)
        error_BL[:, [0, -1]] = np.nan  # as real shards have it: no error is known where the arm ends
        return Block(labels, flux_BL, error_BL, noisy_BL)

    def _generator(self, split: str, index: int) -> np.random.Generator:
        # Philox is a cipher of (key, counter): no draw of one spectrum can overlap another's 2^128 block
        counter = np.array([0, 0, index, _SPLITS.index(split)], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=np.uint64(self._seed), counter=counter))


def size_label(spectra: int) -> str:
    """A count as folder names have it: 1000 is 1k, 2000000 is 2m, 1500 stays 1500."""
    for unit, letter in ((1_000_000, "m"), (1000, "k")):
        if spectra >= unit and spectra % unit == 0:
            return f"{spectra // unit}{letter}"
    return str(spectra)


def simulate(
    directory: str | os.PathLike[str],
    *,
    train: int,
    val: int,
    test: int,
    shards: int = 1,
    pixels: int = 4096,
    seed: int = 42,
    dtype: str = "float64",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes DIR/train_<size>_<i>, val_<size>_0 and test_<size>_0, each a dataset.h5, at constant memory.

    All appear at the end, so that an interrupted call leaves no part of a data set; the next one starts over.

    Args:
        directory: The data root to make; it may exist but must not hold a data set.
        train, val, test: Spectra of each split; val and test may be 0.
        shards: Files that the training set is cut into.
        pixels: Pixels between 7100 and 8850 Å.
        seed: The same seed gives the same spectra, whatever the other arguments but pixels.
        dtype: Stored type of flux, error and noisy: float64 as real shards, float32 or float16.
        progress: Called with (spectra done, spectra in all) after each block.

    Raises:
        RequestError: Impossible sizes, a data set already there, or a folder that cannot be written or is too full.
        RunError: The disk got full.
    """
    root = Path(directory)
    counts = {"train": train, "val": val, "test": test}
    _check(root, counts, shards, pixels, seed, dtype)
    _require_room(root, counts, pixels, dtype)
    simulator = Simulator(pixels=pixels, seed=seed)
    total, done = sum(counts.values()), 0

    def advance(rows: int) -> None:
        nonlocal done
        done += rows
        if progress is not None:
            progress(done, total)

    with writing(root), _appearing(root) as hidden:
        for split, spectra in counts.items():
            for path, start, stop in _shards(hidden, split, spectra, shards if split == "train" else 1):
                _write_shard(simulator, path, split, start, stop, dtype, advance)


@contextmanager
def _appearing(root: Path) -> Iterator[Path]:
    """A hidden folder in a data root; on a clean exit what it holds appears in the root, else it is removed."""
    hidden = root / HIDDEN
    shutil.rmtree(hidden, ignore_errors=True)  # of a process that was killed
    hidden.mkdir()
    try:
        yield hidden
        # The training set last: without it, what is there is no data set yet.
        for folder in sorted(hidden.iterdir(), key=lambda folder: folder.name.startswith("train")):
            folder.rename(root / folder.name)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _shards(root: Path, split: str, spectra: int, shards: int) -> list[tuple[Path, int, int]]:
    """Path and row range of each shard; sizes differ by at most one and the folder is named by the largest."""
    if spectra == 0:
        return []
    bounds = [spectra * i // shards for i in range(shards + 1)]
    label = size_label(-(-spectra // shards))
    return [(root / f"{split}_{label}_{i}" / "dataset.h5", bounds[i], bounds[i + 1]) for i in range(shards)]


def _write_shard(
    simulator: Simulator, path: Path, split: str, start: int, stop: int, dtype: str, advance: Callable[[int], None]
) -> None:
    noisy = split != "train"
    wave_angstrom_L = simulator.wave_angstrom_L
    tables = []
    with ShardWriter(
        path,
        spectra=stop - start,
        pixels=wave_angstrom_L.size,
        wave_angstrom_L=wave_angstrom_L,
        with_noisy=noisy,
        dtype=dtype,
        attributes={"simulated": _SIMULATED, "flux_unit": FLUX_UNIT, "wavelengths": "air"},
    ) as writer:
        for first in range(start - start % BLOCK_ROWS, stop, BLOCK_ROWS):
            block = simulator.block(split, first, noisy=noisy)
            keep = slice(max(start - first, 0), min(stop - first, BLOCK_ROWS))
            row = first + keep.start - start
            writer.write(
                row, block.flux_BL[keep], block.error_BL[keep], None if block.noisy_BL is None else block.noisy_BL[keep]
            )
            tables.append(pd.DataFrame({name: values[keep] for name, values in block.labels.items()}))
            advance(keep.stop - keep.start)
        params = pd.concat(tables, ignore_index=True)
        params.insert(0, "id", np.arange(start, stop))
        params["source"] = "simulated"
        writer.write_params(params)


def _check(root: Path, counts: dict[str, int], shards: int, pixels: int, seed: int, dtype: str) -> None:
    faults = []
    if counts["train"] < 1:
        faults.append(f"train is {counts['train']}, but at least 1 training spectrum is needed.")
    faults += [
        f"{split} is {counts[split]}, but it cannot be negative." for split in ("val", "test") if counts[split] < 0
    ]
    if not 1 <= shards <= max(counts["train"], 1):
        faults.append(f"shards is {shards}; give a number between 1 and the number of training spectra.")
    if not _MIN_PIXELS <= pixels <= _MAX_PIXELS:
        faults.append(f"pixels is {pixels}; give a number between {_MIN_PIXELS} and {_MAX_PIXELS}.")
    if not 0 <= seed < 2**64:
        faults.append(f"seed is {seed}; give a number between 0 and 2^64 - 1.")
    if dtype not in _DTYPES:
        faults.append(f"dtype is {dtype!r}; give one of {', '.join(_DTYPES)}.")
    faults = faults or _folder_faults(root)
    if faults:
        raise RequestError(*faults)


def _folder_faults(root: Path) -> list[str]:
    if root.exists() and not root.is_dir():
        return [f"{root} is a file; give a folder to simulate into."]
    there = sorted(path for split in _SPLITS for path in root.glob(f"{split}*/dataset.h5"))
    if there:
        return [f"{root} already holds a data set ({there[0].parent.name}); give another folder or remove it first."]
    return []


def _require_room(root: Path, counts: dict[str, int], pixels: int, dtype: str) -> None:
    """Refuse a folder that cannot be written, or has not room enough, before anything is simulated."""
    require_folder(root)
    rows = {split: row_bytes(pixels, dtype, with_noisy=split != "train") for split in counts}
    needed = sum(counts[split] * rows[split] for split in counts)
    there = next(folder for folder in (root, *root.absolute().parents) if folder.is_dir())
    if needed > (free := shutil.disk_usage(there).free):
        raise RequestError(
            f"The spectra take {needed / 1e9:.3g} GB and {there} has {free / 1e9:.3g} GB free: give another folder, "
            "fewer spectra, or a smaller --dtype."
        )
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)

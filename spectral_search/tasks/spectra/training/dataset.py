"""What a fit gets: training spectra, frozen val spectra and preprocessing, as plain arrays that Ray can share.

Fluxes and errors are in units of `Preprocessing.flux_scale`; invalid values hold the training mean with error 0.
Shape suffixes: D noise draws, N spectra, L pixels.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from spectral_search.spec.run import RunSpec
from spectral_search.task.training import DeviceData, Reader
from spectral_search.tasks.spectra.label_bins import BIN_EDGES
from spectral_search.tasks.spectra.noise.noise_model import add_noise
from spectral_search.tasks.spectra.shards.blocks import Block
from spectral_search.tasks.spectra.shards.loaded_spectra import Spectra
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing
from spectral_search.tasks.spectra.training.residency import reads_on_ray

if TYPE_CHECKING:
    import pandas as pd

    from spectral_search.tasks.spectra.signal.components import Components

_ROWS = 1024
"""Spectra handled at a time."""


@dataclass(frozen=True)
class Labelled:
    """Noise-free spectra, float32 or float16, with what a network must predict of them."""

    flux_NL: np.ndarray
    error_NL: np.ndarray
    log_g_N: np.ndarray
    bin_N: np.ndarray

    def __len__(self) -> int:
        return len(self.log_g_N)

    @property
    def nbytes(self) -> int:
        return self.flux_NL.nbytes + self.error_NL.nbytes


@dataclass(frozen=True)
class Frozen:
    """Spectra whose noise is drawn once for all: what val_r2 and every quoted number is measured on.

    With `in_components` they are in the subspace of the signal: `noisy_DNL` holds components, `error_NL` nothing.
    """

    noisy_DNL: np.ndarray
    error_NL: np.ndarray
    log_g_N: np.ndarray
    bin_N: np.ndarray
    in_components: bool = False


@dataclass(frozen=True)
class Stream:
    """Training spectra that are read again each epoch: which ones, and their labels."""

    selection: Selection
    log_g_N: np.ndarray
    bin_N: np.ndarray

    def __len__(self) -> int:
        return len(self.selection)


@dataclass(frozen=True)
class Dataset:
    """All that a trial needs to train and to be measured.

    Attributes:
        train: Training spectra in pixels; None where every input is made of components.
        val: What every epoch is measured on.
        prep: Statistics of the training set.
        noise_level: Factor on the error.
        components: Training spectra in the subspace of the signal, in the same order, where an input is made of them.
    """

    train: Labelled | Stream | None
    val: Frozen
    prep: Preprocessing
    noise_level: float
    components: "Components | None" = None

    @property
    def train_spectra(self) -> int:
        """Training spectra N."""
        return len(self.train_log_g_N)

    @property
    def train_log_g_N(self) -> np.ndarray:
        """Log g of the training spectra in dex, float32, however these are held."""
        held = self.components if self.train is None else self.train
        return np.empty(0, np.float32) if held is None else held.log_g_N

    @property
    def examples(self) -> int:
        """See `task.training.TrainingSet`."""
        return self.train_spectra

    @property
    def values(self) -> int:
        """Pixels of a spectrum."""
        return self.prep.pixels

    def reader(self, spec: RunSpec) -> Reader:
        """As `resources.reader` and the compression of the shards say."""
        on_ray = isinstance(self.train, Stream) and reads_on_ray(spec.resources, self.train.selection)
        return "ray" if on_ray else "thread"

    def on_device(self, device: torch.device, *, share: float = 1.0, reader: Reader = "thread") -> DeviceData:
        """See `task.training.TrainingSet`."""
        from spectral_search.tasks.spectra.training.device_data import SpectraOnDevice

        return SpectraOnDevice(self, device, share, reader)


def shared_tensor(values: np.ndarray, device: torch.device | str = "cpu") -> torch.Tensor:
    """The array as a tensor, without a copy on the CPU.

    Ray hands out read-only arrays and torch, which knows no read-only tensors, warns; the callers never write to them.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(values).to(device)


def oracle_bins(labels: "pd.DataFrame") -> np.ndarray:
    """Index 0..8 of each spectrum's T_eff x [M/H] bin, int64; -1 where a label is absent."""
    t_eff = np.digitize(labels["T_eff"].to_numpy(), BIN_EDGES["T_eff"])
    m_h = np.digitize(labels["M_H"].to_numpy(), BIN_EDGES["M_H"])
    # digitize puts NaN into the last bin, without a word.
    known = labels[["T_eff", "M_H"]].notna().all(axis=1).to_numpy()
    return np.where(known, t_eff * 3 + m_h, -1).astype(np.int64)


def as_blocks(spectra: Spectra) -> Iterator[Block]:
    """The spectra in memory as blocks of rows, for the statistics."""
    for start in range(0, len(spectra), _ROWS):
        part = slice(start, start + _ROWS)
        error_BL = spectra.error_NL[part]
        yield Block(np.arange(start, start + len(error_BL)), spectra.flux_NL[part], error_BL)


def labelled(spectra: Spectra, prep: Preprocessing) -> Labelled:
    """Scale and fill the spectra in place (no second copy) and attach their labels."""
    condition = prep.conditioning
    if spectra.flux_NL.dtype == np.float16:
        condition = replace(condition, factor=1.0)  # they are in these units already
    for start in range(0, len(spectra), _ROWS):
        part = slice(start, start + _ROWS)
        noisy_BL = None if spectra.noisy_NL is None else spectra.noisy_NL[part]
        condition(spectra.flux_NL[part], spectra.error_NL[part], noisy_BL)
    return Labelled(
        spectra.flux_NL,
        spectra.error_NL,
        spectra.labels["log_g"].to_numpy(np.float32),
        oracle_bins(spectra.labels),
    )


def freeze(
    spectra: Labelled, recorded_NL: np.ndarray | None, *, draws: int, noise_level: float, counter: tuple[int | str, ...]
) -> Frozen:
    """Draw the noise of an evaluation set once.

    Args:
        spectra: Conditioned spectra.
        recorded_NL: Noise added by the shard's writer, conditioned likewise; serves as the first draw at level 1.
        draws: D, how many noisy versions of each spectrum.
        noise_level: Factor on the error.
        counter: Names the draws; the same counter gives the same noise on every machine, but for last digits.
    """
    count, pixels = spectra.flux_NL.shape
    draws = draws if noise_level > 0 else 1  # without noise all draws are the same
    noisy_DNL = np.empty((draws, count, pixels), np.float32)
    for draw in range(draws):
        if draw == 0 and recorded_NL is not None and noise_level == 1.0:
            np.maximum(recorded_NL, 0.0, out=noisy_DNL[0])
        else:
            noisy_DNL[draw] = draw_noise(spectra, noise_level, (*counter, draw))
    return Frozen(noisy_DNL, spectra.error_NL, spectra.log_g_N, spectra.bin_N)


def draw_noise(spectra: Labelled, noise_level: float, counter: tuple[int | str, ...], first: int = 0) -> np.ndarray:
    """One noisy realisation of each spectrum, float32 of shape (N, L), always drawn on the CPU.

    The noise of a spectrum depends on its position alone, not on what else is drawn.

    Args:
        spectra: Conditioned spectra.
        noise_level: Factor on the error.
        counter: Names the draw.
        first: Position of the first of these spectra in the set that the draw is for.
    """
    noisy_NL = np.empty(spectra.flux_NL.shape, np.float32)
    for start in range(0, len(noisy_NL), _ROWS):
        part = slice(start, start + _ROWS)
        flux_BL, error_BL = (
            shared_tensor(values_NL[part]).float() for values_NL in (spectra.flux_NL, spectra.error_NL)
        )
        noisy_NL[part] = add_noise(flux_BL, error_BL, noise_level, counter, first + start).numpy()
    return noisy_NL

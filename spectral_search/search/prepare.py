"""From a data root to the dataset of a search: what is read, kept or streamed, and how the input is prepared."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from spectral_search.data.blocks import iter_blocks
from spectral_search.data.dataset import (
    Dataset,
    Labelled,
    Stream,
    as_blocks,
    freeze,
    labelled,
    oracle_bins,
    val_draws,
)
from spectral_search.data.preprocess import Preprocessing, Validity, fit_preprocessing, set_validity
from spectral_search.data.spectra import Spectra, load_spectra
from spectral_search.data.split import Selection, Splits
from spectral_search.search.device import cpu_count
from spectral_search.spec.run import RunSpec

Load = Callable[[Selection, bool], Spectra]


@dataclass(frozen=True)
class Prepared:
    """A dataset, with the noise-free val spectra that the re-test draws fresh noise for."""

    dataset: Dataset
    val: Labelled


def load_plainly(selection: Selection, noisy: bool) -> Spectra:
    """Spectra in memory through h5py alone."""
    return load_spectra(selection, iter_blocks(selection, noisy=noisy))


def prepare(spec: RunSpec, splits: Splits, load: Load, prep: Preprocessing | None = None) -> Prepared:
    """Read what a search needs.

    Args:
        spec: The search, its data.residency decided by the plan.
        splits: Which spectra.
        load: How spectra are brought into memory.
        prep: Preprocessing of an earlier run, kept as it is; fitted on the training set when absent.

    Raises:
        RequestError: No pixel is valid in all sets, or the labels do not vary.
    """
    data = spec.data
    val_spectra = load(splits.val, True)
    votes = [set_validity(as_blocks(val_spectra), val_spectra.pixels)]
    if splits.test is not None and prep is None:
        votes.append(set_validity(iter_blocks(splits.test), splits.test.pixels))
    train_spectra = load(splits.train, False) if data.residency == "resident" else None
    if prep is None:
        prep = _fit(splits.train, train_spectra, votes)
    train: Labelled | Stream
    if train_spectra is not None:
        train = labelled(train_spectra, prep)
    else:
        labels = splits.train.labels()
        train = Stream(splits.train, labels["log_g"].to_numpy(np.float32), oracle_bins(labels))
    if len(prep.pixel_rank_L) == 0 and needs_ranking(spec):
        prep = replace(prep, pixel_rank_L=_ranking(spec, splits, train, prep))
    val = labelled(val_spectra, prep)
    frozen = freeze(
        val,
        val_spectra.noisy_NL,
        draws=val_draws(data.val_draws, len(val)),
        noise_level=data.noise_level,
        counter=(data.split_seed, "val"),
    )
    return Prepared(Dataset(train, frozen, prep, data.noise_level), val)


def _fit(selection: Selection, spectra: Spectra | None, votes: list[Validity]) -> Preprocessing:
    if spectra is not None:
        log_g_N = spectra.labels["log_g"].to_numpy()
        return fit_preprocessing(as_blocks(spectra), log_g_N, spectra.pixels, votes)
    return fit_preprocessing(iter_blocks(selection), selection.labels()["log_g"].to_numpy(), selection.pixels, votes)


def needs_ranking(spec: RunSpec) -> bool:
    """Whether any trial keeps only the most important pixels."""
    key = "data.input.top_pixels"
    grids = spec.grid if isinstance(spec.grid, list) else [spec.grid]
    return spec.data.input.top_pixels is not None or key in chain(spec.space, *grids)


def _ranking(spec: RunSpec, splits: Splits, train: Labelled | Stream, prep: Preprocessing) -> np.ndarray:
    from spectral_search.data.ranking import RANKING_SPECTRA, rank_pixels

    if isinstance(train, Stream):
        count = min(RANKING_SPECTRA, len(splits.train))
        chosen = np.random.default_rng(spec.data.split_seed).choice(len(splits.train), count, replace=False)
        train = labelled(load_plainly(splits.train.take(np.sort(chosen)), False), prep)
    return rank_pixels(train, spec.data.noise_level, spec.data.split_seed, cpu_count())

"""From a data root to the dataset of a search: what is read, kept or streamed, and how the input is prepared."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spectral_search.record.array_cache import ArrayCache
from spectral_search.record.bundle import Bundle
from spectral_search.spec.run import RunSpec
from spectral_search.spec.seeds import numpy_seed
from spectral_search.strategy.candidate_configs import candidates
from spectral_search.task.preparation import Tested
from spectral_search.tasks.spectra.noise.val_draws import val_draws
from spectral_search.tasks.spectra.section import DataSpec
from spectral_search.tasks.spectra.shards.blocks import Block, iter_blocks
from spectral_search.tasks.spectra.shards.content import Hashes
from spectral_search.tasks.spectra.shards.loaded_spectra import Spectra, load_spectra
from spectral_search.tasks.spectra.shards.same_data import same_bytes
from spectral_search.tasks.spectra.shards.split import Selection, Splits
from spectral_search.tasks.spectra.shards.unread_blocks import AnyBlock
from spectral_search.tasks.spectra.signal.components import Components
from spectral_search.tasks.spectra.signal.compress import Told, project, unheard
from spectral_search.tasks.spectra.signal.inputs_read import drawn_in, needs_subspace
from spectral_search.tasks.spectra.signal.kept_components import kept_components
from spectral_search.tasks.spectra.signal.subspace_plan import find_subspace
from spectral_search.tasks.spectra.training.dataset import (
    Dataset,
    Frozen,
    Labelled,
    Stream,
    as_blocks,
    draw_noise,
    freeze,
    labelled,
    oracle_bins,
)
from spectral_search.tasks.spectra.training.float16_spectra import halved
from spectral_search.tasks.spectra.training.predictor import Predictor
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing, PreprocessingFit, Validity, set_validity
from spectral_search.train.devices import cpu_count

if TYPE_CHECKING:
    import pandas as pd

Read = Callable[[Selection, bool], Iterator[Block]]
"""Reads the spectra of a selection block by block, with recorded noise where it is asked for and there."""


@dataclass(frozen=True)
class Prepared:
    """A dataset, with the noise-free val spectra that the re-test draws fresh noise for, and what to tell of it.

    See `task.preparation.Prepared`.
    """

    spec: RunSpec
    splits: Splits
    dataset: Dataset
    val: Labelled
    notes: tuple[str, ...] = ()

    @property
    def val_labels_N(self) -> np.ndarray:
        return self.val.log_g_N

    @property
    def val_table(self) -> "pd.DataFrame":
        return self.splits.val.labels()

    @property
    def has_test(self) -> bool:
        return self.splits.test is not None

    def fresh(self, draw: int) -> Frozen:
        data = self.spec.data
        # Noise that chose nothing: the best of many trials is in part the best under the noise it was chosen on.
        noisy_NL = draw_noise(self.val, data.noise_level, (data.split_seed, "retest", draw))
        return Frozen(noisy_NL[None], self.val.error_NL, self.val.log_g_N, self.val.bin_N)

    def predictor(self, bundle: Bundle, device: torch.device) -> Predictor:
        return Predictor(bundle, device)

    def test(self, predictor: Predictor, recorded: Mapping[str, Any]) -> Tested:
        if self.splits.test is None:
            raise ValueError("there is no test set")
        predictions = predictor.predict_shards(self.splits.test)
        as_recorded = same_bytes(recorded.get("content", {}).get("test", {}), predictions.content)
        return Tested(predictions.table, {"noise": predictions.noise}, as_recorded)


@dataclass(frozen=True)
class Compressing:
    """What goes on around the compressing of training spectra.

    Attributes:
        cache: Where what is made is kept; None keeps nothing.
        told: Hears how many spectra are done, and how many there are.
        seen: Hears the hashes of spectra that were known without being read.
        unread: Gives the training spectra to be read by the threads that compress them; as all others when absent.
    """

    cache: ArrayCache | None = field(default_factory=ArrayCache.here)
    told: Told = unheard
    seen: Callable[[Selection, Hashes], None] = lambda selection, hashes: None
    unread: Callable[[Selection], Iterator[AnyBlock]] | None = None


def _load_plainly(selection: Selection, noisy: bool) -> Spectra:
    """Spectra in memory through h5py alone."""
    return load_spectra(selection, iter_blocks(selection, noisy=noisy))


def prepare(
    spec: RunSpec,
    splits: Splits,
    read: Read,
    prep: Preprocessing | None = None,
    compressing: Compressing | None = None,
) -> Prepared:
    """Read what a search needs, each spectrum once; for components a sample of them twice, or from the cache.

    Args:
        spec: The search, its data.residency and data.stored_as decided by the plan.
        splits: Which spectra.
        read: How spectra are read; for components to be kept, with hashes.
        prep: Preprocessing of an earlier run or of the plan, kept as it is; fitted on the training set when absent.
        compressing: What goes on around it; with this user's cache and unheard when absent.

    Raises:
        RequestError: No pixel is valid in all sets, the labels do not vary, the spectra do not fit float16, or the
            training flux holds noise where an input needs it without.
    """
    kinds, around = drawn_in(spec), compressing or Compressing()
    if needs_subspace(spec) and (prep is None or not len(prep.strength_K)):
        prep = find_subspace(spec, splits, candidates(spec), around.cache).prep
    if prep is not None and "pixels" not in kinds:
        return _in_components(spec, splits, read, prep, around)
    prepared = _in_pixels(spec, splits, read, prep)
    if "components" not in kinds:
        return prepared
    components, notes = _compressed(spec, splits.train, read, prepared.dataset.prep, around)
    return replace(prepared, dataset=replace(prepared.dataset, components=components), notes=notes)


def _compressed(
    spec: RunSpec, train: Selection, read: Read, prep: Preprocessing, around: Compressing
) -> tuple[Components, tuple[str, ...]]:
    blocks = partial(read, train, False) if around.unread is None else partial(around.unread, train)
    kept = kept_components(train, blocks, prep, spec.data.noise_level, around.cache, around.told)
    around.seen(train, kept.hashes)
    return kept.components, kept.notes


def _in_components(spec: RunSpec, splits: Splits, read: Read, prep: Preprocessing, around: Compressing) -> Prepared:
    """A search that reads components alone: nothing of the training set is kept in pixels."""
    data = spec.data
    components, notes = _compressed(spec, splits.train, read, prep, around)
    val, frozen = _val(data, load_spectra(splits.val, read(splits.val, True)), prep)
    nothing_NL = np.empty((len(val), 0), np.float32)
    projected = Frozen(project(frozen.noisy_DNL, prep), nothing_NL, frozen.log_g_N, frozen.bin_N, in_components=True)
    return Prepared(spec, splits, Dataset(None, projected, prep, data.noise_level, components), val, notes)


def _in_pixels(spec: RunSpec, splits: Splits, read: Read, prep: Preprocessing | None) -> Prepared:
    data = spec.data
    val_spectra = load_spectra(splits.val, read(splits.val, True))
    votes = [set_validity(as_blocks(val_spectra), val_spectra.pixels)]
    if splits.test is not None and prep is None:
        # Of test spectra it learns which pixels are valid, and nothing of their fluxes or labels.
        votes.append(set_validity(read(splits.test, False), splits.test.pixels))
    train, prep = _train(data, splits.train, read, prep, votes)
    if len(prep.pixel_rank_L) == 0 and needs_ranking(spec):
        prep = replace(prep, pixel_rank_L=_ranking(spec, splits, train, prep))
    val, frozen = _val(data, val_spectra, prep)
    return Prepared(spec, splits, Dataset(train, frozen, prep, data.noise_level), val)


def _val(data: DataSpec, val_spectra: Spectra, prep: Preprocessing) -> tuple[Labelled, Frozen]:
    """The val spectra without noise, and with the noise that every epoch is measured on."""
    val = labelled(val_spectra, prep)
    frozen = freeze(
        val,
        val_spectra.noisy_NL,
        draws=val_draws(data.val_draws, len(val)),
        noise_level=data.noise_level,
        counter=(data.split_seed, "val"),
    )
    return val, frozen


def _train(
    data: DataSpec, selection: Selection, read: Read, prep: Preprocessing | None, votes: list[Validity]
) -> tuple[Labelled | Stream, Preprocessing]:
    """The training spectra and their statistics, which are gathered while the spectra pass by."""
    labels = selection.labels()
    log_g_N, fit = labels["log_g"].to_numpy(), PreprocessingFit(selection.pixels)

    def blocks() -> Iterator[Block]:
        return read(selection, False) if prep is not None else fit.watch(read(selection, False))

    if data.residency == "stream":
        if prep is None:
            # Read through for the statistics alone.
            deque(blocks(), maxlen=0)
            prep = fit.finish(log_g_N, votes)
        return Stream(selection, log_g_N.astype(np.float32), oracle_bins(labels)), prep
    found = blocks()
    if data.stored_as == "float16":
        found = halved(found, lambda: fit.flux_scale if prep is None else prep.flux_scale)
    spectra = load_spectra(selection, found)
    if prep is None:
        prep = fit.finish(log_g_N, votes)
    return labelled(spectra, prep), prep


def needs_ranking(spec: RunSpec) -> bool:
    """Whether any trial keeps only the most important pixels."""
    key = "data.input.top_pixels"
    grids = spec.grid if isinstance(spec.grid, list) else [spec.grid]
    return spec.data.input.top_pixels is not None or key in chain(spec.space, *grids)


def _ranking(spec: RunSpec, splits: Splits, train: Labelled | Stream, prep: Preprocessing) -> np.ndarray:
    from spectral_search.tasks.spectra.training.pixel_ranking import RANKING_SPECTRA, rank_pixels

    if isinstance(train, Stream):
        count = min(RANKING_SPECTRA, len(splits.train))
        chosen = np.random.default_rng(numpy_seed(spec.data.split_seed)).choice(len(splits.train), count, replace=False)
        train = labelled(_load_plainly(splits.train.take(np.sort(chosen)), False), prep)
    return rank_pixels(train, spec.data.noise_level, spec.data.split_seed, cpu_count())

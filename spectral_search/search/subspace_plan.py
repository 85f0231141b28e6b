"""Looking for the subspace of the signal before anything starts: how many components, and what they leave out.

A sample of the spectra is read; torch is not needed. What is found here is what the run uses.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from spectral_search.data.blocks import Block, iter_blocks
from spectral_search.data.preprocess import Preprocessing, PreprocessingFit, set_validity
from spectral_search.data.split import Selection, Splits
from spectral_search.data.subspace import enough_components, find_directions, is_noisy, outside, whitened
from spectral_search.errors import RequestError
from spectral_search.spec.run import RunSpec, TrialConfig

SAMPLED_BYTES = 128 << 20
"""Noise-free flux, as float32, that the directions are taken from: 8,192 spectra of 4,096 pixels."""
MOST_SAMPLED = 8192
CHECKED_SPECTRA = 2048
"""Of val and test: for invalid pixels, and what signal of val lies outside the subspace."""
RUNS = 64
"""A sample is so many runs of neighbours, spread evenly: they share chunks."""
OUTSIDE_ALLOWED = 0.01
"""Variance of held-out signal outside the subspace, in units of the noise of one direction, without a warning."""
OUTSIDE_HIDDEN = 0.1
"""The same, above which a stage that names an input to stand in takes that."""


class NoSignalError(RequestError):
    """The data do not allow inputs made of the signal.

    Args:
        reason: What is wrong with them, a sentence.
        cure: What to do, another.
    """

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(f"{reason} {cure}")
        self.reason = reason


@dataclass(frozen=True)
class FoundSubspace:
    """Preprocessing with the directions of the signal, and what was seen on the way.

    Attributes:
        prep: Fitted to the sample; holds as many directions as any trial may ask for.
        automatic: How many components `auto` stands for.
        outside: Mean variance of held-out noise-free val spectra outside the subspace of `automatic` components, in
            units of the noise of one direction.
        variance_Q: Variance of the signal along each direction that was looked at, in units of the noise.
        sampled: Training spectra that the directions are from.
    """

    prep: Preprocessing
    automatic: int
    outside: float
    variance_Q: np.ndarray
    sampled: int

    def notes(self) -> list[str]:
        """Sentences for the plan."""
        found = (
            f"The signal in {self.prep.pixels:,} pixels has {self.automatic} components that rise above the noise, "
            f"found in {self.sampled:,} noise-free training spectra. What val spectra hold outside of them is "
            f"{100 * self.outside:.2g}% of the noise of one component. (The way back: --input standardize.)"
        )
        if self.outside <= OUTSIDE_ALLOWED:
            return [found]
        warning = (
            f"That is more than {100 * OUTSIDE_ALLOWED:g}%: val spectra differ from the training spectra in ways that "
            "these do not show. Give more training spectra, set data.input.components higher, or use --input "
            "standardize."
        )
        return [found, warning]


def find_subspace(spec: RunSpec, splits: Splits, configs: Iterable[TrialConfig]) -> FoundSubspace:
    """Find the directions that the trials of a search may use.

    Args:
        spec: The search.
        splits: Which spectra.
        configs: What its trials may be.

    Raises:
        NoSignalError: The training flux is itself noisy.
        RequestError: More components are asked for than there are.
    """
    data, train = spec.data, splits.train
    sample = _sampled(train, min(MOST_SAMPLED, SAMPLED_BYTES // (4 * train.pixels)))
    prep, flux_NL = _fit(sample, train, splits)
    subspace = find_directions(whitened(flux_NL, prep.centre_L, prep.inverse_noise_L), data.split_seed)
    if is_noisy(subspace.variance_Q, len(flux_NL)):
        middle = subspace.variance_Q[len(subspace.variance_Q) // 2]
        raise NoSignalError(
            f"The training flux holds noise of its own: along the {len(subspace.variance_Q) // 2}th direction the "
            f"spectra still differ by {middle:.2g} times their noise, where noise-free ones differ by less than 0.01.",
            "The signal input needs noise-free training flux: use --input standardize.",
        )
    automatic = enough_components(subspace.variance_Q, data.noise_level)
    asked = {config.data.input.components for config in configs}
    most = max(automatic if count == "auto" else count for count in (asked or {"auto"}))
    if most > subspace.components:
        raise RequestError(
            f"data.input.components asks for {most} and {len(flux_NL):,} sampled training spectra of {train.pixels:,} "
            f"pixels have {subspace.components} directions that can be told apart: use at most {subspace.components}."
        )
    kept = subspace.take(max(most, automatic))
    prep = replace(prep, directions_LK=np.ascontiguousarray(kept.directions_LK), strength_K=kept.strength_K)
    held_out = outside(_val_signal(splits.val, prep), kept.directions_LK[:, :automatic])
    return FoundSubspace(prep, automatic, held_out, subspace.variance_Q, len(flux_NL))


def _fit(sample: Selection, train: Selection, splits: Splits) -> tuple[Preprocessing, np.ndarray]:
    """Statistics of the sample and its conditioned flux, (N, L)."""
    fit = PreprocessingFit(train.pixels)
    blocks = list(fit.watch(iter_blocks(sample)))
    others = [
        set_validity(iter_blocks(_sampled(part, CHECKED_SPECTRA)), train.pixels)
        for part in (splits.val, splits.test)
        if part is not None
    ]
    prep = fit.finish(train.labels()["log_g"].to_numpy(), others)
    for block in blocks:
        prep.conditioning(block.flux_BL, block.error_BL)
    return prep, np.concatenate([block.flux_BL for block in blocks])


def _val_signal(val: Selection, prep: Preprocessing) -> np.ndarray:
    """Whitened noise-free val spectra of a sample."""
    blocks: Iterator[Block] = iter_blocks(_sampled(val, CHECKED_SPECTRA), condition=prep.conditioning)
    flux_NL = np.concatenate([block.flux_BL for block in blocks])
    return whitened(flux_NL, prep.centre_L, prep.inverse_noise_L)


def _sampled(selection: Selection, most: int) -> Selection:
    """At most so many spectra, in runs of neighbours spread over the selection."""
    count = len(selection)
    if count <= most:
        return selection
    run = max(1, most // RUNS)
    starts = np.unique(np.linspace(0, count - run, max(1, most // run)).astype(np.int64))
    return selection.take(np.unique((starts[:, None] + np.arange(run)).ravel()))

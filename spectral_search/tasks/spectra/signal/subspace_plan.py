"""Looking for the subspace of the signal before anything starts: how many components, and what they leave out.

A sample of the spectra is read; torch is not needed. What is found here is what the run uses.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.record.array_cache import ArrayCache
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.tasks.spectra.shards.split import Splits
from spectral_search.tasks.spectra.signal.subspace import enough_components, is_noisy
from spectral_search.tasks.spectra.signal.subspace_sample import see_subspace
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing

_OUTSIDE_ALLOWED = 0.01
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
        if self.outside <= _OUTSIDE_ALLOWED:
            return [found]
        warning = (
            f"That is more than {100 * _OUTSIDE_ALLOWED:g}%: val spectra differ from the training spectra in ways that "
            "these do not show. Give more training spectra, set data.input.components higher, or use --input "
            "standardize."
        )
        return [found, warning]


def find_subspace(
    spec: RunSpec, splits: Splits, configs: Iterable[TrialConfig], cache: ArrayCache | None = None
) -> FoundSubspace:
    """Find the directions that the trials of a search may use.

    Args:
        spec: The search.
        splits: Which spectra.
        configs: What its trials may be.
        cache: Where what a sample shows is kept; None keeps nothing.

    Raises:
        NoSignalError: The training flux is itself noisy.
        RequestError: More components are asked for than there are.
    """
    data = spec.data
    seen = see_subspace(splits, data.split_seed, cache)
    variance_Q, found = seen.variance_Q, len(seen.prep.strength_K)
    if is_noisy(variance_Q, seen.sampled):
        middle = variance_Q[len(variance_Q) // 2]
        raise NoSignalError(
            f"The training flux holds noise of its own: along the {len(variance_Q) // 2}th direction the "
            f"spectra still differ by {middle:.2g} times their noise, where noise-free ones differ by less than 0.01.",
            "The signal input needs noise-free training flux: use --input standardize.",
        )
    automatic = enough_components(variance_Q, data.noise_level)
    asked = {config.data.input.components for config in configs}
    most = max(automatic if count == "auto" else count for count in (asked or {"auto"}))
    if most > found:
        raise RequestError(
            f"data.input.components asks for {most} and {seen.sampled:,} sampled training spectra of "
            f"{splits.train.pixels:,} pixels have {found} directions that can be told apart: use at most {found}."
        )
    prep = seen.take(max(most, automatic))
    return FoundSubspace(prep, automatic, seen.outside(automatic), variance_Q, seen.sampled)

"""Random points."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spectral_search.strategy.history import History
from spectral_search.strategy.optuna_sampling import SamplerProposer

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial


class RandomProposer(SamplerProposer):
    """Learns nothing from the history but what has been tried."""

    def sampler(self, seed: int) -> BaseSampler:
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=seed)

    def told(self, history: History) -> list[FrozenTrial]:
        # Telling trials takes longer as a search grows, and random draws would not heed them.
        return []


PROPOSER = RandomProposer

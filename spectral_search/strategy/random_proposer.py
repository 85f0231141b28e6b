"""Random points."""

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from spectral_search.strategy.history import History
from spectral_search.strategy.optuna_sampling import SamplerProposer


class RandomProposer(SamplerProposer):
    """Learns nothing from the history but what has been tried."""

    def sampler(self, seed: int) -> BaseSampler:
        return optuna.samplers.RandomSampler(seed=seed)

    def told(self, history: History) -> list[FrozenTrial]:
        return []


PROPOSER = RandomProposer

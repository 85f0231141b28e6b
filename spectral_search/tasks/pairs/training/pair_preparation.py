"""Pairs as re-tests and the test set ask for them, see `task.preparation`. Shape suffixes: D draws, N pairs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
import torch

from spectral_search.errors import RequestError
from spectral_search.record.bundle import Bundle, read_safetensors, to_safetensors
from spectral_search.record.durable import write_atomic
from spectral_search.record.paths import RunPaths
from spectral_search.spec.run import RunSpec
from spectral_search.task.counter import counter_seed
from spectral_search.task.preparation import Tested
from spectral_search.task.training import InputShape, Wanted
from spectral_search.tasks.pairs.images.pair_part import PairPart
from spectral_search.tasks.pairs.pairs_plan import PairsPlan
from spectral_search.tasks.pairs.training.pair_set import LOGITS, GreyScale, MeasuredPairs, PairSet
from spectral_search.train.network import Network
from spectral_search.train.prediction import LoneNetwork, predict, rows_at_once


class PairPredictor:
    """See `task.preparation.Predictor`; predictions are logits."""

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        self.config = RunSpec.from_dict(bundle.config).base
        self._scale, self._device = GreyScale.from_arrays(bundle.preprocessing), device
        self._values = 2 * int(self.config.data.size or 0) ** 2
        self._network = Network(self.config, InputShape.of(self.config.data.input, self._values), device)
        self._network.model.load_state_dict({name: torch.tensor(value) for name, value in bundle.weights.items()})

    def predict(self, examples: PairPart) -> np.ndarray:
        """Logits of shape (1, N)."""
        if examples.values != self._values:
            side = self.config.data.size
            raise RequestError(f"The model reads images of {side} x {side}, and these have {examples.side} rows.")
        measured = MeasuredPairs(examples, self._scale, self._device)
        wanted = {self._network.input_key: Wanted(self.config, self._network.input_format)}
        return predict(
            [LoneNetwork(self._network)], measured, wanted, LOGITS, rows_at_once(self.config.fit.batch_size)
        )[0]


@dataclass(frozen=True)
class PreparedPairs:
    """See `task.preparation.Prepared`."""

    plan: PairsPlan
    dataset: PairSet
    notes: tuple[str, ...] = ()

    @property
    def val_labels_N(self) -> np.ndarray:
        return self.plan.parts["val"].same_N

    @property
    def val_table(self) -> pd.DataFrame:
        return pair_table(self.plan.parts["val"])

    @property
    def has_test(self) -> bool:
        return "test" in self.plan.parts

    def fresh(self, draw: int) -> PairPart:
        """Val pairs with the same labels, drawn anew of the val images."""
        return self.plan.parts["val"].redrawn(counter_seed(self.plan.spec.data.split_seed, "fresh pairs", draw))

    def predictor(self, bundle: Bundle, device: torch.device) -> PairPredictor:
        return PairPredictor(bundle, device)

    def test(self, predictor: PairPredictor, recorded: Mapping[str, Any]) -> Tested:
        test, task = self.plan.parts["test"], self.plan.task
        table = pair_table(test).assign(**{task.predicted: predictor.predict(test)[0]})
        return Tested(table, {}, recorded.get("sha256", {}).get("test") == test.sha256())


class PairPreparation:
    """See `task.preparation.Preparation`."""

    goes_ahead = True

    def __init__(self, plan: PairsPlan, paths: RunPaths) -> None:
        self._plan, self._paths = plan, paths

    def prepare(self, *, on_ray: bool = False, abandoned: Event | None = None) -> PreparedPairs:
        known, parts = self._paths.preprocessing_safetensors, self._plan.parts
        train = parts["train"]
        scale = GreyScale.from_arrays(read_safetensors(known)[0]) if known.exists() else GreyScale.of(train.images_MP)
        spec, fresh = self._plan.spec, self._plan.drawn_anew
        held = PairSet(train, parts["val"], scale, spec.task, fresh, spec.data.images_a_class)
        return PreparedPairs(self._plan, held)

    def keep(self, prepared: PreparedPairs, say: Callable[[str], None]) -> PreparedPairs:
        if not self._paths.preprocessing_safetensors.exists():
            write_atomic(self._paths.preprocessing_safetensors, to_safetensors(prepared.dataset.scale.to_arrays()))
        return prepared


def pair_table(part: PairPart) -> pd.DataFrame:
    """A row a pair: its number, whether both show the same, and what each shows where that is known."""
    shown = {"first_class": [""] * len(part), "second_class": [""] * len(part)}
    if part.class_M is not None:
        names = np.array(part.names)
        for key, rows in (("first_class", part.first_N), ("second_class", part.second_N)):
            shown[key] = names[part.class_M[rows]]
    return pd.DataFrame({"id": np.arange(len(part)), "same": part.same_N, **shown})

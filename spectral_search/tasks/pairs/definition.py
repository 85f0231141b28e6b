"""Pairs of images as a task: do both show the same thing?"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spectral_search.spec.run import RunSpec
from spectral_search.task.data_plan import CheckNetworks
from spectral_search.task.metric import Metric
from spectral_search.task.preparation import Examined
from spectral_search.task.verbs import Verb
from spectral_search.tasks.pairs.answer_scores import Accuracy, AreaUnderCurve, LogLoss
from spectral_search.tasks.pairs.images.pair_source import FoundPairs, find_pairs
from spectral_search.tasks.pairs.pairs_plan import PairsPlan, require_answers
from spectral_search.train.array_task import FoundArrays, InMemoryTask


class Pairs(InMemoryTask):
    """A yes or no for two images."""

    name = "pairs"
    metrics = (
        Metric("accuracy", "accuracy", True, worst=0.0, chance=0.5, measure=Accuracy(), tolerance=0.005),
        Metric("auc", "AUC", True, worst=0.0, chance=0.5, measure=AreaUnderCurve(), tolerance=0.002),
        Metric("log_loss", "log loss", False, unit="nats", worst=2.0, measure=LogLoss()),
    )
    examples = "pairs"
    target = "same"
    labels = ("id", "same", "first_class", "second_class")
    selected_on = "frozen pairs"
    retested_on = "fresh pairs"
    training_target = "the same or not"
    logits = True

    @property
    def predicted(self) -> str:
        """Predictions are logits: what metrics are computed of, whatever number format a probability would need."""
        return "logit"

    def open(self, spec: RunSpec) -> FoundPairs:
        return find_pairs(spec.data)

    def look_at(
        self, spec: RunSpec, opened: FoundPairs, explicit: Collection[str], check_networks: CheckNetworks
    ) -> FoundArrays:
        require_answers(spec)
        plan = PairsPlan.of(spec, opened, self)
        check_networks(plan.spec, plan.shape)
        return FoundArrays(plan)

    def recorded(self, spec: RunSpec, opened: FoundPairs, arrays: Mapping[str, np.ndarray]) -> PairsPlan:
        return PairsPlan.of(spec, opened, self)

    def verbs(self) -> Mapping[str, Verb[Any, Any]]:
        from spectral_search.tasks.pairs import pair_verbs

        return {
            "simulate": pair_verbs.SIMULATE,
            "inspect": pair_verbs.INSPECT,
            "baselines": pair_verbs.BASELINES,
            "audit": pair_verbs.AUDIT,
        }

    def reporting(self) -> object:
        from spectral_search.tasks.pairs.report.pair_reporting import REPORTING

        return REPORTING

    def evaluate(self, model: Path, data: Path, part: str, run: Any, *, observed: bool = False) -> dict[str, Any]:
        from spectral_search.tasks.pairs.training.exported_pairs import evaluate_pairs

        return evaluate_pairs(self, model, data, part)

    def examined(self, bundle: Any, data: Path, part: str) -> Examined:
        from spectral_search.tasks.pairs.training.exported_pairs import examined_pairs

        return examined_pairs(bundle, data, part)

    def predict(
        self, model: Path, data: Path, file: Path, *, called: str = "", observed: bool = False
    ) -> dict[str, Any]:
        from spectral_search.tasks.pairs.training.exported_pairs import predict_pairs

        return predict_pairs(self, model, data, file)


TASK = Pairs()

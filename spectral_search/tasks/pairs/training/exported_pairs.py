"""Exported models of pairs at work: what they score, and what they say of pairs."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from spectral_search.errors import RequestError
from spectral_search.places import writing
from spectral_search.record.bundle import Bundle, read_bundle
from spectral_search.record.stack_bundle import at_work
from spectral_search.task.preparation import Examined, Predictor
from spectral_search.task.task import Task
from spectral_search.tasks.pairs.answer_scores import probability
from spectral_search.tasks.pairs.images.pair_source import find_pairs, unlabelled_pairs
from spectral_search.tasks.pairs.training.pair_preparation import PairPredictor, pair_table


def examined_pairs(bundle: Bundle, data: Path, part: str) -> Examined:
    """What an exported model says of a part of data, split and paired as its search did.

    Raises:
        RequestError: The part is absent, or the model does not fit the data.
    """
    predictor = _predictor(bundle)
    parts = find_pairs(predictor.config.data.model_copy(update={"root": str(data)})).parts
    chosen = ("test" if "test" in parts else "val") if part == "auto" else part
    if chosen not in parts:
        raise RequestError(f"{data} has no {chosen} pairs: it has {', '.join(parts)}.")
    return Examined(predictor.predict(parts[chosen]), parts[chosen].same_N, chosen, parts[chosen].group_N2())


def evaluate_pairs(task: Task, model: Path, data: Path, part: str) -> dict[str, Any]:
    """The task's metrics of an exported model on a part of data, split and paired as the model's search did.

    Raises:
        RequestError: The part is absent, or the model does not fit the data.
    """
    found = examined_pairs(read_bundle(model), data, part)
    scores = task.scores(found.predicted_DN, found.target_N)
    return {**scores, task.examples: len(found.target_N), "part": found.part}


def predict_pairs(task: Task, model: Path, data: Path, file: Path) -> dict[str, Any]:
    """Write what a model says of all pairs of an .npz file, labelled or not; of other data of their test pairs."""
    predictor = _predictor(read_bundle(model))
    given = unlabelled_pairs(data, predictor.config.data)
    if given is None:
        parts = find_pairs(predictor.config.data.model_copy(update={"root": str(data)})).parts
        given = parts["test" if "test" in parts else "val"]
    logit_N = predictor.predict(given)[0]
    said = {
        task.predicted: logit_N,
        "probability": probability(logit_N),
        "same_predicted": (logit_N > 0).astype(np.int8),
    }
    table = pair_table(given).assign(**said)
    with writing(file):
        table.to_parquet(file) if file.suffix == ".parquet" else table.to_csv(file, index=False)
    return {task.examples: len(table)}


def _predictor(bundle: Bundle) -> Predictor:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return at_work(bundle, lambda model: PairPredictor(model, device))

"""What a finished run predicted, one by one: the winner for the test set, the finalists for val as it was re-tested.

Reports and comparisons read these files and predict nothing themselves.
Shape suffixes: D draws of the input, N examples.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError

from spectral_search.errors import RequestError
from spectral_search.record.bundle import read_safetensors, to_safetensors
from spectral_search.record.durable import write_atomic
from spectral_search.record.paths import BaselineSettingPaths, RunPaths
from spectral_search.record.tables import write_table
from spectral_search.task.metric import Metric
from spectral_search.task.task import Task

if TYPE_CHECKING:
    import pandas as pd

_RECORD, _PREDICTED = "record", "predicted_DN"


@dataclass(frozen=True)
class Retest:
    """A finalist, as trained in the search or anew with another seed, on the val set as no choice has seen it.

    Attributes:
        trial: The finalist's number.
        seed: Its fit.seed: initialisation, dropout, order and training noise.
        own: Whether these are the weights of the search itself.
        epochs: Epochs of the training: for copies those up to the best epoch of the trial they copy, or fewer.
        epoch: The epoch whose weights predicted: the best on val.
        value: The objective of that epoch on val, as it selected.
        predicted_DN: Of each draw of each example; no draws where the training failed or was stopped early.
        failure: Why there are no predictions.
        original_value: Of a copy that was stopped early: the best value that its original had after as many epochs.
    """

    trial: int
    seed: int
    own: bool
    epochs: int
    epoch: int
    value: float | None
    predicted_DN: np.ndarray
    failure: str | None = None
    original_value: float | None = None

    @property
    def stopped_early(self) -> bool:
        """Whether it is compared with its original as that was after as many epochs, and with nothing else."""
        return self.original_value is not None


def write_test_predictions(paths: RunPaths, task: Task, trial: int, epoch: int, table: "pd.DataFrame") -> None:
    """Keep what a trial's epoch predicted for the test set: the labels of the task, and the prediction."""
    paths.predictions_dir.mkdir(exist_ok=True)
    write_table(table[[*task.labels, task.predicted]], paths.test_predictions(trial, epoch))


def read_test_predictions(paths: RunPaths, trial: int, epoch: int) -> "pd.DataFrame | None":
    """A row for each test example; None where the run holds none, as runs of earlier versions do.

    Raises:
        RequestError: The file is damaged.
    """
    file = paths.test_predictions(trial, epoch)
    return _read_table(file) if file.exists() else None


def write_val_labels(paths: RunPaths, labels: "pd.DataFrame") -> None:
    """Keep the labels of the val set, in the order of the re-test's predictions."""
    paths.predictions_dir.mkdir(exist_ok=True)
    write_table(labels, paths.val_labels)


def read_val_labels(paths: RunPaths) -> "pd.DataFrame | None":
    """The labels of the val set; None where the run holds none.

    Raises:
        RequestError: The file is damaged.
    """
    return _read_table(paths.val_labels) if paths.val_labels.exists() else None


def original_name(objective: Metric) -> str:
    """The key on disk of what an original had reached."""
    return f"original_{objective.val_name}"


def _keys(objective: Metric) -> dict[str, str]:
    """Field -> its key on disk, where the metric has a say in it."""
    return {"value": objective.val_name, "original_value": original_name(objective)}


def write_retest(paths: RunPaths, objective: Metric, retest: Retest) -> None:
    """Keep a finalist's predictions."""
    folder = paths.retest(retest.trial, retest.seed).create()
    keys = _keys(objective)
    record = {keys.get(name, name): value for name, value in vars(retest).items() if name != _PREDICTED}
    predicted_DN = np.asarray(retest.predicted_DN, np.float32)
    content = to_safetensors({_PREDICTED: predicted_DN}, {_RECORD: json.dumps(record)})
    write_atomic(folder.retest_safetensors, content)


def read_retests(paths: RunPaths, objective: Metric) -> list[Retest]:
    """All re-tests that a run holds, by trial and seed.

    Raises:
        RequestError: A file is damaged.
    """
    files = sorted(paths.retest_dir.glob("*/retest.safetensors"))
    return sorted((_read_retest(file, objective) for file in files), key=lambda retest: (retest.trial, retest.seed))


def _read_retest(file: Path, objective: Metric) -> Retest:
    try:
        arrays, metadata = read_safetensors(file)
        record: dict[str, Any] = json.loads(metadata[_RECORD])
        names = {key: name for name, key in _keys(objective).items()}
        fields = {names.get(key, key): value for key, value in record.items()}
        return Retest(predicted_DN=arrays[_PREDICTED], **fields)
    except (KeyError, TypeError, ValueError, SafetensorError) as fault:
        raise RequestError(f"{file} is no record of a re-test ({fault}); remove it and resume the run.") from None


def read_baseline(paths: BaselineSettingPaths, method: str) -> "pd.DataFrame":
    """What a baseline predicted, one by one, as its task wrote it.

    Raises:
        RequestError: The file is missing or damaged.
    """
    return _read_table(paths.predictions(method), f"fit it again, `baselines --only {method} --again`")


def _read_table(file: Path, cure: str = "remove it and make it again with `evaluate`") -> "pd.DataFrame":
    import pandas as pd
    import pyarrow

    try:
        return pd.read_parquet(file)
    except (OSError, ValueError, pyarrow.ArrowException) as fault:
        reason = str(fault).splitlines()[0] if str(fault) else "it is empty"
        raise RequestError(f"{file} cannot be read ({reason}); {cure}.") from None

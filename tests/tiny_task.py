"""A task unknown to the package: tabular regression from one .npz file, measured by the mean absolute error."""

from typing import Any

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.task.metric import Metric
from spectral_search.train.array_task import Arrays, ArrayTask, Parts


class Cars(ArrayTask):
    """Horsepower from other numbers of a car."""

    name = "cars"
    metrics = (Metric("mae", "MAE", higher_is_better=False, unit="hp", worst=1e3, digits=3),)
    examples = "cars"
    target = "power"
    labels = ("id", "power")

    def load(self, data: Any) -> Parts:
        if not data.path.is_file():
            raise RequestError(f"{data.path} is no file of cars: give --data-root FILE.npz.")
        with np.load(data.path) as held:
            return {part: Arrays(held[f"x_{part}"], held[f"y_{part}"]) for part in ("train", "val", "test")}


TASK = Cars()

"""MLflow: a run for the search and one below it for each trial, `mlflow ui --backend-store-uri sqlite:///.../mlflow.db`.

That command needs all of MLflow, of which searching needs a part: `pip install mlflow`.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from spectral_search.record.paths import RunPaths
from spectral_search.run.loggers.epoch_sink import Logger, Point
from spectral_search.spec.yaml_io import show

_STATUS = {"complete": "FINISHED", "stopped": "FINISHED", "failed": "FAILED"}
_MOST = 1000
"""Numbers that MLflow takes in one call, which costs the same whatever their count."""


class Mlflow(Logger):
    """Keeps them in a database in its folder."""

    package, extra = "mlflow", "mlflow"

    def __init__(self, paths: RunPaths, stage: str) -> None:
        super().__init__(paths, stage)
        tracking = self.library(".tracking")
        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every table that it makes
        self._client = tracking.MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}")
        self._metric = self.library(".entities").Metric
        self._experiment = self._client.create_experiment(stage, (self.folder / "artifacts").as_uri())
        self._parent = self._client.create_run(self._experiment, run_name=self.name).info.run_id
        self._runs: dict[int, str] = {}

    def begin(self, number: int, params: Mapping[str, Any]) -> None:
        if number in self._runs:
            self._client.update_run(self._runs[number], status="RUNNING")
            return
        tags = {"mlflow.parentRunId": self._parent, "trial": str(number)}
        made = self._client.create_run(self._experiment, tags=tags, run_name=f"trial {number}")
        self._runs[number] = made.info.run_id
        for key, value in params.items():
            self._client.log_param(made.info.run_id, key, show(value))

    def epochs(self, number: int, points: Sequence[Point]) -> None:
        metrics = [
            self._metric(name, value, round(1000 * point.at), point.epoch)
            for point in points
            for name, value in point.values.items()
        ]
        for first in range(0, len(metrics), _MOST):
            self._client.log_batch(self._runs[number], metrics=metrics[first : first + _MOST])

    def end(self, number: int, state: str) -> None:
        run = self._runs[number]
        self._client.set_tag(run, "state", state)
        if state == "waiting":
            self._client.update_run(run, status="SCHEDULED")
        else:
            self._client.set_terminated(run, _STATUS[state])

    def close(self) -> None:
        self._client.set_terminated(self._parent, "FINISHED")


LOGGER = Mlflow

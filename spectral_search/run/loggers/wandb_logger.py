"""Weights & Biases: a run for each trial, grouped by the search, offline unless WANDB_MODE says otherwise."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from spectral_search.record.paths import RunPaths
from spectral_search.run.loggers.epoch_sink import Logger, Point


class Wandb(Logger):
    """Keeps its runs in its folder, from where `wandb sync` sends them."""

    package, extra = "wandb", "wandb"

    def __init__(self, paths: RunPaths, stage: str) -> None:
        super().__init__(paths, stage)
        self._runs: dict[int, Any] = {}

    def begin(self, number: int, params: Mapping[str, Any]) -> None:
        if number not in self._runs:
            wandb = self.library()
            self._runs[number] = wandb.init(
                project=self.stage,
                group=self.name,
                name=f"{self.name} trial {number}",
                id=f"{self.name}-{number}",
                dir=str(self.folder),
                config=dict(params),
                mode=os.environ.get("WANDB_MODE", "offline"),
                reinit="create_new",
                settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
            )

    def epochs(self, number: int, points: Sequence[Point]) -> None:
        for point in points:
            self._runs[number].log({**point.values, "_timestamp": point.at}, step=point.epoch)

    def end(self, number: int, state: str) -> None:
        # One that waits may go on, and what was finished can be told nothing more.
        if state != "waiting":
            run = self._runs.pop(number)
            run.summary["state"] = state
            run.finish(exit_code=int(state == "failed"))

    def close(self) -> None:
        for run in self._runs.values():
            run.finish()


LOGGER = Wandb

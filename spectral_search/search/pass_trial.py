"""A Ray Tune trial that trains in a shared pass: it asks the pass for its epochs, one by one, and hands them on.

Such a trial is a process of its own, as every trial of Ray Tune; it loads neither torch nor spectra.
"""

import time
from typing import Any

import ray
from ray import tune
from ray.actor import ActorHandle
from ray.exceptions import ActorUnavailableError, RayActorError

RESTART_SECONDS = 60.0
"""How long a pass whose process died may take to be there again."""


class RetryError(Exception):
    """A trial failed with an error that may have passed when it is started again; the message is that error."""


class PassTrial(tune.Trainable):
    """A member of a shared pass.

    A pass whose process died is started again by Ray, elsewhere if its node is gone. For its trials that was an
    attempt: in the next they join it again, or another pass if it does not come back, and go on from their checkpoints.
    """

    def setup(self, config: dict[str, Any], passes: list[ActorHandle[Any]] | None = None) -> None:
        if not passes:
            raise ValueError("PassTrial is started with the passes of its run")
        self._passes = passes
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Stand for another trial; called by Ray Tune to reuse the process."""
        self._number, self._params = int(new_config["number"]), new_config["params"]
        self._told, self._home = int(new_config["settled"]), int(new_config["home"])
        return True

    def step(self) -> dict[str, Any]:
        """One epoch.

        Raises:
            RetryError: The pass is not there; Ray Tune makes another attempt.
        """
        home = self._passes[self._home % len(self._passes)]
        try:
            answer: dict[str, Any] = dict(ray.get(home.step.remote(self._number, self._params, self._told)))
        except RayActorError as error:
            if not _comes_back(home):
                self._home += 1
            raise RetryError("the process of its pass died") from error
        record = answer["record"]
        if record is not None:
            self._told = record["epoch"]
            answer |= {name: record[name] for name in ("epoch", "val_r2")}
        return answer

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: checkpoints are written into the run's folder by the pass."""

    def load_checkpoint(self, checkpoint: object) -> None:
        """Nothing: a trial's checkpoint is looked for when it joins its pass."""


def _comes_back(home: ActorHandle[Any]) -> bool:
    """Wait for a pass whose process died to be there again; False if it is not before long."""
    deadline = time.monotonic() + RESTART_SECONDS
    while time.monotonic() < deadline:
        try:
            ray.get(home.__ray_ready__.remote())
        except ActorUnavailableError:
            time.sleep(0.5)
        except RayActorError:
            return False
        else:
            return True
    return False

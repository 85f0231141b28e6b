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

    A pass whose process died is started again by Ray, elsewhere if its node is gone; its trials then join it again and
    go on from their checkpoints. Where it does not come back, Ray Tune's next attempt asks another pass.
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
        answer: dict[str, Any] = self._ask()
        record = answer["record"]
        if record is not None:
            self._told = record["epoch"]
            answer |= {name: record[name] for name in ("epoch", "val_r2")}
        return answer

    def _ask(self) -> dict[str, Any]:
        deadline = time.monotonic() + RESTART_SECONDS
        while True:
            home = self._passes[self._home % len(self._passes)]
            try:
                return dict(ray.get(home.step.remote(self._number, self._params, self._told)))
            except ActorUnavailableError as error:
                if time.monotonic() > deadline:
                    raise self._lost(error) from error
                time.sleep(0.5)
            except RayActorError as error:
                raise self._lost(error) from error

    def _lost(self, error: RayActorError) -> RetryError:
        self._home += 1
        return RetryError(f"the process of its pass died ({str(error).splitlines()[0]})")

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: checkpoints are written into the run's folder by the pass."""

    def load_checkpoint(self, checkpoint: object) -> None:
        """Nothing: a trial's checkpoint is looked for when it joins its pass."""

"""A Ray Tune trial that trains in a shared pass: it asks the pass for its epochs, one by one, and hands them on.

Such a trial is a process of its own, as every trial of Ray Tune; it loads neither torch nor data.
"""

import math
import time
from collections.abc import Mapping
from typing import Any

import ray
from ray import tune
from ray.actor import ActorHandle
from ray.exceptions import ActorDiedError, ActorUnavailableError, GetTimeoutError

from spectral_search.task.metric import VAL

_RESTART_SECONDS = 30.0
"""How long a pass whose process died may take to be there again; if its node is gone it may find no other place."""
_START_SECONDS = 600.0
"""How long a trial waits for any pass at all, on this machine, where nobody else uses what it takes."""
LOST = "the process of its pass died"


class RetryError(Exception):
    """A trial failed with an error that may have passed when it is started again; the message is that error."""


def measured(record: Mapping[str, Any]) -> dict[str, Any]:
    """What readers of Tune's results look for beside the record itself: the epoch, and what was measured on val."""
    return {name: value for name, value in record.items() if name == "epoch" or name.startswith(VAL)}


class LostPassError(Exception):
    """The process of a pass died."""


class PassTrial(tune.Trainable):
    """A member of a shared pass.

    A pass whose process died is started again by Ray, elsewhere if its node is gone. For the trials that it trained
    just then that was an attempt: in the next they join it again, or another pass if it does not come back, and go on
    from their checkpoints. So do the others, whom it costs no attempt.
    On a cluster a pass may find no place for hours, as long as others use its nodes or none lives that has enough for
    it: Ray starts it when there is one, and the trial waits.
    """

    def setup(
        self,
        config: dict[str, Any],
        passes: list[ActorHandle[Any]] | None = None,
        stored: list[Any] | None = None,
        on_cluster: bool = False,
    ) -> None:
        if not passes or not stored:
            raise ValueError("PassTrial is started with the passes of its run and what they train on")
        self._passes, self._stored = passes, stored
        self._start_seconds = math.inf if on_cluster else _START_SECONDS
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Stand for another trial; called by Ray Tune to reuse the process."""
        self._number, self._params = int(new_config["number"]), new_config["params"]
        self._title = str(new_config["title"])
        self._told, self._place = int(new_config["settled"]), int(new_config["home"])
        self._home: ActorHandle[Any] | None = None
        return True

    def __repr__(self) -> str:
        """What Ray calls the process from its start on: its first trial."""
        return self._title

    def step(self) -> dict[str, Any]:
        """One epoch.

        Raises:
            RetryError: The pass is not there; Ray Tune makes another attempt.
        """
        answer = self._answer()
        record = answer["record"]
        if record is not None:
            self._told = record["epoch"]
            answer |= measured(record)
        return answer

    def _answer(self) -> dict[str, Any]:
        while True:
            home = self._home = self._home or self._seek()
            try:
                return {**self._ask(home), "place": self._passes.index(home)}
            except LostPassError as error:
                self._home = None
                # Each death is somebody's: trials that are not excused fail, so that this comes to an end.
                if not self._is_excused(home):
                    raise RetryError(LOST) from error

    def _is_excused(self, home: ActorHandle[Any]) -> bool:
        """Whether the pass is there again, and died of another trial."""
        try:
            if not answers(home, _RESTART_SECONDS):
                return False
            asked: ray.ObjectRef[bool] = home.excuses.remote(self._stored, self._number)
            return bool(ray.get(asked, timeout=_RESTART_SECONDS))
        except (ActorDiedError, ActorUnavailableError, GetTimeoutError):
            return False

    def _seek(self) -> ActorHandle[Any]:
        """The trial's own pass, or another one if that is not there before long."""
        dead: set[int] = set()
        deadline = time.monotonic() + self._start_seconds
        own_first = self._passes[self._place :] + self._passes[: self._place]
        while time.monotonic() < deadline and len(dead) < len(own_first):
            for place, home in enumerate(own_first):
                try:
                    if answers(home, _RESTART_SECONDS):
                        return home
                except ActorDiedError:
                    dead.add(place)
        raise RetryError(LOST)

    def _ask(self, home: ActorHandle[Any]) -> dict[str, Any]:
        named: Any = home.step.options(name=f"{self._title}, epoch {self._told + 1}")
        asked: ray.ObjectRef[dict[str, Any]] = named.remote(self._stored, self._number, self._params, self._told)
        try:
            # An epoch may take hours; a pass that waits to be started again answers nothing at all meanwhile.
            while not ray.wait([asked], timeout=_RESTART_SECONDS)[0]:
                if not answers(home, _RESTART_SECONDS):
                    ray.cancel(asked)
                    raise LostPassError(LOST)
            return dict(ray.get(asked))
        except (ActorDiedError, ActorUnavailableError) as error:
            raise LostPassError(LOST) from error

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: checkpoints are written into the run's folder by the pass."""

    def load_checkpoint(self, checkpoint: object) -> None:
        """Nothing: a trial's checkpoint is looked for when it joins its pass."""


def answers(home: ActorHandle[Any], seconds: float) -> bool:
    """Whether a pass is there, or is there again within so many seconds.

    Raises:
        ActorDiedError: It never will be.
    """
    deadline = time.monotonic() + seconds
    while True:
        ping: ray.ObjectRef[Any] = home.__ray_ready__.remote()
        try:
            ray.get(ping, timeout=max(0.0, deadline - time.monotonic()))
        except ActorUnavailableError:
            if time.monotonic() > deadline:
                return False
            # A call to a process that is starting again fails at once: without a pause this would spin.
            time.sleep(0.5)
        except GetTimeoutError:
            # A pass answers while it trains too, so that silence is no sign of work.
            return False
        else:
            return True

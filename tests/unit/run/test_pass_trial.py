"""How long a trial waits for its pass."""

from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError

from spectral_search.run import pass_trial
from spectral_search.run.pass_trial import PassTrial, RetryError

LONG = 2 * pass_trial._START_SECONDS


class Clock:
    """Every question that no pass answers takes as long as one may."""

    def __init__(self, up_at: float, died: bool) -> None:
        self.now, self.up_at, self.died = 0.0, up_at, died

    def answers(self, home: object, seconds: float) -> bool:
        if self.died:
            raise ActorDiedError
        self.now += 0.0 if self.now >= self.up_at else seconds
        return self.now >= self.up_at


@pytest.mark.parametrize(
    ("on_cluster", "up_at", "died", "found"),
    [
        (True, LONG, False, True),  # others use the nodes
        (False, LONG, False, False),
        (False, 60.0, False, True),
        (True, 0.0, True, False),  # no pass will ever be there
    ],
)
def test_on_a_cluster_a_trial_waits_as_long_as_its_pass_may_still_find_a_place(
    monkeypatch: pytest.MonkeyPatch, on_cluster: bool, up_at: float, died: bool, found: bool
) -> None:
    clock, asked = Clock(up_at, died), []
    monkeypatch.setattr(pass_trial, "answers", clock.answers)
    monkeypatch.setattr(pass_trial, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def ask(home: object) -> dict[str, Any]:
        asked.append(home)
        return {"record": None}

    trial = object.__new__(PassTrial)
    passes: list[Any] = ["the first", "the second"]
    config = {"number": 0, "params": {}, "title": "trial 0", "settled": 0, "home": 1}
    trial.setup(config, passes=passes, stored=["what is trained on"], on_cluster=on_cluster)
    monkeypatch.setattr(trial, "_ask", ask)
    if found:
        trial.step()
        assert len(asked) == 1
    else:
        with pytest.raises(RetryError):
            trial.step()

"""Starting Ray where it does not start."""

from typing import Any

import pytest
import ray

from spectral_search.errors import RunError
from spectral_search.search.device import plan_slots
from spectral_search.search.ray_session import STARTS, ray_session
from spectral_search.spec.search import ResourcesSpec


def test_ray_that_does_not_start_is_tried_again_and_then_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def init(**options: Any) -> None:
        tried.append(options)
        raise Exception("The current node timed out during startup.\nAnd so on.")

    monkeypatch.setattr(ray, "init", init)
    resources = ResourcesSpec(gpus=[])
    with (
        pytest.raises(RunError, match=r"Ray does not start on this machine \(The current node timed out"),
        ray_session(resources, plan_slots(resources), data_bytes=0, dashboard=False),
    ):
        pass
    assert len(tried) == STARTS

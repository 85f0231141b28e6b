"""What a Gaussian process is told: every trial as complete, and nothing that would flatten everything else."""

import math
from dataclasses import replace
from typing import Any

import pytest
from made_histories import HIGHER, LOWER, spec_of
from optuna.trial import TrialState

from spectral_search.strategy.gp_proposer import GpProposer
from spectral_search.strategy.history import Trial

SPACE = {"fit.lr": {"log_uniform": [1e-4, 1e-1]}}


@pytest.mark.parametrize(
    ("trial", "state", "gain"),
    [
        ({"values": (-0.2, -0.1), "state": "stopped"}, TrialState.COMPLETE, -0.1),
        ({"values": (-1e6,), "state": "complete"}, TrialState.COMPLETE, -1.0),
        ({"values": (math.nan,), "state": "stopped"}, TrialState.COMPLETE, -1.0),
        ({"values": (0.9,), "state": "failed"}, TrialState.COMPLETE, -1.0),
        ({"values": (0.9,)}, TrialState.RUNNING, None),
        ({"state": "stopped"}, TrialState.PRUNED, None),
    ],
)
def test_what_is_told_in_either_direction(trial: dict[str, Any], state: TrialState, gain: float | None) -> None:
    up = Trial(0, {"fit.lr": 1e-3}, 9, **trial)
    down = replace(up, values=tuple(-value for value in up.values))
    for metric, known in ((HIGHER, up), (LOWER, down)):
        told = GpProposer(spec_of(SPACE, "gp"), metric).tell(known)
        assert (told.state, told.value) == (state, gain)


def test_without_a_worst_value_what_has_none_is_left_out() -> None:
    told = GpProposer(spec_of(SPACE, "gp"), replace(LOWER, worst=-math.inf)).tell(
        Trial(0, {"fit.lr": 1e-3}, 9, (math.nan,), "stopped")
    )
    assert told.state == TrialState.FAIL

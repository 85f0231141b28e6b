"""What TPE is told: how far a trial came and its values as gains; what failed or collapsed comes last."""

import pytest
from made_histories import LOWER, spec_of
from optuna.trial import TrialState

from spectral_search.strategy.history import State, Trial
from spectral_search.strategy.tpe_proposer import TpeProposer

SPACE = {"fit.lr": {"log_uniform": [1e-4, 1e-1]}}


@pytest.mark.parametrize(
    ("state", "collapsed", "told", "value", "gains"),
    [
        ("complete", False, TrialState.COMPLETE, -0.4, {1: -0.5, 2: -0.4}),
        ("stopped", False, TrialState.PRUNED, None, {1: -0.5, 2: -0.4}),
        ("running", False, TrialState.RUNNING, None, {1: -0.5, 2: -0.4}),
        ("failed", False, TrialState.PRUNED, None, {}),
        ("complete", True, TrialState.PRUNED, None, {}),
    ],
)
def test_what_is_told(
    state: State, collapsed: bool, told: TrialState, value: float | None, gains: dict[int, float]
) -> None:
    trial = Trial(0, {"fit.lr": 1e-3}, 9, (0.5, 0.4), state, collapsed=collapsed)
    found = TpeProposer(spec_of(SPACE, "tpe"), LOWER).tell(trial)
    assert (found.state, found.value, found.intermediate_values) == (told, value, gains)

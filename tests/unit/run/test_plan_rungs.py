"""What a plan says of rungs: where decisions come late, and who goes on."""

from typing import Any

import pytest

from spectral_search.run.plan import late_decision
from spectral_search.spec.run import RunSpec


def spec_of(epochs: int, **search: Any) -> RunSpec:
    return RunSpec.from_dict({"stage": "s", "model": {"kind": "mlp"}, "fit": {"epochs": epochs}, "search": search})


@pytest.mark.parametrize(
    ("search", "trials", "warned"),
    [
        ({"min_epochs": 15}, 12, True),
        ({"min_epochs": 25}, 12, True),  # no decision at all
        ({"min_epochs": 10}, 12, False),  # half of them
        ({"min_epochs": 15, "pruner": "asha"}, 12, True),
        ({"min_epochs": 15, "pruner": "none"}, 12, False),
        ({"min_epochs": 15}, 3, False),  # all three are finalists
        ({"min_epochs": 15, "pruner": "asha"}, 1, False),
        ({}, 12, False),
    ],
)
def test_a_late_first_decision_is_warned_of(search: dict[str, Any], trials: int, warned: bool) -> None:
    found = late_decision(spec_of(20, **search), trials)
    assert (found is not None) == warned
    if found is not None:
        assert f"{12 * min(search['min_epochs'], 20)} of the 240 epochs" in found and "search.min_epochs=2" in found

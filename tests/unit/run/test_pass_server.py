"""What the process of a shared pass shows of its trials."""

from types import SimpleNamespace
from typing import Any

from spectral_search.run.pass_server import PassServer
from spectral_search.run.trial_session import Step


def test_gauges_tell_with_how_many_each_trial_really_trained() -> None:
    """Two trials of one batch size train together, one of another alone, and one tells an epoch of its checkpoint."""
    steps = {n: Step({"epoch": 1}, done=False, members=members) for n, members in enumerate((2, 2, 1, 0))}
    shown: dict[int, int] = {}

    def show(number: int, record: dict[str, Any], best: float, members: int) -> None:
        shown[number] = members

    server = PassServer()
    server._shared = SimpleNamespace(advance=lambda: steps, best_value=lambda number, name: 0.5)  # type: ignore[assignment]
    server._gauges = SimpleNamespace(show=show, objective=SimpleNamespace(val_name="val_r2"))  # type: ignore[assignment]
    assert server._advance([]) == steps
    assert shown == {0: 2, 1: 2, 2: 1, 3: 0}

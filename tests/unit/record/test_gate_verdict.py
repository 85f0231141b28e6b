"""What a stage's gate says of a winner: onward, back, or on with the search, in the direction of the metric."""

from types import SimpleNamespace
from typing import Any

import pytest

from spectral_search.errors import RequestError
from spectral_search.record.gate_verdict import gate_metric, gate_verdict
from spectral_search.record.run_records import RunRecord
from spectral_search.spec.gate import GateSpec
from spectral_search.spec.run import RunSpec
from spectral_search.task.registry import task_of

GATE = {"metric": "val_mae", "go_on": 4.0, "start_over": 4.5, "next": "second", "back": "first"}


def record(gate: dict[str, Any] | None, value: float, task: str = "traffic", state: str = "finished") -> RunRecord:
    """A run with a winner of that value."""
    found = task_of(task)
    best = SimpleNamespace(best_value=value, best_metrics={"val_mae_60": value, found.objective.val_name: value})
    names = {"spec": {"gate": gate}, "best": best, "state": state, "task": found, "objective": found.objective}
    return SimpleNamespace(**names, paths=SimpleNamespace(name="run-1"), trials=[None] * 8)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("value", "answer", "said"),
    [
        (3.9, "go_on", "gate: val MAE 3.900 is below 4: go on with `spectral-search run second`"),
        (4.6, "start_over", "gate: val MAE 4.600 is above 4.5: start over with `spectral-search run first`, its data"),
        (
            4.2,
            "search_more",
            "is not below 4, nor above 4.5: search on before second, `spectral-search resume run-1 --tr",
        ),
        (4.0, "search_more", "is not below 4"),
        (4.5, "search_more", "nor above 4.5"),
    ],
)
def test_a_low_error_goes_on(value: float, answer: str, said: str) -> None:
    verdict = gate_verdict(record(GATE, value))
    assert verdict is not None
    assert (verdict.answer, verdict.value) == (answer, value)
    assert said in verdict.text


@pytest.mark.parametrize(("value", "answer"), [(0.7, "go_on"), (0.3, "start_over"), (0.5, "search_more")])
def test_direction_is_that_of_the_metric(value: float, answer: str) -> None:
    verdict = gate_verdict(record({"go_on": 0.6, "start_over": 0.4}, value, task="spectra"))
    assert verdict is not None and verdict.answer == answer
    assert ("above 0.6" in verdict.text) is (answer != "start_over")


def test_another_metric_than_the_one_searched_by() -> None:
    verdict = gate_verdict(record({**GATE, "metric": "mae_60"}, 3.0))
    assert verdict is not None and verdict.metric == "val_mae_60" and "MAE at 60 min 3.000" in verdict.text


@pytest.mark.parametrize(("gate", "state"), [(None, "finished"), (GATE, "running"), (GATE, "interrupted")])
def test_nothing_is_said_without_a_gate_or_before_the_end(gate: dict[str, Any] | None, state: str) -> None:
    assert gate_verdict(record(gate, 3.0, state=state)) is None


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ({"metric": "val_r2", "go_on": 1.0}, "gate.metric must be one of val_mae, val_rmse, .* found val_r2"),
        ({"go_on": 4.0, "start_over": 3.0}, r"gate.start_over \(3\) is a better MAE than gate.go_on \(4\)"),
    ],
)
def test_a_gate_that_the_task_cannot_have_is_refused(gate: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        gate_metric(GateSpec.model_validate(gate), task_of("traffic"))


def test_a_gate_is_a_section_of_a_spec() -> None:
    raw = {"stage": "some", "task": "traffic", "model": {"kind": "shared_mlp"}, "gate": GATE}
    spec = RunSpec.from_dict(raw)
    assert RunSpec.from_dict(spec.to_dict()) == spec and spec.fixed({}).gate is None
    with pytest.raises(RequestError, match=r"gate.go_onn does not exist; did you mean gate.go_on\?"):
        RunSpec.from_dict({**raw, "gate": {"go_on": 1.0, "go_onn": 4.0}})
    with pytest.raises(RequestError, match=r"gate.go_on is missing"):
        RunSpec.from_dict({**raw, "gate": {"next": "second"}})
    assert "gate" not in RunSpec.from_dict({"stage": "some", "model": {"kind": "mlp"}}).to_dict()

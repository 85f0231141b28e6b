"""Whether a stage has come far enough for the next one, by the gate of its spec."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from spectral_search.errors import RequestError
from spectral_search.spec.gate import GateSpec
from spectral_search.task.metric import VAL, Metric
from spectral_search.task.task import Task

if TYPE_CHECKING:
    from spectral_search.record.run_records import RunRecord


@dataclass(frozen=True)
class GateVerdict:
    """What a gate says.

    Attributes:
        answer: go_on, start_over, or search_more between both.
        metric: Its key on val.
        value: Of the winner.
        text: The verdict in a sentence, with what to do.
    """

    answer: Literal["go_on", "start_over", "search_more"]
    metric: str
    value: float
    text: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return dict(vars(self))


def gate_metric(gate: GateSpec, task: Task) -> Metric:
    """The metric that a gate goes by.

    Raises:
        RequestError: The task has none of that name, or the bounds contradict its direction.
    """
    name = task.objective.name if gate.metric is None else gate.metric.removeprefix(VAL)
    found = next((metric for metric in task.metrics if metric.name == name), None)
    if found is None:
        known = ", ".join(metric.val_name for metric in task.metrics)
        raise RequestError(f"gate.metric must be one of {known}, found {gate.metric}.")
    if gate.start_over is not None and found.better(gate.start_over, gate.go_on):
        raise RequestError(
            f"gate.start_over ({gate.start_over:g}) is a better {found.label} than gate.go_on ({gate.go_on:g}): make "
            "it as bad, or worse."
        )
    return found


def gate_verdict(record: "RunRecord") -> GateVerdict | None:
    """What the gate of a finished run says; None where it has no gate, or no winner yet."""
    raw, best = record.spec.get("gate"), record.best
    if not raw or best is None or record.state != "finished":
        return None
    gate = GateSpec.model_validate(raw)
    metric = gate_metric(gate, record.task)
    # The objective is known without the trial's log; all other metrics are in that alone.
    value = best.best_value if metric == record.objective else best.best_metrics.get(metric.val_name)
    if value is None:
        return None
    good, bad = ("above", "below") if metric.higher_is_better else ("below", "above")
    told = f"gate: val {metric.label} {metric.told(value)}"
    if metric.better(value, gate.go_on):
        onward = f": go on with `spectral-search run {gate.next}`" if gate.next else ": this stage is done"
        return GateVerdict("go_on", metric.val_name, value, f"{told} is {good} {gate.go_on:g}{onward}")
    if gate.start_over is not None and metric.better(gate.start_over, value):
        back = f"`spectral-search run {gate.back}`" if gate.back else "this stage"
        text = f"{told} is {bad} {gate.start_over:g}: start over with {back}, its data, input or networks changed"
        return GateVerdict("start_over", metric.val_name, value, text)
    bounds = f"not {good} {gate.go_on:g}"
    if gate.start_over is not None:
        bounds += f", nor {bad} {gate.start_over:g}"
    more = f"`spectral-search resume {record.paths.name} --trials {2 * max(1, len(record.trials))}`"
    before = f" before {gate.next}" if gate.next else ""
    return GateVerdict("search_more", metric.val_name, value, f"{told} is {bounds}: search on{before}, {more}")

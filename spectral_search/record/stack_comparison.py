"""A stack beside its models, their mean and, of classes, the majority of their votes, on the same examples.

Shape suffixes: M methods, D draws, N examples.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from spectral_search.record.methods import BOOTSTRAP_SEED
from spectral_search.record.resampling import estimates, sampled_values
from spectral_search.record.stack_bundle import Stack
from spectral_search.record.wording import aligned
from spectral_search.task.preparation import Examined
from spectral_search.task.task import Task

STACK, _MEAN, _VOTE = "stack", "mean", "majority vote"


def compared(task: Task, stack: Stack, examined: list[Examined]) -> dict[str, Any]:
    """Every metric of every method, and what the stack has more than each other one, with paired 95% intervals.

    Args:
        task: Whose metrics.
        stack: The stack.
        examined: What its models predict for the same examples.

    Returns:
        part, the number of examples, `values` (method -> metric -> value) and `differences` (method -> metric ->
        value, low, high: the stack's less that of the method).
    """
    first, kind = examined[0], stack.trees.kind
    predicted_KDN = np.stack([one.predicted_DN for one in examined])
    methods = {STACK: stack.predictions(examined), **dict(zip(stack.names, predicted_KDN, strict=True))}
    methods[_MEAN] = kind.outward(kind.inward(predicted_KDN.astype(np.float64)).mean(0))
    if kind.classes:
        methods[_VOTE] = kind.vote(predicted_KDN)
    differences: dict[str, dict[str, Any]] = {name: {} for name in methods if name != STACK}
    for metric in task.metrics:
        error_NM = np.column_stack([metric.measure.errors(made, first.target_N) for made in methods.values()])
        value_M, sample_RM = sampled_values(metric.measure, error_NM, first.target_N, seed=BOOTSTRAP_SEED)
        found = estimates(value_M[:1] - value_M[1:], sample_RM[:, :1] - sample_RM[:, 1:])
        for name, estimate in zip(differences, found, strict=True):
            differences[name][metric.name] = estimate.to_dict()
    values = {name: task.scores(made, first.target_N) for name, made in methods.items()}
    return {"part": first.part, task.examples: len(first.target_N), "values": values, "differences": differences}


def comparison_lines(task: Task, comparison: Mapping[str, Any]) -> list[str]:
    """A comparison for people: the values, then the differences with their intervals."""
    header = ["", *(metric.headed for metric in task.metrics)]
    values = [
        [name, *(metric.number(scores[metric.name]) for metric in task.metrics)]
        for name, scores in comparison["values"].items()
    ]

    def told(found: Mapping[str, float]) -> list[str]:
        return [f"{found['value']:+.4f}", f"({found['low']:+.4f} to {found['high']:+.4f})"]

    apart = [
        [f"stack - {name}", metric.headed, *told(found[metric.name])]
        for name, found in comparison["differences"].items()
        for metric in task.metrics
    ]
    title = f"{comparison['part']}, {comparison[task.examples]:,} {task.examples}"
    return [title, *aligned([header, *values], frozenset([0])), "", *aligned(apart, frozenset([0, 1]))]

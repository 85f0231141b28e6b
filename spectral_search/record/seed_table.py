"""What one config reached with each of several seeds: the numbers of each, their mean and how far they spread."""

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spectral_search.record.wording import aligned
from spectral_search.task.metric import Metric
from spectral_search.task.task import Task

if TYPE_CHECKING:
    from spectral_search.record.run_records import RunRecord

_NO_METRICS = ("seed", "trial", "epoch", "model", "failure")


def seed_entry(
    seed: int, trial: int, task: Task, val: Mapping[str, Any], test: Mapping[str, Any] | None, model: str
) -> dict[str, Any]:
    """What the record says of one seed.

    Args:
        seed: It.
        trial: That trained with it.
        task: Whose metrics are kept.
        val: Metrics of its best epoch, by their names on val.
        test: Metrics on test data, by name; None where there are none.
        model: The exported model, within the run's folder.
    """
    measured = {metric.val_name: val.get(metric.val_name) for metric in task.metrics}
    if test is not None:
        measured |= {_on_test(metric): test[metric.name] for metric in task.metrics}
    return {"seed": seed, "trial": trial, "epoch": val["epoch"], **measured, "model": model}


def _on_test(metric: Metric) -> str:
    return f"test_{metric.name}"


def seeds_document(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """As JSON: each seed, and of each metric the mean and the standard deviation (null of one seed)."""
    return {"models": list(seeds), "mean": _over(seeds, statistics.mean), "std": _over(seeds, _spread)}


def _over(seeds: Sequence[Mapping[str, Any]], number_of: Any) -> dict[str, float | None]:
    trained = [entry for entry in seeds if "failure" not in entry]
    keys = [key for key in (trained[0] if trained else {}) if key not in _NO_METRICS]
    values = {key: [entry[key] for entry in trained if entry.get(key) is not None] for key in keys}
    return {key: number_of(found) if found else None for key, found in values.items()}


def _spread(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def seed_lines(record: "RunRecord") -> list[str]:
    """A table for people: a line a seed, mean and standard deviation below; nothing of other runs."""
    seeds, metrics = record.manifest.seeds, record.task.metrics[:2]  # --json has them all
    if not seeds:
        return []
    trained = [entry for entry in seeds if "failure" not in entry]
    columns = [(f"val {metric.headed}", metric.val_name, metric) for metric in metrics]
    columns += [(f"test {metric.headed}", _on_test(metric), metric) for metric in metrics]
    columns = [column for column in columns if any(column[1] in entry for entry in trained)]
    rows = [["seed", *(head for head, _, _ in columns)]]
    document = seeds_document(seeds)
    whole = [("mean", document["mean"]), *([("std", document["std"])] if len(trained) > 1 else [])]
    for name, entry in [*((str(entry["seed"]), entry) for entry in trained), *whole]:
        rows.append([name, *(metric.number(entry.get(key)) for _, key, metric in columns)])
    lines = [*aligned(rows), f"models: {trained[0]['model']}{' and on' * (len(trained) > 1)}"] if trained else []
    return lines + [f"seed {entry['seed']} failed: {entry['failure']}" for entry in seeds if "failure" in entry]

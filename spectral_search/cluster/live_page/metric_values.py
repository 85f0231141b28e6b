"""How values of a metric are handed to the page."""

from typing import Any

from spectral_search.record.run_records import RunRecord
from spectral_search.task.metric import Metric


def metric_document(metric: Metric) -> dict[str, Any]:
    """How a metric's values are named, shown and ordered."""
    return {
        "key": metric.val_name,
        "label": metric.shown,
        "unit": metric.unit,
        "higher": metric.higher_is_better,
        "digits": metric.digits,
    }


def retest_document(record: RunRecord) -> dict[str, Any] | None:
    """What the winner scored in the re-test, with its 95% interval; None before that."""
    found = record.retest
    if found is None:
        return None
    return {"value": found.get(record.objective.name), "low": found.get("low"), "high": found.get("high")}

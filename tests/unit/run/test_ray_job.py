"""Processes of a search on Ray read as the plan said."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_dataset import small_dataset
from small_shards import make_shard

from spectral_search.record.paths import RunPaths
from spectral_search.run.ray_job import PROCESS_TAGS, TRIAL_TAGS, Job, process_metrics, trial_metrics
from spectral_search.spec.load import load_spec
from spectral_search.spec.search import Reader
from spectral_search.spec.task_modules import task_names
from spectral_search.task.registry import task_of
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.training.dataset import Stream


@pytest.mark.parametrize(
    ("reader", "compression", "expected"),
    [
        ("auto", None, "thread"),
        ("auto", "gzip", "ray"),
        ("ray", None, "ray"),
        ("thread", "gzip", "thread"),
    ],
)
def test_a_streamed_set_is_read_by_what_the_plan_names(
    tmp_path: Path, reader: Reader, compression: str | None, expected: str
) -> None:
    make_shard(tmp_path / "train/dataset.h5", 16, compression=compression)
    selection = Selection.all_of(DataRoot.find(tmp_path).train)
    spec = load_spec("step1").override({"resources.reader": reader})
    resident = small_dataset(16, 16)
    streamed = replace(resident, train=Stream(selection, np.zeros(16, np.float32), np.zeros(16, np.int64)))
    paths = RunPaths(tmp_path, "run")
    assert Job(spec, paths, streamed, threads=1, share=1.0).reader() == expected
    assert Job(spec, paths, resident, threads=1, share=1.0).reader() == "thread"


GRAFANA = Path(__file__).parents[3] / "docs" / "grafana.json"
ADDED_BY_RAY = {"WorkerId"}
"""Labels that Ray puts on every metric of a process."""


def queries(part: Any) -> Iterator[tuple[str, str]]:
    """Every expression and legend of a Grafana dashboard, in whatever it is nested."""
    if isinstance(part, dict):
        if "expr" in part:
            yield part["expr"], part.get("legendFormat", "")
        if part.get("type") == "query":
            yield part["definition"], ""
            yield part["query"]["query"], ""
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from queries(item)


def test_the_grafana_dashboard_asks_for_metrics_and_labels_that_exist() -> None:
    tags: dict[str, set[str]] = {}
    for name in task_names():
        tags |= {f"ray_{metric}": set(TRIAL_TAGS) for metric in trial_metrics(task_of(name).objective)}
    tags |= {f"ray_{metric}": set(PROCESS_TAGS) for metric in process_metrics()}
    asked = list(queries(json.loads(GRAFANA.read_text())))
    assert len(asked) >= 8
    seen: set[str] = set()
    for expression, legend in asked:
        patterns = re.findall(r'__name__=~"([^"]+)"', expression) or re.findall(r"ray_\w+", expression)
        found = {metric for metric in tags for pattern in patterns if re.fullmatch(pattern, metric)}
        assert patterns and all(any(re.fullmatch(p, metric) for metric in tags) for p in patterns), expression
        labels = set(re.findall(r"{{(\w+)}}", legend)) | set(re.findall(r"[{,]\s*(\w+)=~?\"", expression)) - {
            "__name__"
        }
        for group in re.findall(r"by \(([^)]*)\)", expression):
            labels |= {label.strip() for label in group.split(",")}
        assert all(labels <= tags[metric] | ADDED_BY_RAY for metric in found), (expression, labels)
        seen |= found
    assert seen == set(tags), "each metric has a panel"

"""Baselines of traffic in the results root, found again by the readings that they were fitted and measured on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spectral_search.places import writing
from spectral_search.record.durable import digest_of, read_json, write_json
from spectral_search.record.kept_predictions import read_baseline
from spectral_search.record.manifest import utc_now
from spectral_search.record.methods import Method
from spectral_search.record.paths import BaselinePaths, BaselineSettingPaths
from spectral_search.record.resampling import interval
from spectral_search.record.tables import column, column_of, write_table
from spectral_search.task.verbs import Audience
from spectral_search.tasks.traffic.definition import TASK
from spectral_search.tasks.traffic.readings import Split
from spectral_search.tasks.traffic.traffic_baselines import METHODS, measured

_FORMAT = 1
"""Raised when the same readings would give other numbers: what an older version stored is then fitted anew."""
CALLED = {"last_value": "last value", "time_of_day": "time of day", "ridge": "Ridge"}
"""Method -> what people call it."""


def test_windows_name(data: Mapping[str, Any]) -> str:
    """A name that two methods share if they are tested on the same windows, by what a manifest records of its data."""
    return digest_of(f"{data.get('sha256', {}).get('test')} {data.get('test_windows')}")[:12]


def fit_baselines(parts: Split, data: Mapping[str, Any], root: Path, audience: Audience, again: bool) -> dict[str, Any]:
    """The document of all baselines of some readings: what is kept, and the rest fitted now.

    Args:
        parts: The readings, split.
        data: What a manifest records of them.
        root: The results root.
        audience: Who is told how it goes on.
        again: Whether what is kept is fitted anew.
    """
    test, paths = parts.windows["test"], _setting(root, data).create()
    document = {"format": _FORMAT, "task": TASK.name, "sha256": data["sha256"], "methods": {}, "updated_at": utc_now()}
    known: dict[str, Any] = {} if again else dict(_document(paths).get("methods", {}))
    document["methods"], document["train_windows"] = known, len(parts.windows["train"])
    told = audience.progress("fitting baselines")
    for place, name in enumerate(METHODS):
        if name not in known:
            (made,) = measured(parts, (name,))
            low, high = interval(TASK.objective.measure, made.predicted_NO[None], test.target_NO, seed=0)
            known[name] = {**made.scores, "low": low, "high": high, "seconds": made.seconds, **made.facts}
            table = pd.DataFrame({TASK.target: column_of(test.target_NO), TASK.predicted: column_of(made.predicted_NO)})
            with writing(paths.predictions(name)):
                write_table(table, paths.predictions(name))
            with writing(paths.baselines_json):
                write_json(paths.baselines_json, document)
        told(place + 1, len(METHODS))
    return document


def kept_methods(root: Path, data: Mapping[str, Any]) -> list[Method]:
    """What is kept in a results root on the readings of a manifest, as methods of a report."""
    paths = _setting(root, data)
    document, found = _document(paths), []
    for name, entry in document.get("methods", {}).items():
        table = read_baseline(paths, name)
        found.append(
            Method(
                name=f"{CALLED[name]} ({document['train_windows']:,})",
                family=CALLED[name],
                objective=TASK.objective,
                input="readings",
                train_size=int(document["train_windows"]),
                test_set=test_windows_name(data),
                scores={metric.name: float(entry[metric.name]) for metric in TASK.metrics},
                target_N=column(table, TASK.target).astype(np.float64),
                predicted_N=column(table, TASK.predicted).astype(np.float64),
                train_seconds=float(entry["seconds"]),
                role="baseline",
                called=CALLED[name],
            )
        )
    return found


def _setting(root: Path, data: Mapping[str, Any]) -> BaselineSettingPaths:
    train = digest_of(f"{data.get('sha256', {}).get('train')} {data.get('sha256', {}).get('val')}")[:8]
    return BaselinePaths(root, test_windows_name(data)).setting(f"traffic_{train}")


def _document(paths: BaselineSettingPaths) -> dict[str, Any]:
    document = read_json(paths.baselines_json) if paths.baselines_json.is_file() else {}
    return document if document.get("format") == _FORMAT and document.get("task") == TASK.name else {}

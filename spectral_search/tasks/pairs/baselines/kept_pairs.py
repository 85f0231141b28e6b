"""Baselines of pairs in the results root, found again by the pairs that they were fitted and measured on."""

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
from spectral_search.record.tables import write_table
from spectral_search.task.task import Task
from spectral_search.task.verbs import Audience
from spectral_search.tasks.pairs.baselines.pair_baselines import BASELINES, fitted
from spectral_search.tasks.pairs.images.pair_part import PairPart

_FORMAT = 1
"""Raised when the same pairs would give other numbers: what an older version stored is then fitted anew."""


def test_set_name(hashes: Mapping[str, str]) -> str:
    """A name that two methods share if they are tested on the same pairs, by the hashes of the parts of a manifest."""
    return digest_of(hashes.get("test", hashes.get("val", "")))[:12]


def measured(
    task: Task, parts: Mapping[str, PairPart], root: Path, audience: Audience, *, again: bool = False
) -> dict[str, Any]:
    """The document of all baselines of some data: what is kept, and the rest fitted now.

    Args:
        task: Whose metrics are taken.
        parts: The data; test is measured on where there is one, else val.
        root: The results root.
        audience: Who is told how it goes on.
        again: Whether what is kept is fitted anew.
    """
    chosen = "test" if "test" in parts else "val"
    train, test = parts["train"], parts[chosen]
    hashes = {name: part.sha256() for name, part in parts.items()}
    paths = (
        BaselinePaths(root, test_set_name(hashes)).create().setting(f"pairs_{digest_of(hashes['train'])[:8]}").create()
    )
    known = {} if again else _known(paths)
    document = {
        **{"format": _FORMAT, "task": task.name, "part": chosen, "pairs": {n: len(part) for n, part in parts.items()}},
        **{"sha256": hashes, "methods": known, "updated_at": utc_now()},
    }
    told = audience.progress("fitting baselines")
    for at, name in enumerate(BASELINES):
        if name not in known:
            made = fitted(name, train, test)
            low, high = interval(task.objective.measure, made.logit_N, test.same_N, seed=0)
            scores = task.scores(made.logit_N, test.same_N)
            known[name] = {**scores, "low": low, "high": high, "seconds": made.seconds}
            with writing(paths.predictions(name)):
                write_table(pd.DataFrame({"same": test.same_N, task.predicted: made.logit_N}), paths.predictions(name))
            with writing(paths.baselines_json):
                write_json(paths.baselines_json, document)
        told(at + 1, len(BASELINES))
    return document


def kept_methods(task: Task, root: Path, hashes: Mapping[str, str]) -> list[Method]:
    """What is kept on the test pairs of a manifest, as methods of a report; none where there is no test set."""
    found = []
    for paths in BaselinePaths(root, test_set_name(hashes)).settings():
        document = _document(paths)
        if document.get("part") != "test" or document.get("sha256", {}).get("train") != hashes.get("train"):
            continue
        for name, entry in document["methods"].items():
            table = read_baseline(paths, name)
            found.append(
                Method(
                    name=f"{BASELINES[name][0]} ({document['pairs']['train']:,})",
                    family=BASELINES[name][0],
                    objective=task.objective,
                    input="pixels",
                    train_size=int(document["pairs"]["train"]),
                    test_set=test_set_name(hashes),
                    scores={metric.name: float(entry[metric.name]) for metric in task.metrics},
                    target_N=table["same"].to_numpy(np.float64),
                    predicted_N=table[task.predicted].to_numpy(np.float64),
                    train_seconds=float(entry["seconds"]),
                    role="baseline",
                    called=BASELINES[name][0],
                )
            )
    return found


def _document(paths: BaselineSettingPaths) -> dict[str, Any]:
    document = read_json(paths.baselines_json) if paths.baselines_json.is_file() else {}
    return document if document.get("format") == _FORMAT and document.get("task") == "pairs" else {}


def _known(paths: BaselineSettingPaths) -> dict[str, Any]:
    return dict(_document(paths).get("methods", {}))

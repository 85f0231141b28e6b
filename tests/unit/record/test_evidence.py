"""What reports rest on: where a curve is at its plateau, and runs that do not belong together."""

import json
import shutil

import numpy as np
import pytest

from spectral_search.errors import RequestError
from spectral_search.record.evidence import load_evidence, plateau_epoch
from spectral_search.record.paths import RunPaths
from spectral_search.task.metric import Metric

HIGHER = Metric("score", "score", higher_is_better=True, tolerance=0.005)
LOWER = Metric("error", "error", higher_is_better=False, tolerance=0.5)


def test_the_plateau_begins_within_the_tolerance_of_the_best() -> None:
    assert plateau_epoch([(1, 0.1), (2, 0.46), (3, 0.497), (4, 0.50), (5, 0.48)], HIGHER) == 3
    assert plateau_epoch([(1, 9.0), (2, 3.6), (3, 3.4), (4, 3.0), (5, 4.0)], LOWER) == 3
    assert plateau_epoch([], LOWER) is None


def test_without_a_finished_run_it_is_said(tmp_path) -> None:
    with pytest.raises(RequestError, match="holds no finished run"):
        load_evidence(tmp_path)


def test_a_report_without_names_says_which_runs_of_other_tasks_it_leaves_out(finished_run: RunPaths) -> None:
    runs = {"net": ("pairs", "2026-01-03"), "road": ("traffic", "2026-01-04"), "road-2": ("traffic", "2026-01-05")}
    manifest = json.loads(finished_run.manifest_json.read_text())
    np.savez(finished_run.split_npz, train_rows=np.arange(4))
    for name, (task, day) in runs.items():
        folder = finished_run.root / name
        shutil.copytree(finished_run.folder, folder)
        (folder / "manifest.json").write_text(json.dumps({**manifest, "task": task, "created_at": f"{day}T00:00:00"}))
    finished_run.manifest_json.write_text(json.dumps({**manifest, "created_at": "2026-01-02T00:00:00"}))
    own = finished_run.name
    found = load_evidence(finished_run.root)
    assert [run.name for run in found.named] == [own]
    assert found.notes[0] == (
        f"A report is of one task, here {found.task.name}, that of the oldest run; left out: net of pairs, road of "
        "traffic, road-2 of traffic. For pairs: `spectral-search report net`."
    )
    assert not any("left out" in note for note in load_evidence(finished_run.root, [own]).notes)

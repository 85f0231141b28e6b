"""Which trials tell what mattered, and that it is said where nothing does."""

from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from made_runs import SPEC, MakeRun, write_trials

from spectral_search.record.durable import write_atomic
from spectral_search.record.importance import MIN_TRIALS, importance, judged_trials
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord

COMPLETE = optuna.trial.TrialState.COMPLETE


def searched(root: Path, params: list[dict[str, Any]], values: list[float]) -> RunRecord:
    """A run of complete trials of a single epoch."""
    paths = RunPaths(root, "run").create()
    write_atomic(paths.spec_yaml, yaml.safe_dump(SPEC))
    Manifest(name="run", stage="cnn_stage1a", study_name="the-first-name", state="finished").save(paths.manifest_json)
    write_trials(paths, [(COMPLETE, point, [value]) for point, value in zip(params, values, strict=True)])
    return RunRecord.load(paths)


def test_a_trial_without_a_number_at_the_common_epoch_is_judged_by_none(make_run: MakeRun) -> None:
    paths = make_run()
    lines = paths.trial(2).progress_jsonl.read_text()
    write_atomic(paths.trial(2).progress_jsonl, lines.replace('"val_r2": 0.41', '"val_r2": null'))
    trials, epoch = judged_trials(RunRecord.load(paths))
    assert ([trial.number for trial in trials], epoch) == ([0, 1], 2)


@pytest.mark.parametrize("varied", [True, False])
def test_parameters_matter_where_they_vary(tmp_path: Path, varied: bool) -> None:
    params = [{"fit.lr": 1e-3 * (1 + varied * n), "model.kernel_size": 7} for n in range(MIN_TRIALS)]
    found = importance(searched(tmp_path, params, [0.1 * n for n in range(MIN_TRIALS)]))
    if varied:
        assert found is not None and found.share == {"fit.lr": pytest.approx(1.0)} and found.trials == MIN_TRIALS
    else:
        assert found is None

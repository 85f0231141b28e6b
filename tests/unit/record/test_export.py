"""The best trials come out as specs with weights, whole or not at all."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spectral_search.errors import RequestError
from spectral_search.record.bundle import read_bundle, to_safetensors
from spectral_search.record.durable import read_yaml, write_atomic
from spectral_search.record.export import export_best, export_top, export_unlike
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord
from spectral_search.spec.run import RunSpec

MakeRun = Callable[..., RunPaths]


def add_checkpoints(paths: RunPaths, numbers: tuple[int, ...] = (0, 1, 2, 3)) -> None:
    """Write what the training leaves of each trial, and the run's statistics."""
    for trial in RunRecord.load(paths).trials:
        if trial.number in numbers:
            best = {"epoch": trial.best_epoch, "val_r2": trial.best_value, "val_mae_dex": 0.3}
            weights = {"head.weight": np.full((1, 3), trial.number, dtype=np.float32)}
            metadata = {"record": json.dumps({"best": best})}
            write_atomic(paths.trial(trial.number).best_safetensors, to_safetensors(weights, metadata))
    write_atomic(paths.preprocessing_safetensors, to_safetensors({"mean_L": np.arange(4.0)}, {"note": "x"}))


def test_the_winner_and_the_next_are_exported(finished_run: RunPaths, tmp_path: Path) -> None:
    add_checkpoints(finished_run)
    files = export_top(RunRecord.load(finished_run), tmp_path / "out" / "cnn.yaml", top=2, created_at="2025-03-01")
    assert [file.name for file in files] == ["cnn.yaml", "cnn-2.yaml"]
    first, second = map(read_bundle, files)
    assert first.weights["head.weight"].tolist() == [[1.0, 1.0, 1.0]]
    assert second.weights["head.weight"].tolist() == [[2.0, 2.0, 2.0]]
    assert first.preprocessing["mean_L"].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert first.preprocessing_metadata == {"note": "x"}
    assert first.metrics == {"epoch": 3, "val_r2": 0.61, "val_mae_dex": 0.3}
    provenance = {key: value for key, value in first.provenance.items() if key != "sha256"}
    assert provenance == {
        "run": "cnn_stage1a",
        "trial": 1,
        "epoch": 3,
        "val_r2": 0.61,
        "retest": {"r2": 0.603, "low": 0.588, "high": 0.617},
        "data_fingerprint": {"files": ["train_0"]},
        "versions": {"torch": "2.13.0"},
        "created_at": "2025-03-01",
    }
    assert second.provenance["retest"] == {"r2": 0.54, "low": 0.5, "high": 0.6}


def test_an_exported_config_is_a_spec_with_nothing_left_to_search(finished_run: RunPaths, tmp_path: Path) -> None:
    add_checkpoints(finished_run)
    (file,) = export_top(RunRecord.load(finished_run), tmp_path / "cnn.yaml")
    spec = RunSpec.from_dict(read_yaml(file))
    assert (spec.fit.lr, spec.fit.epochs, spec.data.num_train) == (3e-3, 4, 100)
    assert spec.model.model_dump()["kernel_size"] == 9
    assert (spec.space, spec.grid, spec.inherit) == ({}, {}, None)
    assert spec.provenance is not None and spec.provenance["trial"] == 1


def test_best_goes_into_the_run_and_can_be_written_again(finished_run: RunPaths) -> None:
    add_checkpoints(finished_run)
    for _ in range(2):
        assert export_best(RunRecord.load(finished_run)) == finished_run.best_dir / "config.yaml"
    assert read_bundle(finished_run.best_dir).provenance["trial"] == 1
    assert sorted(path.name for path in finished_run.best_dir.iterdir()) == [
        "config.yaml",
        "metrics.json",
        "model.safetensors",
        "preprocessing.safetensors",
    ]


def test_a_trial_may_bring_its_own_statistics(finished_run: RunPaths, tmp_path: Path) -> None:
    add_checkpoints(finished_run)
    write_atomic(finished_run.trial(1).preprocessing_safetensors, to_safetensors({"mean_L": np.zeros(2)}))
    first, second = map(read_bundle, export_top(RunRecord.load(finished_run), tmp_path / "a.yaml", top=2))
    assert (len(first.preprocessing["mean_L"]), len(second.preprocessing["mean_L"])) == (2, 4)


def test_a_missing_checkpoint_leaves_no_half_of_an_export(finished_run: RunPaths, tmp_path: Path) -> None:
    add_checkpoints(finished_run, numbers=(1,))
    with pytest.raises(RequestError, match=r"0002.*cannot be read"):
        export_top(RunRecord.load(finished_run), tmp_path / "out" / "cnn.yaml", top=2)
    assert not (tmp_path / "out").exists()


def test_failed_trials_are_not_exported(finished_run: RunPaths, tmp_path: Path) -> None:
    add_checkpoints(finished_run)
    record = RunRecord.load(finished_run)
    assert len(export_top(record, tmp_path / "a.yaml", top=3)) == 3
    with pytest.raises(RequestError, match="3 trials with a result, not 4.*at most 3"):
        export_top(record, tmp_path / "b.yaml", top=4)


def test_a_run_without_results_says_resume(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="resume cnn_stage1a"):
        export_top(RunRecord.load(make_run(trials=0)), tmp_path / "a.yaml")


@pytest.mark.parametrize(("name", "top"), [("a.json", 1), ("a", 1), ("a.yaml", 0), ("config.yaml", 2)])
def test_impossible_exports(finished_run: RunPaths, tmp_path: Path, name: str, top: int) -> None:
    with pytest.raises(RequestError):
        export_top(RunRecord.load(finished_run), tmp_path / name, top=top)


def test_weights_that_are_not_finite_are_refused(finished_run: RunPaths, tmp_path: Path) -> None:
    add_checkpoints(finished_run)
    best = {"record": json.dumps({"best": {"epoch": 3, "val_r2": 0.61}})}
    broken = {"head.weight": np.array([1.0, np.nan])}
    write_atomic(finished_run.trial(1).best_safetensors, to_safetensors(broken, best))
    with pytest.raises(RequestError, match=r"not finite \(head\.weight\)"):
        export_top(RunRecord.load(finished_run), tmp_path / "a.yaml")


def test_a_checkpoint_without_a_record_is_refused(finished_run: RunPaths, tmp_path: Path) -> None:
    add_checkpoints(finished_run)
    write_atomic(finished_run.trial(1).best_safetensors, to_safetensors({"w": np.ones(1)}))
    with pytest.raises(RequestError, match="which epoch"):
        export_top(RunRecord.load(finished_run), tmp_path / "a.yaml")


def test_trials_of_other_architectures_are_exported_the_best_of_each(finished_run: RunPaths, tmp_path: Path) -> None:
    """Kernels 7, 9, 15, 7 (failed) and 7: trial 0 stands for its architecture beside the winner and trial 2."""
    add_checkpoints(finished_run)
    found = export_unlike(RunRecord.load(finished_run), tmp_path / "unlike", 5, created_at="2025-03-01")
    assert [(one.trial.number, one.model["kernel_size"]) for one in found.exported][:2] == [(1, 9), (2, 15)]
    kernels = [one.model["kernel_size"] for one in found.exported]
    assert sorted(kernels) == [7, 9, 15]
    assert [one.apart for one in found.exported][:2] == [0.0, pytest.approx(-0.06)]
    assert [one.file.name for one in found.exported] == ["best.yaml", "best-2.yaml", "best-3.yaml"]
    assert read_bundle(found.exported[1].file).config["model"]["kernel_size"] == 15


def test_weights_that_were_not_kept_leave_their_place_to_the_next(finished_run: RunPaths, tmp_path: Path) -> None:
    add_checkpoints(finished_run, numbers=(1,))
    found = export_unlike(RunRecord.load(finished_run), tmp_path / "unlike", 2)
    assert [one.trial.number for one in found.exported] == [1]
    assert 2 in found.not_kept and 1 not in found.not_kept


def test_a_folder_of_several_models_is_no_file(finished_run: RunPaths, tmp_path: Path) -> None:
    add_checkpoints(finished_run)
    with pytest.raises(RequestError, match="is to be a folder"):
        export_unlike(RunRecord.load(finished_run), tmp_path / "best.yaml", 2)
    with pytest.raises(RequestError, match="keeps the weights of none"):
        add_none = RunRecord.load(finished_run)
        for trial in add_none.trials:
            finished_run.trial(trial.number).best_safetensors.unlink(missing_ok=True)
        export_unlike(add_none, tmp_path / "unlike", 2)

"""What plans say of the run that they take values from."""

from pathlib import Path

import pytest

from spectral_search.errors import RequestError
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import RunPaths
from spectral_search.service.plans import setting_note, train_spec
from spectral_search.service.run_options import RunOptions
from spectral_search.spec.run import RunSpec


def test_another_setting_is_said_and_that_a_quick_run_chose_it() -> None:
    data = RunSpec.from_dict({"stage": "next", "task": "pairs", "model": {"kind": "siamese_cnn"}}).data
    small, unlike = (
        data.model_copy(update={"num_train": 600}),
        data.model_copy(update={"quarter_turns": not data.quarter_turns}),
    )
    assert setting_note("before", data, data, quick=True) is None
    told = setting_note("before", small, data, quick=False)
    assert told is not None and told.startswith("before had another setting (num_train 600 there and ")
    assert told.endswith("its best may not be the best here.")
    shrunk = setting_note("before", small, data, quick=True)
    assert shrunk == f"{told} --quick sizes each stage by its networks, so this may well be."
    by_hand = setting_note("before", unlike, data, quick=True)
    assert by_hand is not None and by_hand.endswith("its best may not be the best here.")


@pytest.mark.parametrize("key", ["num_train", "windows_per_epoch"])
def test_traffic_on_other_training_windows_is_another_setting(key: str) -> None:
    data = RunSpec.from_dict({"stage": "next", "task": "traffic", "model": {"kind": "shared_mlp"}}).data
    told = setting_note("before", data.model_copy(update={key: 600}), data, quick=False)
    assert told is not None and told.startswith(f"before had another setting ({key} 600 there and None here)")


def test_the_winner_of_a_run_is_retrained_by_the_runs_name(tmp_path: Path) -> None:
    paths, options = RunPaths(tmp_path, "one").create(), RunOptions(results=str(tmp_path))
    Manifest(name="one", stage="small", study_name="one").save(paths.manifest_json)
    with pytest.raises(RequestError, match="Run one has no exported winner yet: `spectral-search resume one`"):
        train_spec("one", options, 2)
    paths.best_dir.mkdir()
    (paths.best_dir / "config.yaml").write_text("stage: small\nmodel: {kind: mlp, hidden: [4]}\n")
    config, found = train_spec("one", options, 2)
    assert config == str(paths.best_dir) and "grid.fit.seed=[42, 43]" in found.sets
    with pytest.raises(RequestError, match="step1 is a search, not one config"):
        train_spec("step1", options, 2)

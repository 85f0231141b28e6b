"""What plans say of the run that they take values from."""

import pytest

from spectral_search.service.plans import setting_note
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

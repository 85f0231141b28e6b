"""Recipes that mean nothing to a task are refused by a sentence that says what there is."""

from contextlib import nullcontext

import pytest
from small_dataset import trial_config

from spectral_search.errors import RequestError
from spectral_search.task.registry import task_of
from spectral_search.train.technique_faults import require_techniques

TASK = task_of("spectra")


def test_a_network_that_is_told_the_bin_of_an_example_takes_no_mixtures() -> None:
    for gate, refused in (("learned", False), ("oracle", True)):
        config = trial_config({"kind": "moe_cnn", "gate": gate}, {"augment": [{"kind": "mixup"}]})
        with pytest.raises(RequestError, match="which a mixture does not have") if refused else nullcontext():
            require_techniques(config, TASK)


def test_a_plateau_is_of_a_metric_that_the_task_has() -> None:
    for metric in (None, "r2", "mae_dex"):
        require_techniques(trial_config(None, {"plateau_metric": metric}), TASK)
    with pytest.raises(RequestError, match="must be one of r2, .*, found 'mae_dx'; did you mean mae_dex"):
        require_techniques(trial_config(None, {"plateau_metric": "mae_dx"}), TASK)

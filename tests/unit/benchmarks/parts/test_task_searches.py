"""The peers of pairs and traffic train what we train, on what we train on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.bench_context import BenchContext
from benchmarks.parts.task_searches import MAKERS, Beside, Sizes, peer_config
from benchmarks.peers import pairs_recipe, traffic_recipe
from spectral_search.models.parameter_count import count_parameters
from spectral_search.record.paths import RunPaths
from spectral_search.spec.load import load_spec, packaged_specs_dir
from spectral_search.spec.run import RunSpec
from spectral_search.task.registry import task_of
from spectral_search.task.training import TrainingSet

pytestmark = pytest.mark.slow

SIZES = Sizes(trials=2, epochs=1, train=64, val=32)
PARAMS: dict[str, dict[str, Any]] = {
    "pairs": {"fit.lr": 1e-3, "fit.weight_decay": 1e-4},
    "traffic": {
        **{"fit.lr": 1e-3, "fit.weight_decay": 1e-2, "model.hidden": [64, 32], "model.dropout": 0.0},
        **{"model.row_embedding": 4, "data.input.steps": 12},
    },
}


def made(task: str, scratch: Path) -> tuple[Beside, dict[str, Any]]:
    context = BenchContext(False, scratch, print, lambda title: lambda done, total: None, task=task)
    beside = MAKERS[task](context, SIZES)
    return beside, peer_config(task, beside, SIZES)


def ours(beside: Beside, scratch: Path) -> tuple[RunSpec, TrainingSet]:
    """The search of ours, and what it trains on."""
    sets: dict[str, Any] = {"data.root": str(beside.root), "data.num_train": SIZES.train, "data.num_val": SIZES.val}
    sets |= {key: int(value) for key, value in (text.split("=") for text in beside.sets)}
    spec = load_spec(str(packaged_specs_dir() / f"{beside.stage}.yaml"), environ={}, overrides=sets)
    task = task_of(spec.task)
    plan = task.look_at(spec, task.open(spec), (), lambda spec, shape: None).plan
    return spec, plan.preparation(RunPaths(scratch, "run"), lambda done, total: None).prepare().dataset


@pytest.mark.parametrize(("task", "module"), [("pairs", pairs_recipe), ("traffic", traffic_recipe)])
def test_a_peer_trains_the_same_network_on_the_same_examples(task: str, module: Any, tmp_path: Path) -> None:
    beside, config = made(task, tmp_path)
    spec, held = ours(beside, tmp_path)
    training = module.Training(module.load_arrays(config["root"]), config["recipe"], PARAMS[task])
    trial = spec.with_params(PARAMS[task])
    own = count_parameters(trial.model, **trial.data.input.sizes(held.values))
    assert sum(value.numel() for value in training.model.parameters()) == own
    device = held.on_device(torch.device("cpu"))
    assert len(training._loader.dataset) == device.examples == SIZES.train
    assert set(config["space"]) == set(spec.space)
    assert np.isfinite(training.epoch())


def test_both_sides_measure_the_same_pairs(tmp_path: Path) -> None:
    beside, config = made("pairs", tmp_path)
    _, held = ours(beside, tmp_path)
    val: Any = held.val  # type: ignore[attr-defined]
    theirs = pairs_recipe.ValPairs(config["root"], config["recipe"])
    assert len(theirs) == len(val) == SIZES.val
    for row in range(len(theirs)):
        (x_2HH, same) = theirs[row]
        rows = [val.first_N[row], val.second_N[row]]
        expected_2P = held.scale(torch.from_numpy(val.images_MP[rows]))  # type: ignore[attr-defined]
        torch.testing.assert_close(x_2HH.flatten(1), expected_2P, rtol=1e-5, atol=1e-5)
        assert same == val.same_N[row]


def test_the_peers_scheduler_has_its_defaults(tmp_path: Path) -> None:
    assert made("pairs", tmp_path)[1]["scheduler"] == {}

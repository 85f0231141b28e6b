"""--quick: within its limits, consistent, and behind what the user asked for."""

import itertools
from typing import Any

import pytest

from spectral_search.spec.load import list_specs, load_spec
from spectral_search.spec.quick import LARGE, MEDIUM, SMALL, quick, quick_limits
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.rule import rule_of

STAGES = [info.name for info in list_specs()]
FEWEST = {"pairs": 2000}
"""Training examples that a quick run of a task keeps however large its networks are."""


def spec(**sections: Any) -> RunSpec:
    return RunSpec.from_dict({"stage": "some", "model": {"kind": "mlp"}, **sections})


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_shrinks_and_keeps_its_networks(stage: str) -> None:
    full, small = load_spec(stage), load_spec(stage, quick=True)
    limits = quick_limits(full)
    assert small.model == full.model
    assert small.data.num_train is not None
    assert small.data.num_train <= max(limits.num_train, FEWEST.get(full.task, 0)) <= 8000
    assert small.data.num_val is not None
    assert small.data.num_val <= limits.num_val <= 2000
    assert small.fit.epochs <= limits.epochs <= 12
    assert small.fit.warmup_epochs < small.fit.epochs
    assert small.fit.batch_size <= 256
    assert small.search.trials <= limits.trials <= 8
    rungs = rule_of(small).rungs(small.fit.epochs)
    assert rungs[0] <= 3 if full.search.pruner != "none" else rungs == []
    assert small.search.retest_seeds == 1
    assert small.grid_size() <= small.search.trials
    assert (small.grid_size() > 0) == (full.grid_size() > 0)
    assert set(small.space) <= set(full.space)
    for point in small.grid_points():
        small.with_params(point)


def test_the_grid_keeps_points_from_one_end_to_the_other() -> None:
    full = spec(grid={"fit.lr": [n / 100 for n in range(1, 21)]})
    kept = [point["fit.lr"] for point in quick(full).grid_points()]
    assert len(kept) == 8
    assert (kept[0], kept[-1]) == (0.01, 0.2)
    gaps = [round(100 * (b - a)) for a, b in itertools.pairwise(kept)]
    assert max(gaps) - min(gaps) <= 1


def test_a_small_grid_stays_as_it_is() -> None:
    full = spec(grid={"fit.lr": [0.1, 0.2]})
    assert quick(full).grid == full.grid


def test_what_is_already_small_stays() -> None:
    small = quick(spec(data={"num_train": 500, "val_draws": 1}, fit={"epochs": 4, "batch_size": 32, "patience": 2}))
    assert (small.data.num_train, small.data.val_draws) == (500, 1)
    assert (small.fit.epochs, small.fit.batch_size, small.fit.patience) == (4, 32, 2)


def test_quick_twice_is_quick_once() -> None:
    once = load_spec("cnn_stage2", quick=True)
    assert quick(once) == once


def test_domains_over_epochs_and_batch_size_are_clipped() -> None:
    small = quick(
        spec(
            fit={"warmup_epochs": 0.0},
            space={
                "fit.epochs": {"int": [5, 200]},
                "fit.batch_size": {"choice": [128, 256, 4096]},
                "fit.patience": {"choice": [50, 100]},
                "fit.warmup_epochs": {"uniform": [0.0, 4.0]},
            },
            grid={"fit.batch_size": [512, 4096]},
        )
    )
    assert (small.space["fit.epochs"].low, small.space["fit.epochs"].high) == (5, 12)
    assert small.space["fit.batch_size"].choices == [128, 256]
    assert "fit.patience" not in small.space
    assert small.fit.patience == 12
    assert small.space["fit.warmup_epochs"].high == 1.0
    assert small.grid == {"fit.batch_size": [256]}


@pytest.mark.parametrize("epochs", [1, 2, 5, 40])
def test_explicit_values_win_and_the_rest_follows(epochs: int) -> None:
    sets = [f"fit.epochs={epochs}", "search.trials=20", "data.num_train=20000"]
    small = load_spec("vit_patch16", quick=True, sets=sets)
    assert (small.fit.epochs, small.search.trials, small.data.num_train) == (epochs, 20, 20000)
    assert small.fit.warmup_epochs < max(1, small.fit.epochs)
    assert (small.search.min_epochs or 1) <= small.fit.epochs


def test_overrides_win_over_sets_and_quick() -> None:
    small = load_spec("step1", quick=True, sets=["fit.epochs=3"], overrides={"fit.epochs": 4, "search.sampler": "grid"})
    assert small.fit.epochs == 4
    assert small.grid_size() == 8


def test_a_set_domain_survives_quick() -> None:
    small = load_spec("step1", quick=True, sets=["space.fit.batch_size={choice: [1024, 2048]}"])
    assert small.space["fit.batch_size"].choices == [1024, 2048]


def test_explicit_trials_keep_more_of_the_grid() -> None:
    assert load_spec("cnn_stage2", quick=True, sets=["search.trials=12"]).grid_size() == 12


def test_dearer_networks_get_less() -> None:
    limits = {
        stage: quick_limits(load_spec(stage)) for stage in ("mlp_big", "cnn_stage1a", "cnn_stage2", "vit_patch16")
    }
    assert limits == {"mlp_big": SMALL, "cnn_stage1a": MEDIUM, "cnn_stage2": LARGE, "vit_patch16": LARGE}

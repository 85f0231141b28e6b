"""Runs that train one config with several seeds."""

from pathlib import Path
from typing import Any

import pytest

from spectral_search.record.paths import RunPaths
from spectral_search.run.seed_models import trains_seeds
from spectral_search.run.trial_session import trial_course
from spectral_search.spec.run import RunSpec


def spec(**changes: Any) -> RunSpec:
    document = {"stage": "small", "model": {"kind": "mlp", "hidden": [8]}, "fit": {"epochs": 2}}
    return RunSpec.from_dict({**document, **changes})


@pytest.mark.parametrize(
    ("changes", "seeds"),
    [
        ({"grid": {"fit.seed": [1, 2]}, "search": {"sampler": "grid"}}, True),
        ({"grid": {"fit.seed": [1, 2]}, "search": {"sampler": "random"}}, False),
        ({"grid": {"fit.seed": [1, 2], "fit.lr": [0.1]}, "search": {"sampler": "grid"}}, False),
        ({"grid": {"fit.lr": [0.1]}, "search": {"sampler": "grid"}}, False),
        ({}, False),
    ],
)
def test_it_is_one_where_nothing_but_the_seed_differs(changes: dict[str, Any], seeds: bool) -> None:
    assert trains_seeds(spec(**changes)) is seeds


def test_seeds_of_one_order_of_the_examples_share_their_passes(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path, "run")

    def pass_seeds(**search: Any) -> list[int | None]:
        made = spec(grid={"fit.seed": [1, 2]}, search={"sampler": "grid", **search})
        return [trial_course(made, paths, number, {"fit.seed": number}).pass_seed for number in (1, 2)]

    assert pass_seeds(pass_seed=7) == [7, 7]
    assert pass_seeds() == [None, None]  # as in runs of earlier versions: each has its own

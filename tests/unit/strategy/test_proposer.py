"""Proposals: no point twice, impossible ones left out, and what is learnt from partial curves."""

import json
from dataclasses import replace
from typing import Any

import pytest
from made_histories import FINITE, HIGHER, MIXED, history_of, proposed, spec_of

from spectral_search.spec.domain import Domain
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.history import Trial
from spectral_search.strategy.proposer import proposer_of
from spectral_search.strategy.space_points import finite_points, planned_trials


def history(spec: RunSpec, count: int) -> list[Trial]:
    """The first trials of a search."""
    return proposed(proposer_of(spec, HIGHER), min(count, planned_trials(spec)))


def params_of(trials: list[Trial]) -> list[dict[str, Any]]:
    return [dict(trial.params) for trial in trials]


def test_the_seed_counts() -> None:
    spec = spec_of(MIXED, "parzen")
    other = spec.model_copy(update={"search": spec.search.model_copy(update={"seed": 7})})
    assert params_of(history(spec, 2)) != params_of(history(other, 2))


@pytest.mark.parametrize("sampler", ["random", "parzen"])
def test_no_point_of_a_large_space_is_drawn_twice(sampler: str) -> None:
    """More points than are listed, of which a few are so probable that they would be met again and again by chance."""
    spec = spec_of({"fit.step_epochs": {"log_int": [1, 6000]}}, sampler, search={"trials": 40})
    assert finite_points(spec) is None
    params = params_of(history(spec, 40))
    assert len({json.dumps(point, sort_keys=True) for point in params}) == len(params) == 40


def test_whole_numbers_make_a_finite_space_too() -> None:
    spec = spec_of({"fit.step_epochs": {"int": [3, 7]}})
    assert sorted(params["fit.step_epochs"] for params in params_of(history(spec, 99))) == [3, 4, 5, 6, 7]


def test_points_that_cannot_be_are_left_out() -> None:
    # Impossible pairs are refused with the spec; three values that cannot go together are met here only.
    space = {
        "model.width": Domain(kind="choice", choices=[24, 32]),
        "model.heads": Domain(kind="choice", choices=[3, 8]),
    }
    spec = RunSpec.from_dict({"stage": "s", "model": {"kind": "vit", "width": 32, "heads": 8}})
    spec = spec.model_copy(update={"space": space})
    points = finite_points(spec)
    assert points == [
        {"model.width": 24, "model.heads": 3},
        {"model.width": 24, "model.heads": 8},
        {"model.width": 32, "model.heads": 8},
    ]
    assert len(history(spec, 99)) == 3


def test_a_rarely_possible_continuous_space_goes_on() -> None:
    """Warm-up must be shorter than the training, which nearly no draw obeys."""
    space = {"fit.warmup_epochs": {"uniform": [0.0, 99.0]}, "fit.lr": {"uniform": [1e-4, 1e-2]}}
    spec = RunSpec.from_dict(
        {"stage": "s", "model": {"kind": "mlp"}, "fit": {"epochs": 100}, "space": space, "search": {"trials": 4}}
    )
    rare = spec.model_copy(update={"fit": spec.fit.model_copy(update={"epochs": 1})})
    trials = history(rare, 4)
    assert len(trials) == 4
    assert all(params["fit.warmup_epochs"] < 1 for params in params_of(trials))


def test_a_large_space_is_not_listed() -> None:
    space = {f"model.{name}": {"choice": list(range(1, 40))} for name in ("layers", "patch")}
    spec = RunSpec.from_dict({"stage": "s", "model": {"kind": "vit"}, "space": {**space, "fit.seed": {"int": [1, 9]}}})
    assert finite_points(spec) is None
    assert planned_trials(spec) == spec.search.trials


def test_parzen_learns_from_what_rungs_showed_and_from_nothing_else() -> None:
    """Values between rungs depend on when a process died; a proposal must not."""
    spec = spec_of({"fit.lr": {"log_uniform": [1e-4, 1e-1]}}, "parzen", fit={"epochs": 20})
    trials, proposer = history(spec, 6), proposer_of(spec, HIGHER)

    def told(more: float, sign: int = 1) -> list[Trial]:
        leads = [-sign * abs(trial.number - 2.5) for trial in trials]
        values = [(0.1 * lead, 0.2 * lead, more * lead) for lead in leads]
        return [replace(trial, state="running", values=known) for trial, known in zip(trials, values, strict=True)]

    one = proposer.propose(history_of(told(0.3)))
    assert one == proposer.propose(history_of(told(-7.0)))
    assert one != proposer.propose(history_of(told(0.3, sign=-1)))


def test_parzen_proposes_every_point_of_a_finite_space_once() -> None:
    spec = spec_of(FINITE, "parzen", search={"trials": 12})
    points = params_of(history(spec, 12))
    assert len(points) == len({json.dumps(point) for point in points}) == planned_trials(spec)

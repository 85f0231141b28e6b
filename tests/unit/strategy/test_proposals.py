"""Proposals: the grid exactly, no point twice, and nothing but seed, number and history decides."""

import json
import warnings
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from spectral_search.spec.domain import Domain
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.proposals import Proposals
from spectral_search.strategy.space_points import finite_points, planned_trials

MIXED = {
    "model.kind": {"choice": ["mlp", "cnn"]},
    "model.hidden": {"choice": [[8], [8, 4]], "when": {"model.kind": "mlp"}},
    "model.kernel_size": {"choice": [3, 5], "when": {"model.kind": "cnn"}},
    "fit.lr": {"log_uniform": [1e-4, 1e-1]},
}
FINITE = {key: domain for key, domain in MIXED.items() if key != "fit.lr"}


def spec_of(space: dict[str, Any], sampler: str = "tpe", **rest: Any) -> RunSpec:
    search = {"sampler": sampler, "trials": 12, "startup_trials": 4, **rest.pop("search", {})}
    return RunSpec.from_dict({"stage": "s", "model": {"kind": "mlp"}, "space": space, "search": search, **rest})


def history(spec: RunSpec, count: int) -> list[FrozenTrial]:
    """The first trials of a search, each with a value that follows from its parameters."""
    proposals, trials = Proposals(spec), []
    for number in range(count):
        params = proposals.propose(trials)
        if params is None:
            break
        stored, distributions = proposals.frozen(params)
        value = 0.9 - len(json.dumps(params)) / 1000 + params.get("fit.lr", 0.0)
        attributes = {"params": params}
        trials.append(create_trial(params=stored, distributions=distributions, value=value, user_attrs=attributes))
        trials[-1].number = number
    return trials


def params_of(trials: list[FrozenTrial]) -> list[dict[str, Any]]:
    return [trial.user_attrs["params"] for trial in trials]


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp", "parzen"])
def test_a_proposal_is_a_function_of_seed_number_and_history(sampler: str) -> None:
    spec = spec_of(MIXED, sampler)
    with warnings.catch_warnings():
        warnings.simplefilter("error", optuna.exceptions.ExperimentalWarning)
        trials = history(spec, 6)
    assert params_of(history(spec, 6)) == params_of(trials)
    # A search that was cut off after five trials goes on as the uninterrupted one.
    assert Proposals(spec).propose(trials[:5]) == trials[5].user_attrs["params"]
    if sampler == "gp":
        return  # two seeds may well agree on where the expected improvement is largest
    other = spec.model_copy(update={"search": spec.search.model_copy(update={"seed": 7})})
    assert Proposals(other).propose(trials[:5]) != trials[5].user_attrs["params"]


def test_the_history_counts() -> None:
    spec = spec_of({"fit.lr": {"log_uniform": [1e-4, 1e-1]}})
    trials = history(spec, 10)
    worse = history(spec, 10)
    for trial in worse:
        trial.value = -trial.value
    assert Proposals(spec).propose(trials) != Proposals(spec).propose(worse)


def test_failed_trials_are_not_learnt_from_but_not_tried_again() -> None:
    spec = spec_of(FINITE)
    trials = history(spec, 3)
    trials[1].state = TrialState.FAIL
    trials[1].values = None
    assert Proposals(spec).propose(trials) not in params_of(trials)


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp", "parzen"])
def test_a_finite_space_is_tried_once_each_and_then_ends(sampler: str) -> None:
    spec = spec_of(FINITE, sampler)
    trials = history(spec, 99)
    assert Proposals(spec).planned == len(trials) == 4
    assert len({json.dumps(params, sort_keys=True) for params in params_of(trials)}) == 4
    for params in params_of(trials):
        assert ("model.hidden" in params) == (params["model.kind"] == "mlp")
        assert ("model.kernel_size" in params) == (params["model.kind"] == "cnn")


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


def test_an_empty_space_is_one_trial() -> None:
    spec = spec_of({})
    assert params_of(history(spec, 99)) == [{}]
    assert planned_trials(spec) == 1


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


def test_the_grid_in_order_and_then_the_end() -> None:
    grid = {"fit.lr": [1e-3, 1e-2], "model.hidden": [[8], [4, 4]]}
    spec = spec_of({}, "grid", grid=grid)
    trials = history(spec, 99)
    assert params_of(trials) == spec.grid_points()
    assert Proposals(spec).planned == 4


def test_a_large_space_is_not_listed() -> None:
    space = {f"model.{name}": {"choice": list(range(1, 40))} for name in ("layers", "patch")}
    spec = RunSpec.from_dict({"stage": "s", "model": {"kind": "vit"}, "space": {**space, "fit.seed": {"int": [1, 9]}}})
    assert finite_points(spec) is None
    assert planned_trials(spec) == spec.search.trials


def test_parzen_learns_from_what_rungs_showed_and_from_nothing_else() -> None:
    """Values between rungs depend on when a process died; a proposal must not."""
    spec = spec_of({"fit.lr": {"log_uniform": [1e-4, 1e-1]}}, "parzen", fit={"epochs": 20})

    def told(more: float) -> list[FrozenTrial]:
        trials = history(spec, 6)
        for trial in trials:
            lead = -abs(trial.number - 2.5)
            trial.state, trial.values = TrialState.RUNNING, None
            trial.intermediate_values = {1: 0.1 * lead, 2: 0.2 * lead, 3: more * lead}
        return trials

    proposals = Proposals(spec)
    one = proposals.propose(told(0.3))
    assert one == proposals.propose(told(-7.0))
    turned = told(0.3)
    for trial in turned:
        trial.intermediate_values = {epoch: -value for epoch, value in trial.intermediate_values.items()}
    assert proposals.propose(turned) != one


def test_parzen_proposes_every_point_of_a_finite_space_once() -> None:
    spec = spec_of(FINITE, "parzen", search={"trials": 12})
    points = params_of(history(spec, 12))
    assert len(points) == len({json.dumps(point) for point in points}) == planned_trials(spec)

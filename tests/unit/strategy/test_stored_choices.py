"""Choices in the study: what people read where it is clear, JSON text where it is not or an earlier version began."""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, create_trial

from spectral_search.spec.domain import Domain
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.space_points import searched_domains
from spectral_search.strategy.stored_choices import StoredSpace, choices_of

LISTS = [[256, 64], [256], [2048, 1024, 512]]
MIXED = {
    "fit.schedule": {"choice": ["cosine", "constant"]},
    "model.hidden": {"choice": [[8], [8, 4]]},
    "model.residual": {"choice": [True, False]},
    "fit.grad_clip": {"choice": [None, 1.0, 0.5]},
    "fit.batch_size": {"choice": [32, 64]},
    "fit.lr": {"log_uniform": [1e-4, 1e-1]},
}


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RDBStorage]:
    """A database, for what it makes of values."""
    opened = RDBStorage(f"sqlite:///{tmp_path_factory.mktemp('choices')}/study.db")
    yield opened
    opened.remove_session()
    opened.engine.dispose()


def choice(*values: Any) -> Domain:
    return Domain(kind="choice", choices=list(values))


@pytest.mark.parametrize(
    ("values", "held"),
    [
        (["cosine", "constant"], ["cosine", "constant"]),
        ([7, 9, 15], [7, 9, 15]),
        ([True, False], [True, False]),
        ([None, 1.0, 0.5], [None, 1.0, 0.5]),
        (LISTS, ["[256, 64]", "[256]", "[2048, 1024, 512]"]),
        (["auto", [1, 2], 3], ["auto", "[1, 2]", 3]),
        # What would look or compare alike is JSON text, all of it.
        (["64", 64], ['"64"', "64"]),
        ([True, 1], ["true", "1"]),
        ([False, 0.0, "x"], ["false", "0.0", '"x"']),
        (["None", None], ['"None"', "null"]),
        (["[1, 2]", [1, 2]], ['"[1, 2]"', "[1, 2]"]),
        (["1.0", 1.0], ['"1.0"', "1.0"]),
        ([math.inf, 1.0], ["Infinity", "1.0"]),
    ],
)
def test_choices_are_readable_and_come_back_exactly(values: list[Any], held: list[Any], storage: RDBStorage) -> None:
    choices = choices_of("key", choice(*values))
    assert [(type(item), item) for item in choices.held] == [(type(item), item) for item in held]
    study = optuna.create_study(storage=storage)
    for value in values:
        params, distributions = {"key": choices.hold(value)}, {"key": choices.distribution}
        study.add_trial(create_trial(params=params, distributions=distributions, value=0.0))
    found = [choices.value(trial.params["key"]) for trial in study.get_trials()]
    assert [(type(item), item) for item in found] == [(type(item), item) for item in values]


pytestmark = pytest.mark.filterwarnings("error")


def spec_of(space: dict[str, Any], sampler: str = "random", **rest: Any) -> RunSpec:
    search = {"sampler": sampler, "trials": 12, "startup_trials": 3}
    return RunSpec.from_dict({"stage": "s", "model": {"kind": "mlp"}, "space": space, "search": search, **rest})


def frozen(
    spec: RunSpec, params: dict[str, Any], stored: Sequence[FrozenTrial] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    return StoredSpace(searched_domains(spec), stored).frozen(params)


def as_of_an_earlier_version(spec: RunSpec, params: dict[str, Any]) -> FrozenTrial:
    """A trial whose choices are all JSON text."""
    held, distributions = frozen(spec, params)
    for key, value in params.items():
        if isinstance(distributions[key], CategoricalDistribution):
            held[key] = json.dumps(value)
            values = spec.space[key].choices if key in spec.space else spec.grid[key]
            distributions[key] = CategoricalDistribution([json.dumps(item) for item in values])
    return create_trial(params=held, distributions=distributions, value=0.5, user_attrs={"params": params})


def test_a_study_of_an_earlier_version_takes_more_of_its_own_kind() -> None:
    spec = spec_of(MIXED)
    params = {key: domain.choices[0] if domain.choices else 1e-3 for key, domain in spec.space.items()}
    old = as_of_an_earlier_version(spec, params)
    assert isinstance(frozen(spec, params)[0]["fit.batch_size"], int)
    held, distributions = frozen(spec, params, [old])
    assert held["fit.schedule"] == '"cosine"'
    optuna.create_study().add_trials([old, create_trial(params=held, distributions=distributions, value=0.1)])


def test_a_grid_of_an_earlier_version_goes_on_too() -> None:
    spec = spec_of(
        {}, "grid", grid={"fit.lr": [1e-3, 1e-2], "model.hidden": [[8], [4, 4]], "model.norm": ["none", "batch"]}
    )
    first, second = spec.grid_points()[:2]
    assert frozen(spec, first)[0] == {"fit.lr": 1e-3, "model.hidden": "[8]", "model.norm": "none"}
    old = as_of_an_earlier_version(spec, first)
    held, distributions = frozen(spec, second, [old])
    assert held["model.norm"] == '"batch"'
    optuna.create_study().add_trials([old, create_trial(params=held, distributions=distributions, value=0.1)])


def test_a_key_that_no_trial_had_yet_is_readable() -> None:
    space = {
        "model.kind": {"choice": ["mlp", "cnn"]},
        "model.norm": {"choice": ["none", "batch"], "when": {"model.kind": "cnn"}},
    }
    spec = spec_of(space)
    old = as_of_an_earlier_version(spec, {"model.kind": "mlp"})
    held, _ = frozen(spec, {"model.kind": "cnn", "model.norm": "batch"}, [old])
    assert held == {"model.kind": '"cnn"', "model.norm": "batch"}

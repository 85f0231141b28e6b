"""Every pause: a function of the history alone, that closes no part in which anything trained."""

import random
from dataclasses import replace

import pytest

from spectral_search.errors import RequestError
from spectral_search.spec.name_registry import PAUSES
from spectral_search.spec.search import SearchSpec
from spectral_search.spec.space_part import WHOLE, SpacePart
from spectral_search.strategy.history import History, Trial
from spectral_search.strategy.pause import Pause, pause_of


@pytest.fixture(params=PAUSES.names)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def made(name: str, after: int = 3) -> Pause:
    return pause_of(SearchSpec(pause=name, pause_after=after))


def failing(count: int, width: int = 384, cause: str = "out of memory", first: int = 0) -> list[Trial]:
    rng = random.Random(first)
    return [
        Trial(number, {"model.hidden": [width], "fit.lr": rng.random()}, 9, state="failed", cause=cause)
        for number in range(first, first + count)
    ]


def trained(count: int, width: int = 64, first: int = 0) -> list[Trial]:
    rng = random.Random(1000 + first)
    return [
        Trial(number, {"model.hidden": [width], "fit.lr": rng.random()}, 9, (0.1, 0.2), "complete")
        for number in range(first, first + count)
    ]


def test_a_value_at_which_one_cause_struck_again_and_again_is_closed(name: str) -> None:
    trials = [*trained(2), *failing(3, first=2)]
    (paused,) = made(name).parts(History(trials, 12))
    assert paused.part == SpacePart("model.hidden", "is", [384])
    assert paused.cause == "out of memory" and paused.trials == (2, 3, 4)
    assert paused.told == "paused: model.hidden [384] gets no more trials, since 2, 3, 4 failed there (out of memory)"


def test_fewer_or_other_causes_or_zero_close_nothing(name: str) -> None:
    assert not made(name).parts(History([*trained(2), *failing(2, first=2)], 12))
    mixed = [*trained(2), *failing(2, first=2), *failing(1, first=4, cause="not a finite loss")]
    assert not made(name).parts(History(mixed, 12))
    assert not made(name, 0).parts(History([*trained(2), *failing(9, first=2)], 20))
    assert not made(name, 0).parts(History(failing(9), 20))


def test_no_part_is_closed_in_which_anything_trained(name: str) -> None:
    rng = random.Random(3)
    for _ in range(50):
        count = rng.randint(1, 20)
        values = [{"a": rng.choice([1, 2, 3]), "b": rng.random()} for _ in range(count)]
        states = [rng.choice(["failed", "complete", "running"]) for _ in range(count)]
        trials = [
            Trial(n, params, 9, () if state == "failed" else (0.1,), state, cause=rng.choice("xy"))  # type: ignore[arg-type]
            for n, (params, state) in enumerate(zip(values, states, strict=True))
        ]
        history = History(trials, 99)
        for paused in made(name).parts(history):
            sound = [trial for trial in trials if trial.state != "failed"]
            assert not any(paused.part.holds(trial.params) for trial in sound)
            assert {trials[number].state for number in paused.trials} == {"failed"}


def test_where_nothing_ever_trained_the_whole_space_is_closed_unless_failures_share_a_value(name: str) -> None:
    (paused,) = made(name).parts(History(failing(3), 12))
    assert paused.part == SpacePart("model.hidden", "is", [384])
    apart = [*failing(1, 64), *failing(1, 128, first=1), *failing(1, 256, first=2)]
    (paused,) = made(name).parts(History(apart, 12))
    assert paused.part == WHOLE
    begun = Trial(3, {"model.hidden": [64], "fit.lr": 0.3}, 9)
    assert made(name).parts(History([*apart, begun], 12)), "one that has trained nothing says nothing"
    assert not made(name).parts(History([*apart, replace(begun, values=(0.1,))], 12))


def test_a_key_with_one_value_in_all_of_the_space_bounds_no_part(name: str) -> None:
    apart = [failing(1, width, first=number)[0] for number, width in enumerate((64, 128, 256))]
    trials = [replace(trial, params={**trial.params, "model.dropout": 0.2}) for trial in apart]
    (paused,) = pause_of(SearchSpec(pause=name, pause_after=3), {"model.dropout"}).parts(History(trials, 12))
    assert paused.part == WHOLE


def test_it_is_a_function_of_the_history_and_changes_nothing(name: str) -> None:
    trials = [*trained(4), *failing(5, first=4)]
    before, pause = list(trials), made(name)
    first = pause.parts(History(trials, 12))
    assert pause.parts(History(trials[:3], 12)) == []
    assert pause.parts(History(trials, 12)) == first == made(name).parts(History(trials, 12)) and trials == before


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(RequestError, match="no pause 'repeatd'. Did you mean repeated"):
        PAUSES.find("repeatd")

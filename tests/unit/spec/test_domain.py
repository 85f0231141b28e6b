"""One entry of `space`: forms, faults, membership."""

import pytest

from spectral_search.spec.domain import Domain, duplicates, parse_domain


def faults(raw: object) -> list[str]:
    domain, found = parse_domain("space.fit.lr", raw)
    assert (domain is None) == bool(found)
    return [fault.text for fault in found]


@pytest.mark.parametrize(
    "raw",
    [
        {"uniform": [0.0, 1.0]},
        {"log_uniform": [1e-4, 1e-2]},
        {"int": [1, 9]},
        {"log_int": [16, 1024]},
        {"choice": [1, "a", None, True, [2, 3]]},
        {"choice": [7, 9], "when": {"model.kind": ["cnn"]}},
    ],
)
def test_forms_round_trip(raw: dict[str, object]) -> None:
    domain, found = parse_domain("space.k", raw)
    assert not found
    assert domain is not None
    assert domain.to_yaml() == raw
    assert parse_domain("space.k", domain.to_yaml())[0] == domain


@pytest.mark.parametrize(
    ("raw", "value"),
    [({"uniform": [0.1, 0.1]}, 0.1), ({"log_uniform": [1, 1]}, 1.0), ({"int": [3, 3]}, 3), ({"log_int": [8, 8]}, 8)],
)
def test_a_range_of_one_point_is_that_point(raw: dict[str, object], value: float) -> None:
    domain, found = parse_domain("space.k", {**raw, "when": {"model.kind": "cnn"}})
    assert not found
    assert domain is not None
    assert domain.choices == [value]
    assert type(domain.choices[0]) is type(value)
    assert domain.when == {"model.kind": ["cnn"]}


def test_whole_numbers_in_a_float_range_become_floats() -> None:
    domain, _ = parse_domain("space.k", {"uniform": [0, 1]})
    assert domain is not None
    assert isinstance(domain.low, float)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (1e-3, "must be a domain, found 0.001"),
        ([1, 2], "must be a domain"),
        ({}, "exactly one domain"),
        ({"uniform": [0, 1], "choice": [1]}, "both uniform and choice"),
        ({"log_unifrom": [1e-4, 1e-2]}, "did you mean log_uniform?"),
        ({"uniform": [0, 1], "step": 1}, "space.fit.lr.step does not exist"),
        ({"uniform": [2, 1]}, "is reversed, found [2, 1]; write [1, 2]"),
        ({"uniform": [1]}, "must be a range [low, high], found [1]"),
        ({"uniform": [1, 2, 3]}, "must be a range [low, high]"),
        ({"uniform": 3}, "must be a range [low, high], found 3"),
        ({"uniform": ["a", 2]}, "two finite numbers"),
        ({"uniform": [True, 2]}, "two finite numbers"),
        ({"uniform": [0, float("inf")]}, "two finite numbers"),
        ({"log_uniform": [0, 1]}, "must start above 0"),
        ({"log_int": [-4, 8]}, "must start above 0"),
        ({"int": [1.5, 3]}, "whole numbers as its ends"),
        ({"choice": []}, "is empty"),
        ({"choice": 3}, "must be a list of values, found 3"),
        ({"choice": [1, 2, 1.0]}, "more than once"),
        ({"choice": [[1, 2], [1, 2]]}, "holds [1, 2] more than once"),
        ({"choice": [1], "when": "cnn"}, "values of another key"),
        ({"choice": [1], "when": {}}, "values of another key"),
        ({"choice": [1], "when": {"model.kind": []}}, "is empty"),
    ],
)
def test_every_fault_has_one_sentence(raw: object, words: str) -> None:
    found = faults(raw)
    assert len(found) == 1
    assert words in found[0]
    assert "space.fit.lr" in found[0]


def test_several_faults_of_one_domain_come_together() -> None:
    assert len(faults({"log_uniform": [1, 0], "whn": 1})) == 3


def test_a_single_condition_value_stands_for_a_list() -> None:
    domain, _ = parse_domain("space.k", {"choice": [7], "when": {"model.kind": "cnn"}})
    assert domain is not None
    assert domain.when == {"model.kind": ["cnn"]}


def test_contains() -> None:
    choice = Domain(kind="choice", choices=[1, [2, 3], "a", None])
    assert [choice.contains(v) for v in (1, 1.0, True, [2, 3], "a", None, 2)] == [
        True,
        True,
        False,
        True,
        True,
        True,
        False,
    ]
    whole = Domain(kind="int", low=1, high=9)
    assert [whole.contains(v) for v in (1, 9, 9.0, 0, 10, 1.5, True, "1")] == [True, True, True, *[False] * 5]


def test_true_is_no_duplicate_of_one() -> None:
    assert duplicates([True, 1, 0, False]) == []
    assert duplicates([1, 1.0, "1"]) == [1.0]

"""Numbers and parameters in few characters."""

import pytest

from spectral_search.record.wording import (
    aligned,
    amount,
    cropped,
    duration,
    fitting,
    rate,
    short_keys,
    short_value,
    size,
)


def test_short_keys_stay_apart() -> None:
    assert short_keys(["fit.lr", "model.norm"]) == {"fit.lr": "lr", "model.norm": "norm"}
    both = short_keys(["model.kind", "data.input.kind", "fit.lr"])
    assert both == {"model.kind": "model.kind", "data.input.kind": "input.kind", "fit.lr": "lr"}
    assert short_keys(["kind", "model.kind"]) == {"kind": "kind", "model.kind": "model.kind"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.2345e-4, "1.23e-4"),
        (0.003, "0.003"),
        (1e-5, "1e-5"),
        (0.0, "0"),
        (100000.0, "1e5"),
        (2048, "2048"),
        (True, "true"),
        (None, "null"),
        ([32, 64], "[32,64]"),
        ("batch", "batch"),
        ([{"kind": "mask", "run": 1}], "[{kind: mask, run: 1}]"),
        (list(range(20)), "[0,1,2,3,4,5,6,7,8,9,..."),
    ],
)
def test_short_values(value: object, text: str) -> None:
    assert short_value(value) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(412e3, "412 kB"), (3.2e6, "3.2 MB"), (16.44e9, "16.4 GB"), (1e12, "1,000 GB"), (999.7e6, "1,000 MB")],
)
def test_sizes(count: float, text: str) -> None:
    assert size(count) == amount(round(count)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (8.4, "8 s"), (754, "13 min"), (11100, "3 h 05"), (187200, "2 d 04 h"), (float("inf"), "-")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (812.0, "812"), (9600.0, "9.6k"), (1.25e6, "1.25M")])
def test_rates(value: float, text: str) -> None:
    assert rate(value) == text


def test_columns_align() -> None:
    assert aligned([["a", "bbb", "c"], ["100", "2", ""]], left=frozenset({2})) == ["  a  bbb  c", "100    2"]


def test_crops() -> None:
    assert (cropped("abcdef", 6), cropped("abcdefg", 6)) == ("abcdef", "abc...")


def test_spare_columns_are_left_out_until_the_others_fit() -> None:
    rows = [["name", "first", "second", "state"], ["a", "1", "2", "ok"]]
    assert fitting(rows, 80, (1, 2), frozenset({0, 3})) == (aligned(rows, frozenset({0, 3})), 0)
    assert fitting(rows, 20, (1, 2), frozenset({0, 3})) == (["name  first  state", "a         1  ok"], 1)
    assert fitting(rows, 20, (2, 1), frozenset({0, 3})) == (["name  second  state", "a          2  ok"], 1)
    assert fitting(rows, 3, (1, 2), frozenset({0, 3})) == (["name  state", "a     ok"], 2)

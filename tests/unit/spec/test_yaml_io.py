"""The traps of YAML 1.1, duplicate keys, and text that any reader reads back."""

import math

import pytest
import yaml

from spectral_search.errors import RequestError
from spectral_search.spec.yaml_io import dump_yaml, parse_yaml, show


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        (".5", 0.5),
        ("3.", 3.0),
        ("1_000", 1000),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("-7", -7),
        ("true", True),
        ("False", False),
        ("no", "no"),
        ("off", "off"),
        ("Yes", "Yes"),
        ("y", "y"),
        ("null", None),
        ("~", None),
        ("none", "none"),
        ("2024-01-01", "2024-01-01"),
        ("1:30", "1:30"),
        ("'1e-3'", "1e-3"),
        ('"true"', "true"),
        ("1.2.3", "1.2.3"),
        ("${DATA}/x", "${DATA}/x"),
    ],
)
def test_scalars_read_as_yaml_1_2(text: str, value: object) -> None:
    found = parse_yaml(f"key: {text}", "x").value["key"]
    assert found == value
    assert type(found) is type(value)


def test_infinity_and_nan_are_numbers() -> None:
    assert parse_yaml("[.inf, -.inf, .nan]", "x").value[:2] == [math.inf, -math.inf]
    assert math.isnan(parse_yaml(".nan", "x").value)


def test_huge_integer_is_not_read_as_a_number() -> None:
    assert parse_yaml("a: " + "9" * 5000, "x").value == {"a": "9" * 5000}


def test_duplicate_keys_are_faults_at_any_depth() -> None:
    document = parse_yaml("fit:\n  lr: 1\n  lr: 2\nmodel: {kind: cnn, kind: mlp}\nfit: {}\n", "x")
    assert [key for key, _ in document.faults] == ["fit.lr", "model.kind", "fit"]
    assert "on lines 2 and 3" in document.faults[0][1]


def test_lines_of_keys() -> None:
    lines = parse_yaml("fit:\n  lr: 1\nspace:\n  fit.lr: {choice: [1]}\n", "x").line_of
    assert lines["fit.lr"] == 2
    assert lines["space.fit.lr"] == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: [1, 2\n", "line 3"),
        ("a: 1\n b: 2\n", "line 2"),
        ("a:\n\t- 1\n", "indent with spaces"),
        ("a: 1\n---\nb: 2\n", "more than one document"),
        ("a: \x00\n", "characters that are not text"),
    ],
)
def test_syntax_errors_name_file_and_line(text: str, words: str) -> None:
    with pytest.raises(RequestError) as error:
        parse_yaml(text, "some.yaml")
    assert "some.yaml" in str(error.value)
    assert words in str(error.value)
    assert len(error.value.faults) == 1


def test_an_anchor_inside_itself_is_a_fault() -> None:
    assert parse_yaml("a: &a [*a]\n", "x").faults


def test_anchors_that_multiply_stop() -> None:
    rows = ["a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "too many" in parse_yaml("\n".join(rows), "x").faults[0][1]


def test_tags_are_faults() -> None:
    assert "!thing" in parse_yaml("a: !thing 3\n", "x").faults[0][1]


VALUES = {
    "text": ["no", "on", "1e-3", "0o17", "2024-01-01", "null", "", "true", "a: b", "# c", "é", "1_0"],
    "numbers": [1e-5, 1e20, 3, 0.1, -2.0, 1e-300],
    "rest": [True, False, None, [[1, 2], [3]]],
    "nested": {"a.b": {"c": []}},
    "list": [{"a": [1]}, {"b": [2]}],
}


def test_dump_reads_back_the_same() -> None:
    assert parse_yaml(dump_yaml(VALUES), "x").value == VALUES


def test_dump_reads_back_the_same_with_any_yaml_1_1_reader() -> None:
    assert yaml.safe_load(dump_yaml(VALUES)) == VALUES


def test_dump_refuses_what_yaml_cannot_hold() -> None:
    with pytest.raises(TypeError, match="plain values"):
        dump_yaml({"a": object()})


def test_show_is_short_and_tells_types_apart() -> None:
    assert [show(v) for v in (None, True, 10.0, 10, "10", 1e-5)] == ["null", "true", "10.0", "10", "'10'", "1e-05"]
    assert show({"a": [1, 0.5]}) == "{a: [1, 0.5]}"
    assert len(show("x" * 500)) <= 60

"""Every number of a spec has bounds: what lies beyond is refused in one sentence, what lies within is taken."""

import math
from typing import Any

import pytest
from numeric_leaves import Leaf, numeric_leaves

from spectral_search.errors import RequestError
from spectral_search.spec.families import families
from spectral_search.spec.run import RunSpec
from spectral_search.spec.seeds import lightgbm_seed, numpy_seed

LEAVES = numeric_leaves()


def spec(leaf: Leaf, value: Any) -> RunSpec:
    """A spec that holds nothing else of note."""
    document: dict[str, Any] = {"stage": "some", "model": {"kind": leaf.kind or "mlp"}}
    node, (*sections, name) = document, leaf.key.split(".")
    for section in sections:
        node = node.setdefault(section, {})
    node[name] = value
    return RunSpec.from_dict(document)


def test_every_number_of_every_section_is_found() -> None:
    assert {"data.split_seed", "data.input.clamp", "fit.lr", "search.trials", "resources.gpus", "model.hidden"} <= {
        leaf.key for leaf in LEAVES
    }
    assert {leaf.kind for leaf in LEAVES} == {None, *families()}


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.name)
def test_a_number_has_two_bounds(leaf: Leaf) -> None:
    assert leaf.low is not None and leaf.high is not None
    assert math.isfinite(leaf.low) and math.isfinite(leaf.high)


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.name)
def test_what_lies_beyond_is_refused_in_one_sentence(leaf: Leaf) -> None:
    for number in leaf.beyond():
        with pytest.raises(RequestError) as error:
            spec(leaf, leaf.given(number))
        (sentence,) = error.value.faults
        assert sentence.startswith((f"{leaf.key} must be ", f"{leaf.key}: ")), sentence


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.name)
def test_what_lies_within_is_taken_unless_another_key_forbids_it(leaf: Leaf) -> None:
    for number in (leaf.low, leaf.high):
        assert number is not None
        try:
            made = spec(leaf, leaf.given(number))
        except RequestError as error:
            (sentence,) = error.faults
            assert leaf.key.rpartition(".")[2] in sentence
            assert f"{leaf.key} must be a " not in sentence or "a list of 2" in sentence
        else:
            assert RunSpec.from_dict(made.to_dict()) == made


@pytest.mark.parametrize("leaf", [leaf for leaf in LEAVES if leaf.in_list and leaf.kind], ids=lambda leaf: leaf.name)
def test_a_list_of_a_model_has_an_end(leaf: Leaf) -> None:
    with pytest.raises(RequestError, match=rf"{leaf.key} must be a list of (1 to|2 to|at most) \d+ values"):
        spec(leaf, [1] * 65)


def test_a_part_of_a_gpu_is_none_or_worth_having() -> None:
    for part in (5e-324, 0.0099):
        with pytest.raises(RequestError, match=r"gpus_per_trial: .* less than a hundredth of a GPU; use 0 for none"):
            RunSpec.from_dict({"stage": "some", "model": {"kind": "mlp"}, "resources": {"gpus_per_trial": part}})
    with pytest.raises(
        RequestError, match=r"gpus_per_trial: 1.5 is neither a part of one GPU nor a whole number of them"
    ):
        RunSpec.from_dict({"stage": "some", "model": {"kind": "mlp"}, "resources": {"gpus_per_trial": 1.5}})


@pytest.mark.parametrize("seed", [-(2**63), -1, 0, 42, 2**31, 2**64 - 1])
def test_a_seed_is_one_that_each_library_takes(seed: int) -> None:
    assert 0 <= numpy_seed(seed) < 2**64
    assert 0 <= lightgbm_seed(seed) < 2**31
    assert seed < 0 or numpy_seed(seed) == seed

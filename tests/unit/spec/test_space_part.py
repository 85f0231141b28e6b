"""The part of a space that failed trials share: a value, or a threshold that chance would hardly draw."""

from typing import Any

import pytest

from spectral_search.spec.space_part import WHOLE, SpacePart, shared_part


def rates(*lr: float, hidden: list[int] | None = None) -> list[dict[str, Any]]:
    return [{"fit.lr": value, "model.hidden": hidden or [64]} for value in lr]


def test_a_value_that_all_share_and_no_other_has_comes_before_a_threshold() -> None:
    failed, others = rates(0.1, 0.2, 0.3, hidden=[384]), rates(0.01, 0.02, 0.03, 0.04)
    assert shared_part(failed, others) == SpacePart("model.hidden", "is", [384])
    assert shared_part(failed, [*others, *rates(0.001, hidden=[384])]) == SpacePart("fit.lr", "from", 0.1)


def test_of_two_values_it_is_that_of_the_key_with_more_of_them() -> None:
    failed = [{"a": True, "b": "x"}, {"a": True, "b": "x"}]
    assert shared_part(failed, [{"a": False, "b": "y"}, {"a": False, "b": "z"}]) == SpacePart("b", "is", "x")


@pytest.mark.parametrize(("sign", "relation"), [(1, "from"), (-1, "to")])
def test_a_threshold_lies_at_the_failed_end_of_either_side(sign: int, relation: str) -> None:
    failed, others = [{"n": sign * n} for n in (7, 8, 9)], [{"n": sign * n} for n in range(5)]
    part = shared_part(failed, others)
    assert part == SpacePart("n", relation, sign * 7)
    assert part is not None and all(map(part.holds, failed)) and not any(map(part.holds, others))


def test_the_widest_layer_counts_of_a_list() -> None:
    failed = [{"h": [64, width]} for width in (384, 512, 400)]
    part = shared_part(failed, [{"h": [width]} for width in (8, 16, 32, 64, 128, 256)])
    assert part == SpacePart("h", "from", 384)
    assert part is not None and part.holds({"h": [999, 1]}) and not part.holds({"h": [383]})


def test_a_threshold_that_chance_would_draw_is_not_told() -> None:
    failed, others = rates(0.1, 0.2, 0.3), rates(0.01, 0.02)
    assert shared_part([{"fit.lr": p["fit.lr"]} for p in failed], [{"fit.lr": p["fit.lr"]} for p in others]) is None


def test_a_single_trial_and_what_is_mixed_share_nothing() -> None:
    assert shared_part(rates(0.5), rates(0.1, 0.2)) is None
    assert shared_part(rates(0.1, 0.3, 0.5), rates(0.2, 0.4, 0.05, 0.6)) is None


def test_a_key_that_only_some_have_parts_nothing_and_true_is_not_one() -> None:
    assert shared_part([{"a": 1, "k": 3}, {"a": 2}], [{"a": 3}]) is None
    assert not SpacePart("k", "is", True).holds({"k": 1})
    assert not SpacePart("k", "from", 1).holds({"k": True})
    assert not SpacePart("k", "from", 1).holds({"a": 5})


def test_parts_are_told_as_a_spec_would_write_them() -> None:
    told = [SpacePart("model.hidden", "is", [384]), SpacePart("fit.lr", "from", 0.0500003), SpacePart("n", "to", 3)]
    assert [part.told for part in told] == ["model.hidden [384]", "fit.lr 0.05 or more", "n 3 or less"]
    assert WHOLE.told == "the whole space" and WHOLE.holds({})

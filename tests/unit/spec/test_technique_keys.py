"""Techniques in specs: names that modules bring, sections in lists, and keys that reach into them."""

from typing import Any

import pytest

from spectral_search.errors import RequestError
from spectral_search.spec.fit import FitSpec
from spectral_search.spec.keys import allowed, kinds_with
from spectral_search.spec.name_registry import LOSSES
from spectral_search.spec.run import RunSpec

MASK, HEAD = {"kind": "mask", "share": 0.2}, {"match": "head.*"}
IN_LISTS: dict[str, Any] = {"fit": {"augment": [MASK], "groups": [HEAD]}}


def spec(**sections: Any) -> RunSpec:
    return RunSpec.from_dict({"stage": "some", "model": {"kind": "mlp"}, **sections})


def faults(**sections: Any) -> str:
    with pytest.raises(RequestError) as raised:
        spec(**sections)
    return " ".join(raised.value.faults)


@pytest.mark.parametrize(
    ("fit", "told"),
    [
        ({"loss": "hubr"}, "fit.loss must be one of bce, focal, huber, l1, mse, found 'hubr'; did you mean huber?"),
        (
            {"label_smoothing": 0.1},
            "label_smoothing (0.1) is of classes, and loss mse of numbers; set it to 0, or use bce or focal",
        ),
        (
            {"weight_average": "emma"},
            "fit.weight_average must be one of ema, none, swa, found 'emma'; did you mean ema?",
        ),
        ({"weight_average": 3}, "fit.weight_average must be one of ema, none, swa, found 3"),
        ({"average_decay": 1.0}, "fit.average_decay must be a number of at least 0 and below 1, found 1.0"),
        (
            {"augment": [{"kind": "msk"}]},
            "of affine, cutmix, mask, mixup, noise, shift, found 'msk'; did you mean mask?",
        ),
        ({"augment": [{"share": 0.1}]}, "fit.augment.0.kind is missing; it must be one of affine, cutmix,"),
        ({"augment": [MASK, {**MASK, "share": 1.0}]}, "fit.augment.1.share must be a number of at least 0 and below 1"),
        ({"augment": [{**MASK, "shar": 0.1}]}, "fit.augment.0.shar does not exist; did you mean fit.augment.0.share?"),
        ({"augment": ["mask"]}, "fit.augment.0 is 'mask', which is not a section of keys"),
        ({"groups": HEAD}, "fit.groups must be a list of values"),
        ({"groups": [{"lr_factor": 2.0}]}, "fit.groups.0.match is missing; it must be text"),
        ({"groups": [{**HEAD, "lr_factr": 2.0}]}, "did you mean fit.groups.0.lr_factor?"),
        ({"groups": [{**HEAD, "lr_factor": 0.0}]}, "fit.groups.0.lr_factor must be a number"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(fit: dict[str, Any], told: str) -> None:
    assert told in faults(fit=fit)


def test_a_technique_that_is_added_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOSSES._added, "own", None)  # taken back afterwards
    LOSSES.add("own", "a loss")
    assert LOSSES.find("own") == "a loss"
    assert spec(fit={"loss": "own"}).fit.loss == "own"
    assert allowed(FitSpec.model_fields["loss"]) == "one of bce, focal, huber, l1, mse, own"


def test_items_of_lists_are_searched_key_by_key() -> None:
    searched = {
        "fit.augment.0.share": {"uniform": [0.0, 0.5]},
        "fit.augment.0.run": {"log_int": [1, 64]},
        "fit.groups.0.lr_factor": {"log_uniform": [0.1, 10.0], "when": {"fit.weight_average": "ema"}},
        "fit.weight_average": {"choice": ["none", "ema"]},
    }
    made = spec(**IN_LISTS, space=searched)
    params = {"fit.augment.0.share": 0.4, "fit.groups.0.lr_factor": 3.0}
    config = made.with_params(params)
    assert [config.value(key) for key in params] == [0.4, 3.0]
    assert config.fit.groups[0].match == "head.*"
    assert made.base.value("fit.augment.0.share") == 0.2, "the base is left as it is"
    assert RunSpec.from_dict(made.to_dict()) == made
    fixed = made.override({"fit.groups.0.lr_factor": 4.0})
    assert fixed.fit.groups[0].lr_factor == 4.0 and "fit.groups.0.lr_factor" not in fixed.space


def test_whole_lists_are_searched_by_choice() -> None:
    lists = {"fit.augment": {"choice": [[], [MASK]]}, "fit.groups": {"choice": [[], [HEAD]]}}
    assert spec(space=lists).with_params({"fit.groups": [HEAD]}).fit.groups[0].lr_factor == 1.0


@pytest.mark.parametrize(
    ("key", "domain", "told"),
    [
        ("fit.groups.1.lr_factor", {"uniform": [1.0, 2.0]}, "because fit.groups has 1 item, counted from 0"),
        ("fit.groups.0.lr_factr", {"uniform": [1.0, 2.0]}, "did you mean fit.groups.0.lr_factor?"),
        ("fit.groups.0.lr_factor", {"uniform": [0.0, 2.0]}, "space.fit.groups.0.lr_factor must be a number"),
        ("fit.augment.0.share", {"choice": [0.5, 1.0]}, "space.fit.augment.0.share must be a number"),
        ("fit.groups.first.lr_factor", {"uniform": [1.0, 2.0]}, "space.fit.groups.first.lr_factor does not exist"),
        ("fit.lr.0.x", {"uniform": [1.0, 2.0]}, "space.fit.lr.0.x does not exist"),
        ("fit.groups.0", {"choice": [1, 2]}, "space.fit.groups.0 does not exist"),
    ],
)
def test_a_key_that_no_item_has_is_refused(key: str, domain: dict[str, Any], told: str) -> None:
    assert told in faults(**IN_LISTS, space={key: domain})


def test_only_items_that_are_sections_have_keys() -> None:
    assert kinds_with("fit.groups.12.lr_factor") == kinds_with("fit.lr")
    assert kinds_with("model.hidden.0.x") == kinds_with("data.root.0.x") == []

"""--set: what it accepts, what it replaces, and what it takes away."""

from typing import Any

import pytest

from spectral_search.errors import RequestError
from spectral_search.spec.sets import apply_sets, parse_set

RAW: dict[str, Any] = {
    "model": {"kind": "cnn", "kernel_size": 9, "dropout": 0.1},
    "fit": {"lr": 1e-3},
    "space": {
        "fit.lr": {"log_uniform": [1e-4, 1e-2]},
        "model.kernel_size": {"choice": [7, 9]},
        "fit.step_epochs": {"choice": [3, 4], "when": {"fit.schedule": "step"}},
        "fit.schedule": {"choice": ["step", "cosine"]},
    },
    "grid": {"fit.lr": [1e-4, 1e-3], "model.kernel_size": [7]},
    "inherit": {"from": "step1", "keys": ["fit.lr", "model.dropout"]},
}


def applied(**values: Any) -> dict[str, Any]:
    new, faults = apply_sets(RAW, {key.replace("__", "."): value for key, value in values.items()})
    assert not faults
    return new


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("fit.lr=1e-3", "fit.lr", 1e-3),
        (" fit.lr =0.1", "fit.lr", 0.1),
        ("model.hidden=[256, 64]", "model.hidden", [256, 64]),
        ("model.norm=no", "model.norm", "no"),
        ("data.root=/a=b/c", "data.root", "/a=b/c"),
        ("fit.patience=null", "fit.patience", None),
        ("fit.patience=", "fit.patience", None),
        ("space.fit.lr={log_uniform: [1e-4, 1e-2]}", "space.fit.lr", {"log_uniform": [1e-4, 1e-2]}),
    ],
)
def test_parse_set(text: str, key: str, value: object) -> None:
    assert parse_set(text) == (key, value)


@pytest.mark.parametrize("text", ["fit.lr", "=3", ".lr=3", "fit.=3", "fit..lr=3", "fit.lr=[1", "fit.lr={a: 1, a: 2}"])
def test_parse_set_refuses_in_one_sentence(text: str) -> None:
    with pytest.raises(RequestError, match="--set") as error:
        parse_set(text)
    assert len(error.value.faults) == 1


def test_a_plain_value_leaves_space_grid_and_inherit() -> None:
    new = applied(fit__lr=0.1)
    assert new["fit"]["lr"] == 0.1
    assert "fit.lr" not in new["space"]
    assert new["grid"] == {"model.kernel_size": [7]}
    assert new["inherit"]["keys"] == ["model.dropout"]


def test_the_original_is_left_unchanged() -> None:
    before = repr(RAW)
    applied(fit__lr=0.1, model__kind="mlp", space__fit__seed={"choice": [1]})
    assert repr(RAW) == before


def test_inherit_goes_when_all_its_keys_are_set() -> None:
    assert applied(fit__lr=0.1, model__dropout=0.2)["inherit"] is None


def test_a_domain_is_replaced_added_and_removed() -> None:
    new = applied(space__fit__lr={"choice": [1]}, space__fit__seed={"int": [1, 9]}, space__model__kernel_size=None)
    assert new["space"]["fit.lr"] == {"choice": [1]}
    assert new["space"]["fit.seed"] == {"int": [1, 9]}
    assert "model.kernel_size" not in new["space"]
    assert new["grid"]["fit.lr"] == [1e-4, 1e-3]
    assert new["inherit"]["keys"] == ["model.dropout"]


def test_a_list_of_products_takes_grid_sets_where_the_key_is() -> None:
    raw = {**RAW, "grid": [{"fit.lr": [1]}, {"fit.seed": [1]}]}
    assert apply_sets(raw, {"grid.fit.lr": [2]})[0]["grid"] == [{"fit.lr": [2]}, {"fit.seed": [1]}]
    assert apply_sets(raw, {"grid.fit.epochs": [2]})[0]["grid"][1] == {"fit.seed": [1], "fit.epochs": [2]}
    assert apply_sets(raw, {"fit.lr": 3})[0]["grid"] == [{}, {"fit.seed": [1]}]


def test_fixing_a_condition_removes_the_domains_it_rules_out() -> None:
    assert "fit.step_epochs" not in applied(fit__schedule="cosine")["space"]
    assert "fit.step_epochs" in applied(fit__schedule="step")["space"]


def test_a_new_kind_drops_what_it_does_not_have() -> None:
    new = applied(model__kind="mlp", model__hidden=[8])
    assert new["model"] == {"kind": "mlp", "dropout": 0.1, "hidden": [8]}
    assert "model.kernel_size" not in new["space"]
    assert "model.kernel_size" not in new["grid"]


def test_the_order_of_kind_and_keys_does_not_matter() -> None:
    assert applied(model__hidden=[8], model__kind="mlp") == applied(model__kind="mlp", model__hidden=[8])


def test_a_whole_section_takes_its_keys_out_of_the_search() -> None:
    new = applied(model={"kind": "vit"})
    assert new["model"] == {"kind": "vit"}
    assert list(new["grid"]) == ["fit.lr"]
    assert new["inherit"]["keys"] == ["fit.lr"]


def test_a_key_below_a_single_value_is_a_fault() -> None:
    _, faults = apply_sets(RAW, {"fit.lr.max": 3})
    assert "fit.lr is a single value" in faults[0].text


CHOSEN: dict[str, Any] = {"model": {"kind": "mlp"}, "data": {"input": {"kind": "signal", "otherwise": "standardize"}}}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"data.input.kind": "signal"}, {"kind": "signal"}),
        ({"data.input.kind": "whiten"}, {"kind": "whiten"}),
        ({"data.input": {"kind": "signal"}}, {"kind": "signal"}),
        (
            {"data.input.otherwise": "whiten", "data.input.kind": "signal"},
            {"kind": "signal", "otherwise": "whiten"},
        ),
        ({"fit.lr": 0.1}, {"kind": "signal", "otherwise": "standardize"}),
    ],
)
def test_an_input_that_is_asked_for_stands(values: dict[str, Any], expected: dict[str, Any]) -> None:
    assert apply_sets(CHOSEN, values)[0]["data"]["input"] == expected


def test_another_network_than_an_mlp_sees_a_signal_by_choice_in_pixels() -> None:
    def seen(**values: Any) -> dict[str, Any]:
        found = apply_sets(CHOSEN, {key.replace("__", "."): value for key, value in values.items()})[0]
        return dict(found["data"]["input"])

    assert seen(model__kind="cnn") == {"kind": "denoised", "otherwise": "standardize"}
    assert seen(model__kind="mlp")["kind"] == "signal"
    # What was asked for is refused, not changed.
    assert seen(model__kind="cnn", data__input__kind="signal")["kind"] == "signal"
    plain = {**CHOSEN, "data": {"input": {"kind": "signal"}}}
    assert apply_sets(plain, {"model.kind": "cnn"})[0]["data"]["input"]["kind"] == "signal"

"""A whole spec: all faults at once, the round trip, one trial's configuration, overrides, grid points."""

from typing import Any

import pytest

from spectral_search.errors import RequestError
from spectral_search.spec.run import RunSpec


def spec(**sections: Any) -> RunSpec:
    return RunSpec.from_dict({"stage": "some", "model": {"kind": "cnn"}, **sections})


def faults(**sections: Any) -> list[str]:
    with pytest.raises(RequestError) as error:
        spec(**sections)
    return list(error.value.faults)


def fault(**sections: Any) -> str:
    found = faults(**sections)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"fitt": {}}, ["fitt does not exist", "did you mean fit?"]),
        ({"lr": 1.0}, ["lr does not exist", "did you mean fit.lr?"]),
        ({"fit": {"learning_rate": 1.0}}, ["fit.learning_rate does not exist", "did you mean fit.lr?"]),
        ({"fit": {"epoch": 3}}, ["did you mean fit.epochs?", "patience"]),
        ({"data": {"input": {"knd": "whiten"}}}, ["data.input.knd", "did you mean data.input.kind?"]),
        ({"fit": {"lr": "fast"}}, ["fit.lr must be a number above 0 and at most 10", "found 'fast'"]),
        ({"fit": {"lr": "1e-3"}}, ["without quotes"]),
        ({"fit": {"lr": -1}}, ["found -1"]),
        ({"fit": {"lr": True}}, ["found true"]),
        ({"fit": {"lr": float("nan")}}, ["fit.lr must be a number"]),
        ({"fit": {"epochs": 10.0}}, ["found 10.0; write 10"]),
        ({"fit": {"patience": 0}}, ["of at least 1 and at most 1000000000 or null", "found 0"]),
        ({"fit": {"schedule": "cosin"}}, ["one of constant, cosine", "did you mean cosine?"]),
        ({"fit": {"epochs": 5, "warmup_epochs": 5}}, ["warmup_epochs (5) must be below epochs (5)"]),
        ({"fit": [1]}, ["fit must be a section", "found [1]"]),
        ({"data": {"input": 3}}, ["data.input must be a section with the keys kind"]),
        ({"data": {"val_draws": "aut"}}, ["or auto", "did you mean auto?"]),
        ({"data": {"root": ["a", 3]}}, ["data.root must be text or a list", "found ['a', 3]"]),
        ({"resources": {"gpus": [-1]}}, ["resources.gpus", "found [-1]"]),
        ({"search": {"sampler": "optuna"}}, ["one of gp, grid, parzen, random, tpe"]),
        ({"model": None}, ["model must be a section", "found null"]),
        ({"model": {"channels": [1]}}, ["model.kind is missing", "cnn, mlp"]),
        ({"model": {"kind": "cnm"}}, ["found 'cnm'", "did you mean cnn?"]),
        ({"model": {"kind": "cnn", "kernel_size": 8}}, ["8 is even", "such as 9"]),
        ({"model": {"kind": "cnn", "channels": 32}}, ["write [32]"]),
        ({"model": {"kind": "cnn", "channels": []}}, ["a list of 1 to 64 values"]),
        (
            {"model": {"kind": "cnn", "hidden": [3]}},
            ["model.hidden does not exist for this kind of model, only for mlp"],
        ),
        ({"model": {"kind": "mlp", "residual": "yes"}}, ["true or false", "write true"]),
        ({"model": {"kind": "mlp", "norm": "no"}}, ["model.norm must be one of none, batch", "found 'no'"]),
        ({"model": {"kind": "vit", "width": 100}}, ["width 100 does not divide into 8 heads"]),
        ({"model": {"kind": "res_cnn", "dilations": [1, 2]}}, ["dilations has 2 values for 4 blocks"]),
        ({"data": {"input": {"top_pixels": 9}}}, ["data.input.top_pixels", "use null, or model.kind mlp"]),
        ({"stage": "a b"}, ["stage must be made of letters", "found 'a b'"]),
        ({"description": 3}, ["description must be text, found 3"]),
        ({"provenance": "x"}, ["provenance must be a section"]),
        ({"inherit": {"keys": ["fit.lr"]}}, ["inherit.from is missing"]),
        ({"inherit": {"from": "step1", "keys": []}}, ["inherit.keys must be a list of 1 or more"]),
        ({"inherit": {"from": "step1", "keys": ["fit.l"]}}, ["fit.l does not exist", "did you mean fit.lr?"]),
        ({"inherit": {"from": "step1", "keys": ["search.trials"]}}, ["cannot vary between trials"]),
        ({"space": [1]}, ["space must give each searched key a domain"]),
        ({"space": {"fit.lrr": {"uniform": [0, 1]}}}, ["space.fit.lrr does not exist", "did you mean fit.lr?"]),
        ({"space": {"fit.lr": {"uniform": [0, 1]}}}, ["space.fit.lr must be a number above 0", "found 0.0"]),
        ({"space": {"fit.lr": {"uniform": [0.1, 11]}}}, ["at most 10", "found 11.0"]),
        ({"space": {"fit": {"choice": [1]}}}, ["space.fit is a whole section"]),
        ({"space": {"data.num_train": {"int": [1, 2]}}}, ["space.data.num_train cannot vary between trials"]),
        (
            {"space": {"model.hidden": {"choice": [[3]]}}},
            ["does not exist for cnn, only for mlp", "vary model.kind too"],
        ),
        ({"space": {"model.kernel_size": {"choice": [7, 8]}}}, ["space.model.kernel_size: 8 is even"]),
        ({"space": {"model.kernel_size": {"int": [7, 21]}}}, ["space.model.kernel_size: 8 is even"]),
        ({"space": {"fit.batch_size": {"log_uniform": [16, 64]}}}, ["takes whole numbers; use log_int"]),
        ({"space": {"fit.schedule": {"choice": ["cosine", "stepp"]}}}, ["found 'stepp'", "did you mean step?"]),
        ({"grid": 3}, ["grid must give each key a list"]),
        ({"grid": {"fit.lr": 0.1}}, ["grid.fit.lr must be a list of values, found 0.1; write [0.1]"]),
        ({"grid": {"fit.lr": []}}, ["grid.fit.lr is empty"]),
        ({"grid": {"fit.lr": [0.1, 0.1]}}, ["holds 0.1 more than once"]),
        ({"grid": {"fit.lr": [-0.1]}}, ["grid.fit.lr must be a number above 0", "found -0.1"]),
        ({"grid": {"fit.lrr": [0.1]}}, ["grid.fit.lrr does not exist", "did you mean fit.lr?"]),
        ({"grid": [{"model.hidden": [[3]]}]}, ["grid.model.hidden does not exist for cnn"]),
        ({"grid": {"fit.epochs": [5], "fit.warmup_epochs": [1, 6]}}, ["warmup_epochs (6) must be below epochs (5)"]),
        ({"grid": {"fit.seed": list(range(200)), "model.dropout": [n / 200 for n in range(200)]}}, ["40,000 points"]),
    ],
)
def test_each_fault_is_one_plain_sentence(sections: dict[str, Any], words: list[str]) -> None:
    text = fault(**sections)
    for word in words:
        assert word in text
    assert "\n" not in text
    assert not text.startswith(":")
    for jargon in ("pydantic", "http", "Input should", "type=", "[type", "discriminator", "Section"):
        assert jargon not in text


def test_all_faults_come_at_once() -> None:
    found = faults(
        typo=1,
        model={"kind": "cnn", "kernel_size": 8, "norms": "batch"},
        fit={"lr": -1, "epoch": 3},
        data={"num_train": 0},
        search={"trials": "many"},
        resources=3,
        space={"fit.lr": {"log_uniform": [1, 0.1]}, "fit.lrr": {"uniform": [0, 1]}, "model.kernel": {"choice": []}},
        grid={"fit.lrs": [1.0], "fit.seed": []},
        inherit={"from": "step1", "keys": ["fit.x"]},
    )
    for key in (
        *("typo", "model.kernel_size", "model.norms", "fit.lr must", "fit.epoch ", "data.num_train", "search.trials"),
        *("resources", "space.fit.lr.log_uniform", "space.fit.lrr", "space.model.kernel.choice", "space.model.kernel "),
        *("grid.fit.lrs", "grid.fit.seed", "fit.x"),
    ):
        assert any(key in text for text in found), key
    assert len(found) == 15


def test_values_are_tried_although_another_key_is_misspelt() -> None:
    found = faults(
        space={"fit.lrr": {"uniform": [0, 1]}, "model.kernel_size": {"choice": [8]}}, grid={"x": [1], "fit.lr": [-1]}
    )
    assert len(found) == 4


def test_two_searched_keys_are_judged_together() -> None:
    pair = {"fit.epochs": {"choice": [5, 100]}, "fit.warmup_epochs": {"choice": [0, 10]}}
    assert "space.fit.epochs with space.fit.warmup_epochs allows an impossible pair" in fault(space=pair)


def test_a_searched_key_is_not_judged_by_the_base_value_of_another_searched_key() -> None:
    space = {"fit.epochs": {"choice": [5, 100]}, "fit.warmup_epochs": {"choice": [0, 2]}}
    assert spec(fit={"epochs": 100, "warmup_epochs": 10}, space=space).space


def test_a_searched_key_is_judged_by_the_base_value_of_a_fixed_key() -> None:
    text = fault(fit={"warmup_epochs": 10}, space={"fit.epochs": {"choice": [5, 100]}})
    assert "warmup_epochs (10) must be below epochs (5)" in text


def test_impossible_pair_hidden_by_a_condition_is_fine() -> None:
    space = {
        "fit.epochs": {"choice": [5, 100]},
        "fit.warmup_epochs": {"choice": [10], "when": {"fit.epochs": 100}},
    }
    assert spec(space=space).space


def test_searched_kind_makes_foreign_keys_valid() -> None:
    made = spec(
        space={
            "model.hidden": {"choice": [[64], [128, 32]]},
            "model.kernel_size": {"choice": [7, 9], "when": {"model.kind": "cnn"}},
            "model.kind": {"choice": ["cnn", "mlp", "res_cnn"]},
            "model.dropout": {"uniform": [0.0, 0.5]},
        }
    )
    assert made.search_order()[0] == "model.kind"
    active = {
        kind: [key for key in made.space if made.is_active(key, {"model.kind": kind})]
        for kind in ("cnn", "mlp", "res_cnn")
    }
    assert active["cnn"] == ["model.kernel_size", "model.kind", "model.dropout"]
    assert active["mlp"] == ["model.hidden", "model.kind", "model.dropout"]
    assert active["res_cnn"] == ["model.kind", "model.dropout"]


def test_choices_are_tried_in_every_kind_that_has_the_key() -> None:
    text = fault(space={"model.kind": {"choice": ["cnn", "res_cnn"]}, "model.channels": {"choice": [[32], [64]]}})
    assert "space.model.channels must be a whole number" in text


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ({"model.kindd": "cnn"}, "did you mean model.kind?"),
        ({"model.kind": "mlp"}, "is never met: model.kind is not searched and stays 'cnn'"),
        ({"fit.schedule": "cosnie"}, "names 'cosnie', which space.fit.schedule never proposes"),
        ({"fit.final_lr_fraction": 0.1}, "depend on itself"),
        ({"fit.step_epochs": 3}, "in a circle"),
    ],
)
def test_conditions_that_cannot_be_met(when: dict[str, Any], words: str) -> None:
    space = {
        "fit.schedule": {"choice": ["cosine", "step"]},
        "fit.final_lr_fraction": {"choice": [0.0, 0.1], "when": when},
        "fit.step_epochs": {"choice": [3, 4], "when": {"fit.final_lr_fraction": 0.1}},
    }
    if "in a circle" not in words and "itself" not in words:
        del space["fit.step_epochs"]
    assert any(words in text for text in faults(space=space))


def test_condition_chains_are_ordered_and_judged() -> None:
    made = spec(
        space={
            "fit.step_factor": {"uniform": [0.1, 0.5], "when": {"fit.step_epochs": [3]}},
            "fit.step_epochs": {"choice": [3, 4], "when": {"fit.schedule": "step"}},
            "fit.schedule": {"choice": ["cosine", "step"]},
        }
    )
    assert made.search_order() == ["fit.schedule", "fit.step_epochs", "fit.step_factor"]
    assert made.is_active("fit.step_factor", {"fit.schedule": "step", "fit.step_epochs": 3})
    assert not made.is_active("fit.step_factor", {"fit.schedule": "step", "fit.step_epochs": 4})
    assert not made.is_active("fit.step_factor", {"fit.schedule": "cosine"})


FULL = {
    "description": "no: 1e-3 # not a comment",
    "data": {"root": ["/a/*", "b"], "num_train": 100, "input": {"kind": "whiten", "clamp": 1e-5}},
    "model": {"kind": "res_cnn", "parallel_kernels": [3, 7]},
    "fit": {"lr": 1, "patience": None, "precision": "bfloat16"},
    "space": {
        "fit.lr": {"log_uniform": [1e-5, 1e-2]},
        "model.norm": {"choice": ["none", "batch"]},
        "model.head": {"choice": [[], [128]], "when": {"model.norm": "batch"}},
        "data.input.clamp": {"choice": [None, 5.0]},
    },
    "grid": [{"fit.lr": [1e-4, 0.1]}, {"model.dilations": [[1, 2, 4, 8]]}],
    "search": {"storage": "postgresql://u:${PASSWORD}@h/db", "sampler": "gp"},
    "resources": {"gpus": [0, 1], "gpus_per_trial": 0.5},
    "inherit": {"from": "step1", "keys": ["fit.weight_decay"]},
    "provenance": {"trial": 3, "versions": {"torch": "2.1"}, "list": [{"a": 1}]},
}


def test_plain_values_round_trip() -> None:
    made = spec(**FULL)
    assert RunSpec.from_dict(made.to_dict()) == made
    assert made.to_dict()["search"]["storage"] == "postgresql://u:${PASSWORD}@h/db"


def test_with_params_puts_values_in_and_refuses_impossible_ones() -> None:
    made = spec(fit={"lr": 1e-3})
    config = made.with_params({"fit.lr": 0.01, "data.input.kind": "whiten", "model.kernel_size": 9})
    assert (config.fit.lr, config.data.input.kind, config.model.kernel_size) == (0.01, "whiten", 9)
    assert config.fit.epochs == made.fit.epochs
    assert made.with_params({}) == made.base
    for params in ({"model.kernel_size": 8}, {"fit.lr": "a"}, {"fit.lrr": 1}, {"model.hidden": [3]}):
        with pytest.raises(RequestError, match=next(iter(params)).replace(".", r"\.")):
            made.with_params(params)


def test_with_params_changing_the_kind_keeps_what_was_set_and_fits() -> None:
    made = spec(model={"kind": "cnn", "channels": [8, 8], "kernel_size": 9, "dropout": 0.25, "activation": "silu"})
    config = made.with_params({"model.kind": "res_cnn", "model.hidden": [3], "model.blocks": 2})
    assert config.model.kind == "res_cnn"
    assert (config.model.kernel_size, config.model.dropout, config.model.activation) == (9, 0.25, "silu")
    assert (config.model.channels, config.model.norm) == (64, "batch")
    assert RunSpec.from_dict(made.to_dict()).with_params({"model.kind": "res_cnn", "model.blocks": 2}) == config


def test_grid_points_are_a_union_of_products_without_repeats() -> None:
    made = spec(grid=[{"fit.lr": [0.1, 0.2], "fit.seed": [1, 2]}, {"fit.seed": [1], "fit.lr": [0.1, 0.3]}])
    assert made.grid_points() == [
        {"fit.lr": 0.1, "fit.seed": 1},
        {"fit.lr": 0.1, "fit.seed": 2},
        {"fit.lr": 0.2, "fit.seed": 1},
        {"fit.lr": 0.2, "fit.seed": 2},
        {"fit.seed": 1, "fit.lr": 0.3},
    ]
    assert made.grid_size() == 5


def test_grid_over_kinds_drops_foreign_keys() -> None:
    made = spec(grid={"model.kind": ["cnn", "mlp"], "model.kernel_size": [7, 9], "fit.lr": [0.1]})
    assert made.grid_size() == 3
    assert made.grid_points()[-1] == {"model.kind": "mlp", "fit.lr": 0.1}
    for point in made.grid_points():
        made.with_params(point)


def test_no_grid_has_the_base_as_its_one_point() -> None:
    assert spec().grid_points() == [{}]
    assert spec().grid_size() == 0


def test_grid_sampler_needs_a_grid_when_something_is_searched() -> None:
    search = {"sampler": "grid"}
    assert "there is no grid" in fault(search=search, space={"fit.lr": {"uniform": [0.1, 0.2]}})
    assert spec(search=search).grid_points() == [{}]


def test_override_fixes_keys() -> None:
    made = spec(
        space={"fit.lr": {"uniform": [0.1, 0.2]}, "fit.seed": {"choice": [1, 2]}},
        grid={"fit.lr": [0.1, 0.2], "fit.seed": [1, 2]},
        inherit={"from": "step1", "keys": ["fit.weight_decay", "model.dropout"]},
    )
    assert made.pending_inherit() == ["fit.weight_decay", "model.dropout"]
    assert made.pending_inherit({"model.dropout"}) == ["fit.weight_decay"]
    new = made.override({"fit.lr": 0.5, "fit.weight_decay": 1e-3})
    assert (new.fit.lr, new.fit.weight_decay) == (0.5, 1e-3)
    assert list(new.space) == ["fit.seed"]
    assert new.grid == {"fit.seed": [1, 2]}
    assert new.pending_inherit() == ["model.dropout"]
    assert new.override({"model.dropout": 0.1}).inherit is None
    assert made.fit.lr == 1e-3
    with pytest.raises(RequestError, match=r"fit\.lr must be"):
        made.override({"fit.lr": -1})


def test_fixed_is_one_trial_alone() -> None:
    made = spec(**FULL).fixed({"fit.lr": 0.5}, {"trial": 7})
    assert (made.fit.lr, made.space, made.grid, made.inherit) == (0.5, {}, {}, None)
    assert made.provenance == {"trial": 7}
    assert RunSpec.from_dict(made.to_dict()) == made


def test_a_trial_value_by_dotted_key() -> None:
    base = spec(data={"input": {"clamp": 3.0}}).base
    assert (base.value("data.input.clamp"), base.value("model.kernel_size")) == (3.0, 7)
    for key in ("model.hidden", "fit.lr.x", "model.to_dict"):
        with pytest.raises(KeyError):
            base.value(key)


@pytest.mark.parametrize("kind", [[1], {"a": 1}, None, 3, "cnm"])
def test_a_kind_that_is_none_is_refused_wherever_it_stands(kind: object) -> None:
    assert any("model.kind" in text for text in faults(model={"kind": kind}))
    assert any("model.kind" in text for text in faults(grid={"model.kind": [kind]}))
    assert any("model.kind" in text for text in faults(space={"model.kind": {"choice": ["cnn", kind]}}))
    for change in (spec().override, spec().with_params):
        with pytest.raises(RequestError, match=r"model\.kind"):
            change({"model.kind": kind})

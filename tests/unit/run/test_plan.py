"""Plans: what they say of rungs, and every number of a spec at its bounds, planned or refused in one sentence."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from looked_at import look_once
from numeric_leaves import Leaf, numeric_leaves
from rich.console import Console
from tiny_search import make_tiny_data, tiny_document

from spectral_search.errors import RequestError
from spectral_search.run.plan import late_decision, make_plan
from spectral_search.run.plan_view import render_plan
from spectral_search.spec.run import RunSpec
from spectral_search.tasks.spectra.shards.data_root import DataRoot


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> DataRoot:
    return DataRoot.find(str(make_tiny_data(tmp_path_factory.mktemp("data"))))


@pytest.fixture(scope="module")
def looked_at_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        look_once(patch)
        yield


@pytest.mark.usefixtures("looked_at_once")
@pytest.mark.parametrize("leaf", numeric_leaves(), ids=lambda leaf: leaf.name)
def test_a_number_at_its_bounds_is_planned_or_refused(root: DataRoot, leaf: Leaf) -> None:
    for number in (leaf.low, leaf.high):
        assert number is not None
        try:
            spec = RunSpec.from_dict(tiny_document(Path("data"), leaf, number))
            plan = make_plan(spec, root, [leaf.key], executor="inline")
        except RequestError as error:
            assert error.faults and all(len(text) < 400 for text in error.faults), error.faults
        else:
            assert plan.trials > 0 and plan.epochs > 0
            plan.document()


@pytest.mark.parametrize(("gpus", "told"), [([0, 1], True), ([], False), ("auto", False)])
def test_indices_of_gpus_mean_nothing_on_a_cluster(root: DataRoot, gpus: Any, told: bool) -> None:
    resources = {"gpus": gpus, "address": "10.0.0.5:6379"}
    document = {"stage": "some", "model": {"kind": "mlp", "hidden": [4]}, "resources": resources}
    plan = make_plan(RunSpec.from_dict(document), root)
    assert any("resources.gpus names GPUs of one machine" in note for note in plan.notes) == told
    assert plan.memory is not None and plan.document()["process_bytes"] > 250e6


@pytest.mark.parametrize(
    ("pruner", "told"),
    [
        ("halving", "at most 152 epochs in all, 9,120 spectra x epochs"),
        (
            "promote",
            "about 114 epochs in all, 6,840 spectra x epochs; more where later trials lead again and again, 800 epochs",
        ),
        ("none", "at most 800 epochs in all, 48,000 spectra x epochs"),
    ],
)
def test_a_plan_says_about_how_many_epochs_and_the_most(root: DataRoot, pruner: str, told: str) -> None:
    search = {"trials": 40, "pruner": pruner}
    document = {"stage": "some", "model": {"kind": "mlp", "hidden": [4]}, "fit": {"epochs": 20}, "search": search}
    plan = make_plan(RunSpec.from_dict({**document, "space": {"fit.lr": {"log_uniform": [1e-4, 1e-2]}}}), root)
    Console(file=(file := StringIO()), width=200).print(render_plan(plan))
    assert told in file.getvalue()
    assert plan.document()["most_spectra_epochs"] == (800 if pruner == "promote" else plan.epochs) * 60


@pytest.mark.parametrize("asked", [{}, {"allow_oversize": True}, {"memory_gb_per_trial": 0}])
def test_a_plan_shows_what_is_asked_of_a_node_where_anything_is(root: DataRoot, asked: dict[str, Any]) -> None:
    resources = {"address": "10.0.0.5:6379", **asked}
    document = {"stage": "some", "model": {"kind": "mlp", "hidden": [4]}, "resources": resources}
    Console(file=(file := StringIO()), width=200).print(render_plan(make_plan(RunSpec.from_dict(document), root)))
    assert ("of its machine for a process that does" in file.getvalue()) == (not asked)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"search": {"min_epochs": 2}, "fit": {"epochs": 2}}, "search.min_epochs (2) is not below fit.epochs (2)"),
        ({"search": {"min_epochs": 1}, "fit": {"epochs": 2}}, None),
        ({"search": {"min_epochs": 9, "pruner": "none"}, "fit": {"epochs": 2}}, None),
        ({"search": {"min_epochs": 3}, "space": {"fit.epochs": {"choice": [2, 4]}}}, None),
        ({"search": {"min_epochs": 4}, "space": {"fit.epochs": {"choice": [2, 4]}}}, "not below fit.epochs (4)"),
    ],
)
def test_a_first_rung_that_no_trial_comes_to_is_told(root: DataRoot, changes: dict[str, Any], said: str | None) -> None:
    document = {"stage": "some", "model": {"kind": "mlp", "hidden": [4]}, "resources": {"gpus": []}, **changes}
    notes = " ".join(make_plan(RunSpec.from_dict(document), root, executor="inline").notes)
    assert (said or "search.min_epochs") in notes if said else "search.min_epochs" not in notes


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"kind": "vit", "width": 10, "heads": 4}, ["width 10 does not divide into 4 heads"]),
        ({"kind": "vit", "patch": 65}, ["patch is 65", "64 pixels"]),
        ({"kind": "cnn", "kernel_size": 65}, ["kernel of 65 spans 65 pixels"]),
        ({"kind": "cnn", "channels": [4] * 7}, ["channels has 7 layers", "this one has 64"]),
        ({"kind": "res_cnn", "blocks": 3, "dilations": [1, 2]}, ["dilations has 2 values for 3 blocks"]),
        ({"kind": "res_cnn", "dilations": [64]}, ["at dilation 64 spans"]),
        ({"kind": "moe_cnn", "average_to": 64}, ["average_to is 64"]),
    ],
)
def test_numbers_that_do_not_go_together_are_refused(root: DataRoot, model: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(RequestError) as error:
        make_plan(RunSpec.from_dict({"stage": "some", "model": model, "resources": {"gpus": []}}), root)
    for word in words:
        assert any(word in sentence for sentence in error.value.faults), error.value.faults


def test_groups_of_parameters_that_some_trials_network_does_not_have_are_refused(root: DataRoot) -> None:
    document: dict[str, Any] = {
        "stage": "some",
        "model": {"kind": "mlp", "hidden": [4]},
        "fit": {"groups": [{"match": "head.*", "lr_factor": 2.0}]},
        "space": {"fit.groups.0.lr_factor": {"log_uniform": [0.5, 5.0]}},
        "resources": {"gpus": []},
    }
    assert make_plan(RunSpec.from_dict(document), root, executor="inline").trials > 0
    document["fit"]["groups"] += [{"match": "layers.7.*"}]
    with pytest.raises(RequestError, match=r"fit.groups.1.match 'layers.7.\*' matches no parameter"):
        make_plan(RunSpec.from_dict(document), root, executor="inline")


def spec_of(epochs: int, **search: Any) -> RunSpec:
    return RunSpec.from_dict({"stage": "s", "model": {"kind": "mlp"}, "fit": {"epochs": epochs}, "search": search})


@pytest.mark.parametrize(
    ("search", "trials", "warned"),
    [
        ({"min_epochs": 15}, 12, True),
        ({"min_epochs": 25}, 12, True),  # no decision at all
        ({"min_epochs": 10}, 12, False),  # half of them
        ({"min_epochs": 15, "pruner": "asha"}, 12, True),
        ({"min_epochs": 15, "pruner": "none"}, 12, False),
        ({"min_epochs": 15}, 3, False),  # all three are finalists
        ({"min_epochs": 15, "pruner": "asha"}, 1, False),
        ({}, 12, False),
    ],
)
def test_a_late_first_decision_is_warned_of(search: dict[str, Any], trials: int, warned: bool) -> None:
    found = late_decision(spec_of(20, **search), trials)
    assert (found is not None) == warned
    if found is not None:
        assert f"{12 * min(search['min_epochs'], 20)} of the 240 epochs" in found and "search.min_epochs=2" in found

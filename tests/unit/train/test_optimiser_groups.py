"""Parts of a network with rates of their own: who is in which, what they keep through a schedule, what is refused."""

from typing import Any

import pytest
import torch
from small_dataset import small_dataset, trial_config
from torch import nn

from spectral_search.errors import RequestError
from spectral_search.spec.fit import FitSpec
from spectral_search.task.training import InputShape
from spectral_search.tasks.spectra.training.dataset import Dataset
from spectral_search.train.member import Member
from spectral_search.train.optimiser_groups import optimiser_groups, require_groups
from spectral_search.train.trainer import Trainer

CPU = torch.device("cpu")
NAMED = [(name, nn.Parameter(torch.zeros(2))) for name in ("a.weight", "a.bias", "head.weight", "head.bias")]
HEAD: dict[str, Any] = {"match": "head.*", "lr_factor": 3.0, "weight_decay": 0.0}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    torch.set_num_threads(1)
    return small_dataset(300, 150, draws=1)


def fit_of(*groups: dict[str, Any], **fit: Any) -> FitSpec:
    return FitSpec.model_validate({"lr": 0.01, "weight_decay": 0.1, "groups": list(groups), **fit})


def names_of(groups: list[dict[str, Any]]) -> list[list[str]]:
    by_id = {id(value): name for name, value in NAMED}
    return [[by_id[id(value)] for value in group["params"]] for group in groups]


def test_without_groups_all_parameters_are_one() -> None:
    (group,) = optimiser_groups(NAMED, fit_of())
    assert (group["lr"], group["initial_lr"], group["weight_decay"]) == (0.01, 0.01, 0.1)
    assert names_of([group]) == [[name for name, _ in NAMED]]


def test_each_parameter_belongs_to_the_first_pattern_that_matches() -> None:
    groups = optimiser_groups(NAMED, fit_of(HEAD, {"match": "*.bias", "lr_factor": 0.5}))
    assert names_of(groups) == [["a.weight"], ["head.weight", "head.bias"], ["a.bias"]]
    assert [group["initial_lr"] for group in groups] == [0.01, pytest.approx(0.03), 0.005]
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0, 0.1]


def test_patterns_may_leave_no_rest() -> None:
    assert names_of(optimiser_groups(NAMED, fit_of({"match": "*"}))) == [[name for name, _ in NAMED]]


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        (
            ({"match": "heads.*"},),
            "fit.groups.0.match 'heads.*' matches no parameter of this network; there are a.",
        ),
        (({"match": "*"}, HEAD), "fit.groups.1.match 'head.*' matches only parameters that an earlier group has"),
    ],
)
def test_a_pattern_without_parameters_is_refused(groups: tuple[dict[str, Any], ...], told: str) -> None:
    with pytest.raises(RequestError) as raised:
        optimiser_groups(NAMED, fit_of(*groups))
    assert told in str(raised.value)


@pytest.mark.parametrize(
    "model",
    [
        {"kind": "mlp", "hidden": [8, 8], "norm": "batch", "init": "xavier"},
        {"kind": "cnn", "channels": [4], "init": "kaiming"},
        {"kind": "res_cnn", "stem_channels": 4, "channels": 4, "blocks": 1},
        {"kind": "vit", "patch": 16, "width": 8, "layers": 1, "heads": 2, "tokeniser": "sliding_window"},
        {"kind": "moe_cnn", "channels": [4], "gate": "learned"},
    ],
    ids=lambda model: model["kind"],
)
def test_every_kind_of_network_is_asked_for_its_names_without_weights(model: dict[str, Any]) -> None:
    for pattern, fits in (("*", True), ("*.bias", True), ("hat.*", False)):
        config = trial_config(model, {"groups": [{"match": pattern}]})
        if fits:
            require_groups(config, InputShape(channels=1, length=64))
        else:
            with pytest.raises(RequestError, match=r"matches no parameter of this network; there are .*weight"):
                require_groups(config, InputShape(channels=1, length=64))


def test_a_floor_above_the_rate_of_a_group_is_refused() -> None:
    with pytest.raises(ValueError, match="above the rate of group 0"):
        fit_of({"match": "head.*", "lr_factor": 0.1}, schedule="cosine", lr_floor=0.005)


def trained(dataset: Dataset, members: int, *, model: dict[str, Any] | None = None, **fit: Any) -> list[Member]:
    trainer = Trainer(dataset, CPU)
    made = [trainer.member(number, trial_config(model, {"epochs": 3, **fit})) for number in range(members)]
    for _ in range(2):
        trainer.run_epoch(made)
    return made


@pytest.mark.parametrize("model", [None, {"kind": "cnn", "channels": [4], "kernel_size": 5}], ids=["mlp", "cnn"])
@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "step"])
def test_each_group_keeps_its_factor_through_a_schedule(
    dataset: Dataset, model: dict[str, Any] | None, schedule: str
) -> None:
    (member,) = trained(dataset, 1, model=model, schedule=schedule, step_epochs=1, groups=[HEAD])
    rest, head = member.optimizer.param_groups
    assert head["lr"] == pytest.approx(3.0 * rest["lr"])
    assert rest["lr"] != rest["initial_lr"]
    assert member.history[-1]["lr"] == rest["lr"]


def test_a_group_of_everything_with_nothing_of_its_own_changes_no_bit(dataset: Dataset) -> None:
    for plain, grouped in zip(trained(dataset, 2), trained(dataset, 2, groups=[{"match": "head.*"}]), strict=True):
        for value, peer in zip(plain.model.parameters(), grouped.model.parameters(), strict=True):
            assert torch.equal(value, peer)


def test_a_group_trains_as_with_its_own_rate_in_a_pack_as_alone(dataset: Dataset) -> None:
    """With a rate next to 0 for all but the head, only that moves."""
    slow = {"match": "layers.*", "lr_factor": 1e-9}
    start = Trainer(dataset, CPU).member(0, trial_config(None, {"epochs": 3}))
    for members in (1, 2):
        member = trained(dataset, members, weight_decay=0.0, groups=[slow])[0]
        moved = {
            name: float((value.detach() - dict(start.model.named_parameters())[name].detach()).abs().max())
            for name, value in member.model.named_parameters()
        }
        assert all((change > 1e-3) == name.startswith("head") for name, change in moved.items()), moved


def test_names_are_those_within_the_network_beside_a_ridge(dataset: Dataset) -> None:
    (member,) = trained(dataset, 1, target="ridge_residual", groups=[HEAD])
    assert [len(group["params"]) for group in member.optimizer.param_groups] == [2, 2]

"""A member's numbers do not depend on its pack: who is in it, who leaves it, or whether memory ran out on the way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_dataset import small_dataset, trial_config

from spectral_search.models.mlp_stack import MlpStack
from spectral_search.record.paths import RunPaths
from spectral_search.spec.run import TrialConfig
from spectral_search.tasks.spectra.training.dataset import Dataset
from spectral_search.train.checkpoint import load_checkpoint, save_checkpoint
from spectral_search.train.member import Member
from spectral_search.train.pack import SinglePack, StackPack, make_packs
from spectral_search.train.trainer import Trainer

CPU = torch.device("cpu")
EPOCHS = 4
BATCHES = 6
"""Of an epoch of the dataset below."""
MIXED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"hidden": [32]}, {}),
    ({"hidden": [24, 8], "activation": "gelu", "dropout": 0.2}, {"lr": 1e-2, "schedule": "cosine"}),
    ({"hidden": [24, 8], "activation": "gelu"}, {"weight_decay": 0.1, "grad_clip": None}),
    ({"hidden": [32], "dropout": 0.3, "norm": "batch"}, {"lr": 5e-3, "loss": "huber"}),
    ({"hidden": [16, 16], "residual": True, "norm": "layer"}, {"schedule": "one_cycle", "loss": "l1"}),
    ({"hidden": [16, 16], "residual": True, "norm": "layer", "stochastic_depth": 0.3}, {"loss": "l1"}),
    ({"hidden": [32], "norm": "batch"}, {"grad_clip": 0.05, "warmup_epochs": 1.0}),
    ({"hidden": [24, 24], "norm": "group", "norm_layers": "first", "activation": "silu"}, {"lr": 3e-2}),
    ({"hidden": [32]}, {"target": "ridge_residual", "ridge_alpha": 20.0}),
    ({"kind": "cnn", "channels": [4], "kernel_size": 5, "norm": "batch", "dropout": 0.2}, {}),
    ({"hidden": [32]}, {"lr": 1.0}),
    ({"hidden": [32]}, {"lr": 1e-30, "patience": 1}),  # nothing changes, so it stops
]
BATCH_NORMED = {"hidden": [16, 8], "norm": "batch", "dropout": 0.2}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return small_dataset(400, 400)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def config_of(model: dict[str, Any], fit: dict[str, Any], precision: str = "float32") -> TrialConfig:
    kind = {"kind": "mlp", **model}
    return trial_config(kind, {"epochs": EPOCHS, "precision": precision, **fit})


def train(trainer: Trainer, members: list[Member], epochs: int = EPOCHS) -> None:
    """Train together; who is finished leaves."""
    for _ in range(epochs):
        if not (going := [member for member in members if not member.finished]):
            break
        for result in trainer.run_epoch(going).values():
            assert isinstance(result, dict), result


def curve(member: Member) -> list[float]:
    return [record["val_r2"] for record in member.history]


def alone(dataset: Dataset, number: int, config: TrialConfig, epochs: int = EPOCHS) -> Member:
    trainer = Trainer(dataset, CPU)
    member = trainer.member(number, config)
    train(trainer, [member], epochs)
    return member


def assert_alike(member: Member, other: Member) -> None:
    """The same curve and the same weights, but for the last digits of products that are cut up otherwise."""
    np.testing.assert_allclose(curve(member), curve(other), atol=1e-4)
    for (name, value), peer in zip(member.model.state_dict().items(), other.model.state_dict().values(), strict=True):
        torch.testing.assert_close(value, peer, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_whatever_else_is_in_the_pack_a_members_curve_is_its_own(dataset: Dataset, precision: str) -> None:
    configs = [config_of(model, fit, precision) for model, fit in MIXED]
    trainer = Trainer(dataset, CPU)
    members = [trainer.member(number, config) for number, config in enumerate(configs)]
    # In float32 machine code knows all steps of those without norms and skips, which are a pack then.
    sizes = [1, 1, 5, 5] if precision == "float32" else [1, 1, 10]
    assert sorted(len(pack.members) for pack in make_packs(members)) == sizes
    train(trainer, members)
    lengths = [len(member.history) for member in members]
    assert lengths[:-1] == [EPOCHS] * (len(MIXED) - 1)
    assert lengths[-1] < EPOCHS, "no member stopped early: the test shows less than it says"
    assert max(curve(members[0])) > 0.6
    for number, (member, config) in enumerate(zip(members, configs, strict=True)):
        np.testing.assert_allclose(curve(member), curve(alone(dataset, number, config)), atol=1e-3, err_msg=str(number))


def test_members_leave_and_join_where_others_stay(dataset: Dataset) -> None:
    configs = [config_of(*MIXED[index]) for index in (1, 5, 2, 3)]
    trainer = Trainer(dataset, CPU)
    first, second, third, late = (trainer.member(number, config) for number, config in enumerate(configs))
    train(trainer, [first, second, third], 1)
    train(trainer, [third, first], 1)
    train(trainer, [late], 2)
    train(trainer, [late, first], 2)
    for number, member in ((0, first), (3, late)):
        assert_alike(member, alone(dataset, number, configs[number]))
    assert_alike(second, alone(dataset, 1, configs[1], 1))
    assert_alike(third, alone(dataset, 2, configs[2], 2))


def test_networks_beside_a_ridge_are_what_they_are_alone(dataset: Dataset) -> None:
    """By steps in machine code, and bit for bit."""
    configs = [config_of({"hidden": [8]}, {"target": "ridge_residual", "ridge_alpha": alpha}) for alpha in (1.0, 20.0)]
    trainer = Trainer(dataset, CPU)
    members = [trainer.member(number, config) for number, config in enumerate(configs)]
    (pack,) = make_packs(members)
    assert len(pack.members) == 2
    train(trainer, members, 1)
    for number, (member, config) in enumerate(zip(members, configs, strict=True)):
        peer = alone(dataset, number, config, 1)
        assert curve(member) == curve(peer)
        for name, value in peer.model.state_dict().items():
            assert torch.equal(member.model.state_dict()[name], value), name


@pytest.mark.parametrize("together_first", [True, False])
def test_a_checkpoint_moves_between_packs(dataset: Dataset, tmp_path: Path, together_first: bool) -> None:
    configs = [config_of(BATCH_NORMED, {"lr": lr, "schedule": "cosine"}) for lr in (3e-3, 1e-2)]
    paths = RunPaths(tmp_path, "run").trial(0).create()
    before, after = Trainer(dataset, CPU), Trainer(dataset, CPU)
    members = [before.member(number, config) for number, config in enumerate(configs)]
    train(before, members if together_first else members[:1], 2)
    save_checkpoint(members[0], paths)
    resumed = after.member(0, configs[0])
    assert load_checkpoint(resumed, paths)
    company = [] if together_first else [after.member(1, configs[1])]
    train(after, company, 2) if company else None
    train(after, [resumed, *company], 2)
    assert_alike(resumed, alone(dataset, 0, configs[0]))


def out_of_memory_above(monkeypatch: pytest.MonkeyPatch, method: str, most: int, error: Exception) -> list[int]:
    """Let a method of stacks of more than `most` networks run out of memory in training; the sizes seen."""
    original: Callable[..., Any] = getattr(MlpStack, method)
    seen: list[int] = []

    def limited(self: MlpStack, *args: Any) -> Any:
        result = original(self, *args)
        if method == "backward" or args[1] is not None:
            seen.append(len(self._place_K))
            if len(self._place_K) > most:
                raise error
        return result

    monkeypatch.setattr(MlpStack, method, limited)
    return seen


@pytest.mark.parametrize("method", ["outputs", "backward"])
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["gpu", "host"],
)
def test_a_pack_that_runs_out_of_memory_is_halved_and_loses_nothing(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, method: str, error: Exception
) -> None:
    configs = [config_of(BATCH_NORMED, {"lr": 1e-3 * (number + 1)}) for number in range(5)]
    expected = [alone(dataset, number, config, 2) for number, config in enumerate(configs)]
    sizes = out_of_memory_above(monkeypatch, method, 2, error)
    trainer = Trainer(dataset, CPU)
    members = [trainer.member(number, config) for number, config in enumerate(configs)]
    train(trainer, members, 2)
    # 5 -> 3 + 2 -> 2 + 1 + 2: found out in the first step, and kept to from then on.
    assert sizes[:5] == [5, 3, 2, 1, 2]
    assert sizes[5:] == [2, 2, 1] * (len(sizes[5:]) // 3) or sizes[5:] == [2, 1, 2] * (len(sizes[5:]) // 3)
    for member, peer in zip(members, expected, strict=True):
        steps = {int(state["step"]) for state in member.optimizer.state.values()}
        assert steps == {2 * BATCHES}
        assert_alike(member, peer)


def test_other_errors_and_members_too_large_alone_are_not_hidden(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(dataset, CPU)
    members = [trainer.member(number, config_of(BATCH_NORMED, {})) for number in range(2)]
    with monkeypatch.context() as patch:
        out_of_memory_above(patch, "backward", 0, torch.OutOfMemoryError("CUDA out of memory"))
        with pytest.raises(torch.OutOfMemoryError):
            trainer.run_epoch(members)
    with monkeypatch.context() as patch:
        out_of_memory_above(patch, "backward", 1, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
        with pytest.raises(RuntimeError, match="cannot be multiplied"):
            Trainer(dataset, CPU).run_epoch(members)


def test_each_member_scales_its_own_loss(dataset: Dataset) -> None:
    """As in float16, which only GPUs train in; a loss that overflows skips the step of its member alone."""
    configs = [config_of({"hidden": [16]}, {"grad_clip": clip}) for clip in (1.0, None, 1.0)]
    trainer = Trainer(dataset, CPU)
    members = [trainer.member(number, config) for number, config in enumerate(configs)]
    for member, scale in zip(members, (2.0**10, 2.0**4, float("inf")), strict=True):
        member.scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=10**6)
    before = {name: value.clone() for name, value in members[2].model.state_dict().items()}
    train(trainer, members, 1)
    for number in (0, 1):
        assert_alike(members[number], alone(dataset, number, configs[number], 1))
    for name, value in members[2].model.state_dict().items():
        assert torch.equal(value, before[name])


def test_only_members_that_share_products_share_a_pack(dataset: Dataset) -> None:
    trainer = Trainer(dataset, CPU)
    configs = [
        config_of({"hidden": [8]}, {}),
        config_of({"hidden": [8]}, {}, "bfloat16"),
        trial_config({"kind": "mlp", "hidden": [8]}, kind="whiten"),
        config_of({"hidden": [4, 4]}, {"loss": "l1"}),
        config_of({"kind": "cnn", "channels": [2]}, {}),
        config_of({"hidden": [8]}, {"target": "ridge_residual"}),
    ]
    members = [trainer.member(number, config) for number, config in enumerate(configs)]
    packs = list(make_packs(members))
    assert [[member.number for member in pack.members] for pack in packs] == [[4], [0, 3], [1], [2], [5]]
    assert isinstance(packs[0], SinglePack) and all(isinstance(pack, StackPack) for pack in packs[1:])
    halves = make_packs([members[0], members[3], members[0]], most=2)
    assert [len(pack.members) for pack in halves] == [2, 1]

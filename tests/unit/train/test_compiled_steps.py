"""Compiled steps compute what torch does, and the same, bit for bit, in any company and on any number of threads."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from small_mlps import FEATURES, SPECS, network
from torch import Tensor

from spectral_search.models.mlp_network import Mlp
from spectral_search.models.mlp_stack import MlpStack
from spectral_search.spec.name_registry import LOSSES
from spectral_search.train import compiled_steps
from spectral_search.train.compiled_steps import CompiledSteps, has_compiled_steps
from spectral_search.train.dropout import StepDropout
from spectral_search.train.mlp_pieces import PieceSteps
from spectral_search.train.mlp_table import MlpTable, TableKind

CPU = torch.device("cpu")
BATCH = 700
"""Three tiles, the last one small."""


@pytest.fixture(autouse=True)
def restored_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(BATCH, FEATURES, generator=generator), torch.randn(BATCH, generator=generator)


def stepped(networks: list[Mlp], losses: list[str], seeds: list[int]) -> Tensor:
    x_BF, target_B = batch()
    return CompiledSteps(networks, losses).step(x_BF, target_B, None, StepDropout(seeds, CPU))


def gradients(network: Mlp) -> list[Tensor]:
    found = [value.grad for value in network.parameters() if value.grad is not None]
    assert len(found) == len(list(network.parameters()))
    return found


@pytest.mark.parametrize("loss", ["mse", "huber", "l1"])
@pytest.mark.parametrize("name", SPECS)
def test_outputs_and_gradients_are_those_of_torch(name: str, loss: str) -> None:
    ours, theirs, (x_BF, target_B) = network(SPECS[name]), network(SPECS[name]), batch()
    output_KB = stepped([ours], [loss], [7])
    gradient = partial(LOSSES.find(loss).gradient, BATCH)
    expected_KB = PieceSteps([theirs]).step(x_BF, target_B, None, [gradient], StepDropout([7], CPU).bits)
    torch.testing.assert_close(output_KB, expected_KB, rtol=1e-5, atol=2e-6)
    for mine, peer in zip(gradients(ours), gradients(theirs), strict=True):
        # A sign that a last digit decides, of one of 700 examples.
        allowed = 5e-3 if loss == "l1" else 1e-5
        assert (mine - peer).norm() <= allowed * peer.norm() and peer.norm() > 0


@pytest.mark.parametrize("work", [1, 1 << 25])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_company_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch, threads: int, work: int) -> None:
    """What is left when each thread has had as many networks as the others is shared tile by tile, if large."""
    monkeypatch.setattr(compiled_steps, "_SHARED_WORK", work)
    torch.set_num_threads(1)
    expected = []
    for seed, name in enumerate(SPECS):
        alone = network(SPECS[name], seed)
        expected.append((stepped([alone], ["mse"], [seed]), gradients(alone)))
    torch.set_num_threads(threads)
    for chosen in (range(len(SPECS)), range(4), range(1)):
        networks = [network(spec, seed) for seed, spec in enumerate(SPECS.values()) if seed in chosen]
        losses = ["mse"] * len(networks)
        output_KB = stepped(networks, losses, list(chosen))
        for seed, ours in enumerate(networks):
            assert torch.equal(output_KB[seed], expected[seed][0][0])
            assert all(torch.equal(a, b) for a, b in zip(gradients(ours), expected[seed][1], strict=True))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_evaluation_is_that_of_torch_and_follows_the_weights(threads: int) -> None:
    networks, (x_BF, _) = [network(spec) for spec in SPECS.values()], batch()
    stack, losses = MlpStack(networks), ["mse"] * len(networks)
    torch.set_num_threads(1)
    once_KB = CompiledSteps(networks, losses).outputs(x_BF)
    torch.set_num_threads(threads)
    steps, alone = CompiledSteps(networks, losses), CompiledSteps(networks[:1], losses[:1])
    assert torch.equal(steps.outputs(x_BF), once_KB) and torch.equal(alone.outputs(x_BF), once_KB[:1])
    torch.testing.assert_close(once_KB, stack.outputs(x_BF), rtol=1e-5, atol=2e-6)
    with torch.no_grad():
        networks[0].head.bias.add_(1.0)
    torch.testing.assert_close(steps.outputs(x_BF), stack.outputs(x_BF), rtol=1e-5, atol=2e-6)


def test_the_gradient_is_of_what_is_added_as_well() -> None:
    """As a Ridge is that a network adds to; outputs come with it."""
    (x_BF, target_B), added_KB = batch(), torch.linspace(-1.0, 1.0, BATCH)[None]
    found = []
    for target, added in ((target_B, added_KB), (target_B - added_KB[0], None)):
        ours = network(SPECS["open"])
        output_KB = CompiledSteps([ours], ["mse"]).step(x_BF, target, added, StepDropout([0], CPU))
        found.append((ours.head.weight.grad, output_KB if added is None else output_KB - added))
    for one, other in zip(*found, strict=True):
        assert one is not None and other is not None
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_what_diverged_shows() -> None:
    ours = network(SPECS["gelu"])
    with torch.no_grad():
        ours.head.weight.fill_(float("nan"))
    assert stepped([ours], ["mse"], [0]).isnan().all()
    assert all(value.isnan().any() for value in gradients(ours))


def test_memory_is_that_of_threads_and_not_of_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[TableKind] = []

    def counted(kind: TableKind) -> MlpTable:
        made.append(kind)
        return MlpTable(kind)

    monkeypatch.setattr(compiled_steps, "MlpTable", counted)
    torch.set_num_threads(2)
    networks = [network(SPECS["gelu"], seed) for seed in range(9)]
    steps, (x_BF, target_B) = CompiledSteps(networks, ["mse"] * 9), batch()
    for _ in range(3):
        steps.step(x_BF, target_B, None, StepDropout(range(9), CPU))
    assert 1 <= len(made) <= 2


@pytest.mark.parametrize(
    ("spec", "known"),
    [
        ({}, True),
        ({"hidden": [100, 30], "activation": "tanh", "dropout": 0.5}, True),
        ({"norm": "batch"}, False),
        ({"residual": True}, False),
        ({"residual": True, "stochastic_depth": 0.2}, False),
    ],
)
def test_only_networks_without_norms_and_skips_are_compiled(spec: dict[str, Any], known: bool) -> None:
    ours = network({"hidden": [256, 64], **spec})
    assert has_compiled_steps(ours, "float32", CPU) is known
    assert not has_compiled_steps(ours, "bfloat16", CPU)
    assert not has_compiled_steps(ours, "float32", torch.device("cuda"))
    assert not has_compiled_steps(torch.nn.Linear(2, 2), "float32", CPU)

"""Steps in pieces compute what the stack computes, bit for bit, on any number of threads."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from small_mlps import FEATURES, SPECS, network
from torch import Tensor

from spectral_search.models.mlp_network import Mlp
from spectral_search.models.mlp_stack import MlpStack
from spectral_search.spec.name_registry import LOSSES
from spectral_search.train.dropout import StepDropout
from spectral_search.train.mlp_pieces import LARGEST_INPUT, PieceSteps, in_pieces, is_plain

CPU = torch.device("cpu")
BATCH = 1100
"""Two tiles of spectra, the second one small."""
KINDS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def batch(kind: torch.dtype) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(BATCH, FEATURES, generator=generator).to(kind), torch.randn(BATCH, generator=generator)


def dropout(networks: int) -> StepDropout:
    return StepDropout([7 + number for number in range(networks)], CPU)


def by_stack(networks: list[Mlp], kind: torch.dtype, loss: str) -> Tensor:
    """Outputs; the networks hold their gradients."""
    stack, (x_BF, target_B) = MlpStack(networks), batch(kind)
    output_KB = stack.outputs(x_BF, dropout(len(networks)))
    stack.backward(LOSSES.find(loss).values(output_KB, target_B.expand_as(output_KB)).mean(1).sum())
    return output_KB.detach()


def in_steps(networks: list[Mlp], kind: torch.dtype, loss: str) -> Tensor:
    x_BF, target_B = batch(kind)
    gradients = [partial(LOSSES.find(loss).gradient, BATCH)] * len(networks)
    return PieceSteps(networks).step(x_BF, target_B, None, gradients, dropout(len(networks)).bits)


@pytest.fixture(autouse=True)
def restored_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "loss"), [*zip(SPECS, ["mse", "huber", "l1"] * 2, strict=True)])
def test_outputs_and_gradients_are_those_of_the_stack(name: str, loss: str, kind: str, threads: int) -> None:
    networks, others = ([network(SPECS[name], seed) for seed in (0, 1)] for _ in range(2))
    torch.set_num_threads(1)
    expected_KB = by_stack(networks, KINDS[kind], loss)
    torch.set_num_threads(threads)
    assert torch.equal(in_steps(others, KINDS[kind], loss), expected_KB)
    for ours, theirs in zip(others, networks, strict=True):
        for value, peer in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert value.grad is not None and peer.grad is not None and peer.grad.abs().sum() > 0
            assert torch.equal(value.grad, peer.grad)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_is_that_of_the_stack(kind: str, threads: int) -> None:
    networks, (x_BF, _) = [network(spec) for spec in SPECS.values()], batch(KINDS[kind])
    torch.set_num_threads(1)
    steps, stack = PieceSteps(networks), MlpStack(networks)
    expected_KB = stack.outputs(x_BF)
    torch.set_num_threads(threads)
    assert torch.equal(steps.outputs(x_BF), expected_KB)
    with torch.no_grad():
        networks[0].head.bias.add_(1.0)
    assert torch.equal(steps.outputs(x_BF), stack.outputs(x_BF)), "the rounded weights are those of an earlier step"


def test_what_is_added_is_part_of_what_is_judged() -> None:
    """As a Ridge is that a network adds to."""
    (x_BF, target_B), added_KB = batch(torch.float32), torch.linspace(-1.0, 1.0, BATCH)[None]
    grads: list[Tensor] = []
    for target, added in ((target_B, added_KB), (target_B - added_KB[0], None)):
        ours = network(SPECS["open"])
        gradient: Callable[..., Tensor] = partial(LOSSES.find("mse").gradient, BATCH)
        output_KB = PieceSteps([ours]).step(x_BF, target, added, [gradient], dropout(1).bits)
        assert ours.head.weight.grad is not None
        grads += [ours.head.weight.grad, output_KB - (0.0 if added is None else added)]
    torch.testing.assert_close(grads[0], grads[2], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(grads[1], grads[3], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("spec", "plain"),
    [({}, True), ({"norm": "batch"}, False), ({"residual": True}, False), ({"hidden": [128, 32]}, False)],
)
def test_only_plain_networks_of_whole_tiles_take_pieces(spec: dict[str, Any], plain: bool) -> None:
    assert is_plain(network({"hidden": [256, 64], **spec})) is plain


def test_a_large_input_is_shared_as_one_product() -> None:
    assert in_pieces(torch.empty(2048, 64)) and not in_pieces(torch.empty(LARGEST_INPUT // 4, 2))

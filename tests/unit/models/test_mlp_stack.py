"""Networks in a stack give the outputs, gradients and batch statistics that they give alone."""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from spectral_search.models.build import build_model
from spectral_search.models.families.mlp import MlpSpec
from spectral_search.models.mlp_network import Mlp
from spectral_search.models.mlp_stack import MlpStack

BATCH, PIXELS, CHANNELS = 20, 12, 2
MIXED = [
    {"hidden": [16, 8]},
    {"hidden": [6], "activation": "gelu"},
    {"hidden": [16, 8]},
    {"hidden": [16, 8], "norm": "batch", "activation": "silu"},
    {"hidden": [24, 24, 4], "residual": True, "norm": "layer"},
    {"hidden": [16, 8], "norm": "batch", "activation": "silu"},
    {"hidden": [16, 16], "norm": "group", "norm_layers": "first", "activation": "tanh"},
    {"hidden": [16, 8], "residual": True},
]


def networks(specs: list[dict[str, object]] = MIXED) -> list[Mlp]:
    torch.manual_seed(0)
    return [
        model
        for spec in specs
        if isinstance(model := build_model(MlpSpec(kind="mlp", **spec), pixels=PIXELS, channels=CHANNELS), Mlp)
    ]


def spectra(seed: int = 1) -> Tensor:
    return torch.randn(BATCH, CHANNELS, PIXELS, generator=torch.Generator().manual_seed(seed))


def no_dropout(number: int, p: float, factor_WB: Tensor) -> None:
    factor_WB.fill_(1.0)


def losses(outputs: Iterator[Tensor]) -> Tensor:
    """A loss that weighs spectra and networks unequally."""
    return torch.stack([(y_B * torch.arange(BATCH)).square().mean() * (k + 1) for k, y_B in enumerate(outputs)]).sum()


@pytest.fixture
def threads_restored() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.usefixtures("threads_restored")
def test_outputs_gradients_and_statistics_are_those_of_each_alone(training: bool, threads: int) -> None:
    torch.set_num_threads(threads)
    alone, together = networks(), networks()
    stack = MlpStack(together)
    x_BCL = spectra()
    for network in alone:
        network.train(training)
    expected = [network(x_BCL) for network in alone]
    outputs_KB = stack.outputs(x_BCL.flatten(1), no_dropout if training else None)
    for output_B, expected_B in zip(outputs_KB, expected, strict=True):
        torch.testing.assert_close(output_B, expected_B, rtol=1e-5, atol=1e-5)
    losses(iter(expected)).backward()
    stack.backward(losses(iter(outputs_KB)))
    stack.keep_statistics()
    for ours, theirs in zip(together, alone, strict=True):
        for (name, value), peer in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            assert value.grad is not None and peer.grad is not None
            torch.testing.assert_close(value.grad, peer.grad, rtol=1e-4, atol=1e-4, msg=name)
        for (name, buffer), peer in zip(ours.named_buffers(), theirs.buffers(), strict=True):
            torch.testing.assert_close(buffer, peer, rtol=1e-5, atol=1e-6, msg=name)


def test_the_modules_share_their_storage_with_the_stack() -> None:
    together = networks()
    before = [copy.deepcopy(network.state_dict()) for network in together]
    stack = MlpStack(together)
    for network, state in zip(together, before, strict=True):
        for name, value in network.state_dict().items():
            assert torch.equal(value, state[name]) and value.is_contiguous()
    with torch.no_grad():
        for parameter in together[3].parameters():
            parameter.mul_(2.0)
    together[5].load_state_dict(before[3])
    outputs_KB = stack.outputs(spectra().flatten(1))
    for k in (3, 5):
        torch.testing.assert_close(outputs_KB[k], together[k].eval()(spectra()), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(outputs_KB[3], outputs_KB[5], atol=1e-3)


def test_a_network_that_leaves_keeps_its_weights_and_moves_apart() -> None:
    together = networks()
    old = MlpStack(together)
    new = MlpStack([together[2], together[0]])
    with torch.no_grad():
        together[0].head.bias.add_(5.0)
    outputs_KB, old_KB = new.outputs(spectra().flatten(1)), old.outputs(spectra().flatten(1))
    torch.testing.assert_close(outputs_KB[1], old_KB[0] + 5.0)
    torch.testing.assert_close(outputs_KB[0], old_KB[2])


def test_batch_statistics_count_only_when_kept() -> None:
    (network,) = networks([MIXED[3]])
    stack = MlpStack([network])
    before = copy.deepcopy(network.state_dict())
    stack.outputs(spectra().flatten(1), no_dropout)
    stack.outputs(spectra(2).flatten(1), no_dropout)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    stack.keep_statistics()
    assert int(network.get_buffer("layers.0.norm.num_batches_tracked")) == 1
    assert not torch.equal(network.get_buffer("layers.0.norm.running_mean"), before["layers.0.norm.running_mean"])


def test_dropout_is_drawn_for_the_networks_that_have_it() -> None:
    drawn: list[tuple[int, float, torch.Size]] = []

    def draw(number: int, p: float, factor_WB: Tensor) -> None:
        drawn.append((number, p, factor_WB.shape))
        factor_WB.fill_(0.0 if number == 2 else 1.0)

    found = networks([{"hidden": [5], "dropout": p} for p in (0.1, 0.0, 0.3)] + [{"hidden": [7, 3]}])
    outputs_KB = MlpStack(found).outputs(spectra().flatten(1), draw)
    assert drawn == [(k, p, (5, BATCH)) for k, p in enumerate((0.1, 0.0, 0.3))]
    torch.testing.assert_close(outputs_KB[2], found[2].head.bias.expand(BATCH))
    torch.testing.assert_close(outputs_KB[3], found[3](spectra()))


def test_one_diverged_network_leaves_the_others_alone() -> None:
    found, alone = networks(), networks()
    for parameter in found[2].parameters():
        nn.init.constant_(parameter, float("nan"))
    stack = MlpStack(found)
    outputs_KB = stack.outputs(spectra().flatten(1), no_dropout)
    stack.backward(losses(iter(outputs_KB)))
    losses(iter([network(spectra()) for network in alone])).backward()
    assert outputs_KB[2].isnan().all()
    for k in (0, 1, 3):
        for parameter, peer in zip(found[k].parameters(), alone[k].parameters(), strict=True):
            torch.testing.assert_close(parameter.grad, peer.grad, rtol=1e-4, atol=1e-4)

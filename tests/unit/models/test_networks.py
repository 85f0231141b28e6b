"""The details of the published networks that a parameter count cannot see."""

import pytest
import torch
import torch.nn.functional as F
from pydantic import TypeAdapter
from torch import nn

from spectral_search.models.build import build_model
from spectral_search.models.families.vit import VitSpec
from spectral_search.models.layers import feature_norm, group_count
from spectral_search.models.moe_cnn_network import LearnedMoeCnn, OracleMoeCnn
from spectral_search.models.vit_network import NormalisedWindows
from spectral_search.spec.families import ModelSpec, family_of

SPECS = TypeAdapter(ModelSpec)


def build(pixels: int = 64, bins: int = 9, **section: object) -> nn.Module:
    torch.manual_seed(0)
    return build_model(SPECS.validate_python(section), pixels=pixels, bins=bins)


def kinds(model: nn.Module) -> list[str]:
    return [type(part).__name__ for part in model.modules() if not list(part.children())]


def test_mvp_mlp1_norms_only_the_first_layer() -> None:
    model = build(kind="mlp", hidden=[16, 8, 4], norm="layer", norm_layers="first", activation="gelu", dropout=0.1)
    first = ["Linear", "LayerNorm", "GELU", "Dropout"]
    assert kinds(model) == first + ["Linear", "Identity", "GELU", "Dropout"] * 2 + ["Linear"]


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "elu", "tanh"])
def test_cnn_equals_conv_activation_pool(activation: str) -> None:
    """Channels-last images and pooling before a rising activation change no number of Conv1d-activation-MaxPool."""
    model = build(kind="cnn", channels=[4, 6], activation=activation, kernel_size=5).double()
    x_BCL = torch.randn(3, 1, 64, dtype=torch.float64)
    h_BCL = x_BCL
    for layer in model.layers:
        h_BCL = F.conv1d(h_BCL, layer.conv.weight.squeeze(2), layer.conv.bias, padding=2)
        h_BCL = F.max_pool1d(layer.act(h_BCL), 2)
    expected_B = model.head(F.adaptive_avg_pool1d(h_BCL, 1).squeeze(-1)).squeeze(-1)
    torch.testing.assert_close(model(x_BCL), expected_B)


def test_cnn_positions_tell_where_a_feature_is() -> None:
    """A line moved by half the spectrum is the same to a global average and another to a head that knows positions."""
    line_BCL = torch.zeros(1, 1, 64)
    line_BCL[..., 14:18] = 1.0
    moved_BCL = line_BCL.roll(32, dims=-1)
    for average_to, same in ((1, True), (4, False)):
        model = build(kind="cnn", channels=[4, 6], kernel_size=5, average_to=average_to).eval()
        assert torch.allclose(model(line_BCL), model(moved_BCL), atol=1e-6) is same


def test_residual_mlp_adds_its_input() -> None:
    model = build(kind="mlp", hidden=[8, 8], residual=True)
    projected, plain = model.layers[0], model.layers[1]
    assert isinstance(projected.skip, nn.Linear)
    assert isinstance(plain.skip, nn.Identity)
    h_BF = torch.randn(3, 8)
    torch.testing.assert_close(plain(h_BF), torch.relu(plain.linear(h_BF)) + h_BF)


def test_res_cnn_block_follows_its_equation() -> None:
    model = build(kind="res_cnn", stem_channels=6, channels=6, blocks=2, dilations=[1, 4], kernel_size=5).eval()
    block = model.blocks[1]
    x_BC1L = torch.randn(2, 6, 1, 64)
    first_BCL = F.conv1d(x_BC1L.squeeze(2), block.first.weight.squeeze(2), block.first.bias, padding=2)
    normed_BCL = block.norm(F.gelu(first_BCL).unsqueeze(2)).squeeze(2)
    second_BCL = F.conv1d(normed_BCL, block.second.weight.squeeze(2), block.second.bias, padding=8, dilation=4)
    torch.testing.assert_close(block(x_BC1L).squeeze(2), F.gelu(second_BCL) + x_BC1L.squeeze(2))


def test_parallel_kernels_share_the_channels() -> None:
    model = build(kind="res_cnn", channels=64, blocks=1, parallel_kernels=[3, 7, 15])
    shapes = [tuple(conv.weight.shape) for conv in model.blocks[0].first.convs]
    assert shapes == [(22, 32, 1, 3), (21, 32, 1, 7), (21, 32, 1, 15)]


def test_dilation_widens_what_a_pixel_sees() -> None:
    """A prediction pooled at one pixel depends on exactly the span that the dilations give."""
    model = build(kind="res_cnn", stem_kernel_size=7, blocks=4, channels=8, dilations=[1, 2, 4, 8], pixels=201).eval()
    x_BCL = torch.randn(1, 1, 201, requires_grad=True)
    model.blocks(model.stem(x_BCL.unsqueeze(2)))[..., 100].sum().backward()
    seen_L = x_BCL.grad.flatten().nonzero().flatten()
    reach = 3 + 4 * 2 + 2 * (1 + 2 + 4 + 8)
    assert (int(seen_L.min()), int(seen_L.max())) == (100 - reach, 100 + reach)


def test_vit_reads_the_last_uneven_patch() -> None:
    model = build(kind="vit", patch=16, width=16, layers=1, heads=2, pixels=50).eval()
    x_BCL = torch.zeros(2, 1, 50)
    x_BCL[1, 0, 49] = 5.0
    y_B = model(x_BCL)
    assert y_B[0] != y_B[1]


@pytest.mark.parametrize("tokeniser", ["conv", "sliding_window"])
def test_vit_reads_the_last_window_of_an_uneven_stride(tokeniser: str) -> None:
    model = build(kind="vit", patch=16, stride=5, width=16, layers=1, heads=2, tokeniser=tokeniser, pixels=50).eval()
    x_BCL = torch.zeros(2, 1, 50)
    x_BCL[1, 0, 49] = 5.0
    y_B = model(x_BCL)
    assert y_B[0] != y_B[1]


def test_patches_that_overlap_are_those_of_the_convolution() -> None:
    model = build(kind="vit", patch=8, stride=3, width=6, layers=1, heads=2, pixels=17)
    x_BCL = torch.randn(4, 1, 17)
    by_hand_BTD = torch.stack([x_BCL[:, 0, t * 3 : t * 3 + 8] @ model.embed.weight[:, 0].T for t in range(4)], 1)
    torch.testing.assert_close(model.embed(x_BCL), by_hand_BTD + model.embed.bias)


def test_a_normalised_window_keeps_its_level_and_loses_no_shape() -> None:
    """What the norm takes out of a window, its mean and spread, the token is told beside it."""
    windows = NormalisedWindows(VitSpec(kind="vit", patch=8, width=10, heads=2), channels=1)
    with torch.no_grad():
        windows.map.weight.copy_(torch.eye(10))
        windows.map.bias.zero_()
    x_B1L = 3.0 + 2.0 * torch.randn(5, 1, 8)
    shape_B1P, mean_B1, spread_B1 = windows(x_B1L).split([8, 1, 1], -1)
    torch.testing.assert_close(shape_B1P * spread_B1 + mean_B1, x_B1L)
    assert float(shape_B1P.detach().square().mean(-1).max()) < 1.0 + 1e-5
    faint_B1P = windows(1e-4 * x_B1L)[..., :8]
    assert float(faint_B1P.detach().abs().max()) < 0.1, "a window that holds hardly anything is not blown up"


def test_oracle_sends_each_spectrum_to_its_expert() -> None:
    model = build(kind="moe_cnn", gate="oracle", channels=[4], bins=3).eval()
    assert isinstance(model, OracleMoeCnn)
    x_BCL, bin_B = torch.randn(5, 1, 64), torch.tensor([2, 0, 2, -1, 7])
    y_B = model(x_BCL, bin_B)
    torch.testing.assert_close(y_B[[0, 2]], model.experts[2](x_BCL[[0, 2]]))
    torch.testing.assert_close(y_B[[1]], model.experts[0](x_BCL[[1]]))
    assert torch.isnan(y_B[3:]).all()


def test_learned_gate_mixes_with_weights_that_sum_to_one() -> None:
    model = build(kind="moe_cnn", gate="learned", channels=[4], norm="none", bins=3)
    assert isinstance(model, LearnedMoeCnn)
    for expert in model.experts:
        nn.init.zeros_(expert.head[-1].weight)
        nn.init.constant_(expert.head[-1].bias, 1.5)
    torch.testing.assert_close(model(torch.randn(4, 1, 64)), torch.full((4,), 1.5))


@pytest.mark.parametrize(("gate", "needed"), [("oracle", True), ("learned", False)])
def test_needs_bin(gate: str, needed: bool) -> None:
    spec = SPECS.validate_python({"kind": "moe_cnn", "gate": gate})
    assert family_of("moe_cnn").needs_bin(spec) is needed
    assert not family_of("mlp").needs_bin(SPECS.validate_python({"kind": "mlp"}))


@pytest.mark.parametrize("kind", ["mlp", "cnn", "res_cnn"])
@pytest.mark.parametrize(("init", "gain"), [("xavier", 1.0), ("kaiming", 2.0)])
def test_initialisation_scales_and_zero_biases(kind: str, init: str, gain: float) -> None:
    sizes = {"mlp": {"hidden": [256, 64]}, "cnn": {"channels": [32, 64]}, "res_cnn": {"blocks": 2}}[kind]
    model = build(kind=kind, init=init, norm="none", **sizes)
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            assert not weight.any(), name
        elif weight.numel() > 2000:
            taps = weight[0, 0].numel()
            fan_in, fan_out = weight.shape[1] * taps, weight.shape[0] * taps
            variance = 2.0 / (fan_in + fan_out) if init == "xavier" else gain / fan_in
            assert float(weight.detach().var()) == pytest.approx(variance, rel=0.15), name


def test_activations_keep_their_variance_under_kaiming() -> None:
    model = build(kind="mlp", hidden=[256, 256, 256], init="kaiming", pixels=256)
    h_BF = model.layers(torch.randn(512, 256))
    assert 0.3 < float(h_BF.detach().square().mean()) < 3.0


@pytest.mark.parametrize(
    ("channels", "groups"), [(64, 8), (128, 8), (48, 6), (32, 4), (24, 3), (22, 2), (12, 1), (13, 1), (1, 1)]
)
def test_groups_divide_and_hold_enough(channels: int, groups: int) -> None:
    assert group_count(channels) == groups


@pytest.mark.parametrize("norm", ["batch", "layer", "group"])
def test_feature_norms_centre_and_scale(norm: str) -> None:
    h_BF = feature_norm(norm, 16)(5.0 + 3.0 * torch.randn(4096, 16))
    assert float(h_BF.mean()) == pytest.approx(0.0, abs=0.05)
    assert float(h_BF.var()) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("kind", ["mlp", "cnn", "moe_cnn"])
def test_dropout_acts_in_training_only(kind: str) -> None:
    section = {"kind": kind, "dropout": 0.5, "norm": "none"} | ({"gate": "learned"} if kind == "moe_cnn" else {})
    model = build(**section)
    x_BCL = torch.randn(4, 1, 64)
    assert not torch.equal(model(x_BCL), model(x_BCL))
    model.eval()
    assert torch.equal(model(x_BCL), model(x_BCL))


@pytest.mark.parametrize(
    "section",
    [
        {"kind": "mlp", "hidden": [8], "norm": "batch"},
        {"kind": "cnn", "channels": [4], "norm": "batch"},
        {"kind": "res_cnn", "channels": 8, "stem_channels": 8, "blocks": 1, "norm": "group"},
        {"kind": "vit", "width": 8, "layers": 1, "heads": 2},
    ],
    ids=lambda section: section["kind"],
)
def test_members_can_share_one_batched_pass(section: dict[str, object]) -> None:
    """Networks of one shape stack and run as one, each with its own weights and running statistics."""
    spec = SPECS.validate_python(section)
    members = [build_model(spec, pixels=64) for _ in range(3)]
    x_BCL = torch.randn(5, 1, 64)
    params, buffers = torch.func.stack_module_state(members)
    base = members[0]

    def one(weights: dict[str, torch.Tensor], state: dict[str, torch.Tensor]) -> torch.Tensor:
        y_B: torch.Tensor = torch.func.functional_call(base, (weights, state), (x_BCL,))
        return y_B

    stacked_KB = torch.func.vmap(one, randomness="different")(params, buffers)
    alone_KB = torch.stack([member(x_BCL) for member in members])
    torch.testing.assert_close(stacked_KB, alone_KB, rtol=1e-4, atol=1e-5)

"""What every kind of network promises, whatever its architecture."""

from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from spectral_search.models.build import build_model, needs_bin
from spectral_search.models.count import count_parameters
from spectral_search.spec.model import ModelSpec

PIXELS, BINS = 96, 3
SPECS = TypeAdapter(ModelSpec)

NETWORKS = {
    "mlp": {"kind": "mlp", "hidden": [24, 12]},
    "mlp_batch": {"kind": "mlp", "hidden": [24, 12], "norm": "batch", "activation": "silu", "init": "kaiming"},
    "mlp_layer_first": {"kind": "mlp", "hidden": [24, 12], "norm": "layer", "norm_layers": "first"},
    "mlp_group": {"kind": "mlp", "hidden": [24, 12], "norm": "group", "activation": "tanh"},
    "mlp_residual": {"kind": "mlp", "hidden": [24, 24, 12], "residual": True, "init": "xavier", "dropout": 0.1},
    "cnn": {"kind": "cnn", "channels": [8, 16], "init": "kaiming"},
    "cnn_batch": {"kind": "cnn", "channels": [8, 16, 16], "norm": "batch", "kernel_size": 5},
    "cnn_layer_gelu": {"kind": "cnn", "channels": [8, 16], "norm": "layer", "activation": "gelu", "pool": 3},
    "cnn_group_elu": {"kind": "cnn", "channels": [8, 16], "norm": "group", "activation": "elu", "head": []},
    "cnn_positions": {"kind": "cnn", "channels": [8, 16], "norm": "batch", "average_to": 3},
    "cnn_no_pool": {"kind": "cnn", "channels": [8], "pool": 1, "kernel_size": 1, "init": "xavier"},
    "mvp_cnn1": {"kind": "res_cnn", "stem_channels": 8, "channels": 12, "blocks": 2},
    "mvp_cnn2_dilated": {"kind": "res_cnn", "stem_channels": 8, "channels": 12, "dilations": [1, 2, 4, 8]},
    "mvp_cnn2_parallel": {
        "kind": "res_cnn",
        "stem_channels": 12,
        "channels": 13,
        "blocks": 2,
        "parallel_kernels": [3, 7, 15],
        "norm": "group",
    },
    "mvp_cnn_strided": {"kind": "res_cnn", "channels": 12, "blocks": 1, "stem_stride": 4, "norm": "layer"},
    "vit": {"kind": "vit", "patch": 16, "width": 16, "layers": 2, "heads": 4},
    "vit_uneven": {"kind": "vit", "patch": 20, "width": 16, "layers": 1, "heads": 2, "dropout": 0.1},
    "vit_overlapping": {"kind": "vit", "patch": 20, "stride": 7, "width": 16, "layers": 1, "heads": 2},
    "vit_windows": {
        "kind": "vit",
        "patch": 16,
        "stride": 5,
        "width": 16,
        "layers": 1,
        "heads": 2,
        "tokeniser": "sliding_window",
    },
    "moe_oracle": {"kind": "moe_cnn", "gate": "oracle", "channels": [8, 16], "norm": "group"},
    "moe_learned": {"kind": "moe_cnn", "gate": "learned", "channels": [8, 16], "norm": "batch"},
}


@pytest.fixture(params=NETWORKS)
def spec(request: pytest.FixtureRequest) -> ModelSpec:
    """Each network of the table."""
    return SPECS.validate_python(NETWORKS[request.param])


def built(spec: ModelSpec, channels: int = 1, seed: int = 0) -> nn.Module:
    """The network with the weights of that seed."""
    torch.manual_seed(seed)
    return build_model(spec, pixels=PIXELS, channels=channels, bins=BINS)


def spectra(count: int, channels: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Spectra with a dip whose depth is the target, and their bins."""
    draw = torch.Generator().manual_seed(1)
    y_B = torch.randn(count, generator=draw)
    dip_L = torch.exp(-0.5 * ((torch.arange(PIXELS) - 40.0) / 3.0) ** 2)
    x_BCL = torch.randn(count, channels, PIXELS, generator=draw) + 3.0 * y_B[:, None, None] * dip_L
    return x_BCL, y_B, torch.arange(count) % BINS


def predict(model: nn.Module, spec: ModelSpec, x_BCL: Tensor, bin_B: Tensor) -> Tensor:
    """Call the network as `needs_bin` says."""
    y_B: Tensor = model(x_BCL, bin_B) if needs_bin(spec) else model(x_BCL)
    return y_B


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("training", [True, False])
def test_one_finite_float32_per_spectrum(spec: ModelSpec, channels: int, training: bool) -> None:
    model = built(spec, channels).train(training)
    x_BCL, _, bin_B = spectra(7, channels)
    y_B = predict(model, spec, x_BCL, bin_B)
    assert y_B.shape == (7,)
    assert y_B.dtype == torch.float32
    assert torch.isfinite(y_B).all()
    assert y_B.std() > 0.0


@pytest.mark.parametrize("channels", [1, 2])
def test_counts_agree(spec: ModelSpec, channels: int) -> None:
    counted = sum(weight.numel() for weight in built(spec, channels).parameters())
    assert counted == count_parameters(spec, pixels=PIXELS, channels=channels, bins=BINS)


def test_gradients_reach_every_parameter(spec: ModelSpec) -> None:
    model = built(spec)
    x_BCL, y_B, bin_B = spectra(32)
    (predict(model, spec, x_BCL, bin_B) - y_B).square().mean().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name
        assert weight.grad.abs().sum() > 0.0, name


def test_weights_follow_from_the_seed(spec: ModelSpec) -> None:
    first, again, other = (built(spec, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_spectra_do_not_touch_each_other_in_eval(spec: ModelSpec) -> None:
    model = built(spec).eval()
    x_BCL, _, bin_B = spectra(6)
    together_B = predict(model, spec, x_BCL, bin_B)
    alone_B = torch.cat([predict(model, spec, x_BCL[i : i + 1], bin_B[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(together_B, alone_B, rtol=1e-4, atol=1e-5)


def test_bfloat16_stays_near_float32(spec: ModelSpec) -> None:
    model = built(spec).eval()
    x_BCL, _, bin_B = spectra(16)
    with torch.no_grad():
        full_B = predict(model, spec, x_BCL, bin_B)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half_B = predict(model, spec, x_BCL, bin_B)
    assert half_B.dtype == torch.float32
    assert (half_B - full_B).abs().max() < 0.1 * full_B.abs().max()


def test_bfloat16_gradients_are_finite(spec: ModelSpec) -> None:
    model = built(spec)
    x_BCL, y_B, bin_B = spectra(16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = (predict(model, spec, x_BCL, bin_B) - y_B).square().mean()
    loss.backward()
    assert all(weight.grad is not None and torch.isfinite(weight.grad).all() for weight in model.parameters())


def test_learns_64_spectra_by_heart(spec: ModelSpec) -> None:
    model = built(spec)
    x_BCL, y_B, bin_B = spectra(64)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2 if spec.kind == "mlp" else 3e-3)
    best = float("inf")
    for _ in range(400):
        loss = (predict(model, spec, x_BCL, bin_B) - y_B).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        best = min(best, float(loss.detach()))
        if best < 0.1:
            break
    assert best < 0.1 * float(y_B.var())


def test_weights_survive_safetensors(spec: ModelSpec, tmp_path: Path) -> None:
    model = built(spec, seed=0)
    x_BCL, _, bin_B = spectra(8)
    predict(model, spec, x_BCL, bin_B)  # moves the running statistics of BatchNorm off their start
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    loaded = built(spec, seed=1)
    loaded.load_state_dict(load_file(tmp_path / "model.safetensors"))
    model.eval(), loaded.eval()
    assert torch.equal(predict(model, spec, x_BCL, bin_B), predict(loaded, spec, x_BCL, bin_B))

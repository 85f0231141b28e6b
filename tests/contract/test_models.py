"""What every family of networks promises, whatever its architecture."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from spectral_search.errors import RequestError
from spectral_search.models.build import build_model
from spectral_search.models.input_fit import input_faults
from spectral_search.models.parameter_count import count_parameters
from spectral_search.models.stack import stack_networks
from spectral_search.models.step_memory import step_bytes
from spectral_search.spec.families import ModelSpec, families, family_of
from spectral_search.spec.family import Family, InputShape
from spectral_search.spec.run import RunSpec
from spectral_search.spec.yaml_io import parse_yaml

PIXELS, BINS = 96, 3
SPECS = TypeAdapter(ModelSpec)

HEIGHT = 4
"""Rows of the input for networks that attend from row to row; others read one."""
ONE_BLOCK = {f"{over}_depth_{stage}": 1 for over in ("temporal", "spatial") for stage in (1, 2)}
NETWORKS: dict[str, dict[str, Any]] = {
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
    "mvp_cnn_depth": {"kind": "res_cnn", "stem_channels": 8, "channels": 12, "blocks": 2, "stochastic_depth": 0.2},
    "vit": {"kind": "vit", "patch": 16, "width": 16, "layers": 2, "heads": 4},
    "vit_depth": {"kind": "vit", "patch": 16, "width": 16, "layers": 2, "heads": 4, "stochastic_depth": 0.2},
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
    "shared_mlp": {"kind": "shared_mlp", "hidden": [24, 12]},
    "shared_mlp_rows": {"kind": "shared_mlp", "hidden": [32], "row_embedding": 4, "activation": "silu", "dropout": 0.1},
    "space_time": {"kind": "space_time_attention", "embed_dim": 16, "heads": 4, **ONE_BLOCK},
    "space_time_learned": {
        "kind": "space_time_attention",
        "embed_dim": 16,
        "heads": 2,
        "positions": "learned",
        "fusion": "concat",
        "adjacency": "bias",
        **ONE_BLOCK,
    },
    "space_time_relative": {
        "kind": "space_time_attention",
        "embed_dim": 16,
        "heads": 2,
        "positions": "relative",
        "fusion": "cross_attn",
        "dropout": 0.1,
        **ONE_BLOCK,
    },
    "space_time_rotary": {
        "kind": "space_time_attention",
        "embed_dim": 16,
        "heads": 2,
        "positions": "rotary",
        "fusion": "gated_residual",
        "stochastic_depth": 0.1,
        **ONE_BLOCK,
    },
    "space_time_adaptive": {"kind": "space_time_attention", "embed_dim": 16, "heads": 2, "fusion": "adaptive"},
    "moe_oracle": {"kind": "moe_cnn", "gate": "oracle", "channels": [8, 16], "norm": "group"},
    "moe_learned": {"kind": "moe_cnn", "gate": "learned", "channels": [8, 16], "norm": "batch"},
    "siamese": {"kind": "siamese_cnn", "layers": [1, 2], "width": 8, "feat_dim": 24},
    "siamese_attending": {
        **{"kind": "siamese_cnn", "layers": [1, 1], "width": 8, "feat_dim": 24, "width_mult": 1.12, "head": []},
        **{"attention": "both", "fusion": "learned", "norm": "group", "activation": "gelu", "stem_stride": 2},
    },
    "siamese_gated": {"kind": "siamese_cnn", "layers": [2], "width": 8, "feat_dim": 16, "fusion": "gated"},
    "siamese_efficient": {
        **{"kind": "siamese_efficient", "stem_channels": 8, "channels": [8, 12, 16], "blocks": [1, 2, 2]},
        **{"expansion": 3, "feat_dim": 32, "fusion": "concat"},
    },
}


@pytest.fixture(params=families().values(), ids=families())
def family(request: pytest.FixtureRequest) -> Family[Any]:
    """Each family that is registered."""
    family: Family[Any] = request.param
    return family


@pytest.fixture(params=NETWORKS)
def spec(request: pytest.FixtureRequest) -> ModelSpec:
    """Each network of the table."""
    return SPECS.validate_python(NETWORKS[request.param])


def fewest_channels(section: ModelSpec) -> int:
    """Of an input that a network can read: two for those that compare the channels of two images."""
    return 1 if not input_faults(section, pixels=PIXELS) else 2


def built(spec: ModelSpec, times: int = 1, seed: int = 0) -> nn.Module:
    """The network with the weights of that seed, for so many times the fewest channels."""
    torch.manual_seed(seed)
    return build_model(spec, **sizes(spec, times * fewest_channels(spec)))


def sizes(spec: ModelSpec, channels: int) -> dict[str, int]:
    """Of an input: rows for networks that attend from row to row, one for all others."""
    height = HEIGHT if spec.kind == "space_time_attention" else 1
    return {"pixels": PIXELS, "channels": channels, "bins": BINS, "height": height}


def spectra(count: int, channels: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Spectra with a dip whose depth is the target, and their bins."""
    draw = torch.Generator().manual_seed(1)
    y_B = torch.randn(count, generator=draw)
    dip_L = torch.exp(-0.5 * ((torch.arange(PIXELS) - 40.0) / 3.0) ** 2)
    x_BCL = torch.randn(count, channels, PIXELS, generator=draw) + 3.0 * y_B[:, None, None] * dip_L
    return x_BCL, y_B, torch.arange(count) % BINS


def predict(model: nn.Module, spec: ModelSpec, x_BCL: Tensor, bin_B: Tensor) -> Tensor:
    """Call the network as its family's `needs_bin` says."""
    y_B: Tensor = model(x_BCL, bin_B) if family_of(spec.kind).needs_bin(spec) else model(x_BCL)
    return y_B


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("training", [True, False])
def test_one_finite_float32_per_spectrum(spec: ModelSpec, times: int, training: bool) -> None:
    model = built(spec, times).train(training)
    x_BCL, _, bin_B = spectra(7, times * fewest_channels(spec))
    y_B = predict(model, spec, x_BCL, bin_B)
    assert y_B.shape == (7,)
    assert y_B.dtype == torch.float32
    assert torch.isfinite(y_B).all()
    assert y_B.std() > 0.0


@pytest.mark.parametrize("times", [1, 2])
def test_counts_agree(spec: ModelSpec, times: int) -> None:
    counted = sum(weight.numel() for weight in built(spec, times).parameters())
    assert counted == count_parameters(spec, **sizes(spec, times * fewest_channels(spec)))


def test_gradients_reach_every_parameter(spec: ModelSpec) -> None:
    model = built(spec)
    x_BCL, y_B, bin_B = spectra(32, fewest_channels(spec))
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
    x_BCL, _, bin_B = spectra(6, fewest_channels(spec))
    together_B = predict(model, spec, x_BCL, bin_B)
    alone_B = torch.cat([predict(model, spec, x_BCL[i : i + 1], bin_B[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(together_B, alone_B, rtol=1e-4, atol=1e-5)


def test_bfloat16_stays_near_float32(spec: ModelSpec) -> None:
    model = built(spec).eval()
    x_BCL, _, bin_B = spectra(16, fewest_channels(spec))
    with torch.no_grad():
        full_B = predict(model, spec, x_BCL, bin_B)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half_B = predict(model, spec, x_BCL, bin_B)
    assert half_B.dtype == torch.float32
    assert (half_B - full_B).abs().max() < 0.1 * full_B.abs().max()


def test_bfloat16_gradients_are_finite(spec: ModelSpec) -> None:
    model = built(spec)
    x_BCL, y_B, bin_B = spectra(16, fewest_channels(spec))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = (predict(model, spec, x_BCL, bin_B) - y_B).square().mean()
    loss.backward()
    assert all(weight.grad is not None and torch.isfinite(weight.grad).all() for weight in model.parameters())


def test_learns_24_spectra_by_heart(spec: ModelSpec) -> None:
    model = built(spec)
    x_BCL, y_B, bin_B = spectra(24, fewest_channels(spec))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3 if spec.kind == "space_time_attention" else 1e-2)
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


def test_several_outputs_are_given_or_refused(spec: ModelSpec) -> None:
    channels = fewest_channels(spec)
    several = {**sizes(spec, channels), "outputs": 12}
    if not family_of(spec.kind).several_outputs:
        with pytest.raises(RequestError, match=f"model.kind {spec.kind} gives one number an example"):
            build_model(spec, **several)
        return
    x_BCL, _, bin_B = spectra(5, channels)
    output_BO = predict(build_model(spec, **several), spec, x_BCL, bin_B)
    assert output_BO.shape == (5, 12) and output_BO.dtype == torch.float32
    assert torch.isfinite(output_BO).all() and output_BO.std(0).min() > 0.0


def test_weights_survive_safetensors(spec: ModelSpec, tmp_path: Path) -> None:
    model = built(spec, seed=0)
    x_BCL, _, bin_B = spectra(8, fewest_channels(spec))
    predict(model, spec, x_BCL, bin_B)  # moves the running statistics of BatchNorm off their start
    # Row by row, as every file of ours has them, however they lie in memory.
    rows = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(rows, tmp_path / "model.safetensors")
    loaded = built(spec, seed=1)
    loaded.load_state_dict(load_file(tmp_path / "model.safetensors"))
    model.eval(), loaded.eval()
    assert torch.equal(predict(model, spec, x_BCL, bin_B), predict(loaded, spec, x_BCL, bin_B))


def test_every_family_has_networks_here() -> None:
    assert {section["kind"] for section in NETWORKS.values()} == set(families())


def test_a_section_is_whole_by_its_kind_alone_and_comes_back_from_a_file(family: Family[Any]) -> None:
    spec = RunSpec.from_dict({"stage": "some", "model": {"kind": family.kind}})
    assert spec.model == family.section(kind=family.kind)
    again = RunSpec.from_dict(parse_yaml(spec.to_yaml(), "some").value)
    assert again == spec and type(again.model) is family.section


def test_each_label_has_a_colour_of_its_own(family: Family[Any]) -> None:
    assert family.label
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in family.colour)
    for other in families().values():
        assert (other.label == family.label) is (other.colour == family.colour), other.kind


def test_a_default_network_counts_as_torch_does(family: Family[Any]) -> None:
    spec = family.section(kind=family.kind)
    for pixels, times, bins, height in ((512, 1, 9, 4), (301, 2, 4, 1)):
        read = {"pixels": pixels, "channels": times * fewest_channels(spec), "bins": bins, "height": height}
        for outputs in (1, 12) if family.several_outputs else (1,):
            with torch.device("meta"):
                model = build_model(spec, **read, outputs=outputs)
            counted = sum(weight.numel() for weight in model.parameters())
            assert counted == count_parameters(spec, **read, outputs=outputs)


def test_a_step_takes_memory_that_grows_with_its_batch(spec: ModelSpec) -> None:
    one, two = (step_bytes(spec, pixels=PIXELS, channels=2, batch=batch, bins=BINS) for batch in (8, 16))
    assert 0 < one < two


def test_a_longer_input_is_more_work(spec: ModelSpec) -> None:
    family = family_of(spec.kind)
    channels = fewest_channels(spec)
    short, long = (family.forward_operations(spec, InputShape(pixels, channels)) for pixels in (PIXELS, 4 * PIXELS))
    assert 0 < short < long


@pytest.mark.parametrize("pixels", [1, 2, 5, 7, 9, 15, 16, 31])
def test_what_fits_runs_and_what_does_not_is_refused(spec: ModelSpec, pixels: int) -> None:
    channels = fewest_channels(spec)
    if faults := input_faults(spec, pixels=pixels, channels=channels):
        with pytest.raises(RequestError) as refused:
            build_model(spec, pixels=pixels, channels=channels, bins=BINS)
        assert list(refused.value.faults) == faults
    else:
        model = build_model(spec, pixels=pixels, channels=channels, bins=BINS).eval()
        y_B = predict(model, spec, torch.randn(2, channels, pixels), torch.tensor([0, 1]))
        assert torch.isfinite(y_B).all()


def test_a_stack_computes_what_its_networks_do(spec: ModelSpec) -> None:
    if family_of(spec.kind).stack is None:
        with pytest.raises(ValueError, match="no stack"):
            stack_networks(spec.kind, [built(spec)])
        return
    default = family_of(spec.kind).section(kind=spec.kind)
    networks = [built(section, seed=seed).eval() for seed, section in enumerate((spec, default, default, spec))]
    x_BCL, _, _ = spectra(6, fewest_channels(spec))
    alone_KB = torch.stack([network(x_BCL) for network in networks])
    torch.testing.assert_close(stack_networks(spec.kind, networks).outputs(x_BCL), alone_KB)

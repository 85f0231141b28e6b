"""Networks that compare two images."""

from typing import Any, get_args

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from spectral_search.models.build import build_model
from spectral_search.models.input_fit import input_faults
from spectral_search.models.pair_section import Fusion
from spectral_search.models.parameter_count import count_parameters
from spectral_search.spec.families import ModelSpec, family_of
from spectral_search.spec.family import InputShape

SPECS = TypeAdapter(ModelSpec)
FUSIONS = get_args(Fusion)
ATTENTIONS = [
    {"attention": kind, "norm": norm} for kind in ("none", "channel", "spatial", "both") for norm in ("none", "batch")
]
SMALL = {
    "siamese_cnn": {"layers": [1, 1], "width": 8, "feat_dim": 16},
    "siamese_efficient": {"stem_channels": 8, "channels": [8, 12], "blocks": [1, 2], "feat_dim": 16},
}


def small(kind: str, **keys: Any) -> ModelSpec:
    return SPECS.validate_python({"kind": kind, **SMALL[kind], **keys})


def built(spec: ModelSpec, side: int = 10, channels: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return build_model(spec, pixels=side * side, channels=channels, height=side)


def seen(model: nn.Module, side: int = 10) -> tuple[nn.Module, Tensor]:
    """A network whose norms have seen something, and pairs."""
    x_BCL = torch.randn(9, 2, side * side, generator=torch.Generator().manual_seed(1))
    model.train()(x_BCL)
    return model.eval(), x_BCL


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_only_some_fusions_forget_which_image_came_first(kind: str, fusion: str) -> None:
    model, x_BCL = seen(built(small(kind, fusion=fusion)))
    with torch.no_grad():
        one_B, other_B = model(x_BCL), model(x_BCL.flip(1))
    assert torch.equal(one_B, other_B) is (fusion not in ("concat", "gated"))


@pytest.mark.parametrize("kind", SMALL)
def test_symmetric_is_symmetric_to_the_last_bit_in_any_format_and_company(kind: str) -> None:
    model, x_BCL = seen(built(small(kind, fusion="symmetric")))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model(x_BCL), model(x_BCL.flip(1)))
        assert torch.equal(model(x_BCL[:1]), model(x_BCL[:1].flip(1)))


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_counts_of_every_fusion_agree_with_torch(kind: str, fusion: str) -> None:
    for keys in ({}, {"head": []}, {"width_mult": 1.12}, {"norm": "none"}):
        spec = small(kind, fusion=fusion, **keys)
        for side, channels in ((10, 2), (7, 6)):
            with torch.device("meta"):
                model = built(spec, side, channels)
            counted = sum(weight.numel() for weight in model.parameters())
            assert counted == count_parameters(spec, pixels=side * side, channels=channels, height=side)


@pytest.mark.parametrize("keys", ATTENTIONS)
def test_counts_of_every_attention_agree_with_torch(keys: dict[str, str]) -> None:
    spec = small("siamese_cnn", **keys)
    with torch.device("meta"):
        counted = sum(weight.numel() for weight in built(spec).parameters())
    assert counted == count_parameters(spec, pixels=100, channels=2, height=10)


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("keys", [{}, {"fusion": "gated"}, {"head": [], "feat_dim": 8}])
def test_operations_are_those_that_torch_counts(kind: str, keys: dict[str, Any]) -> None:
    for extra in ({}, *([{"attention": "both"}, {"stem_stride": 2}] if kind == "siamese_cnn" else [])):
        spec = small(kind, **keys, **extra)
        model = built(spec, 9).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.randn(1, 2, 81))
        counted = family_of(kind).forward_operations(spec, InputShape(81, 2, height=9))
        assert counted == counter.get_total_flops() // 2


def test_the_published_network_has_the_size_that_is_told() -> None:
    spec = SPECS.validate_python({"kind": "siamese_cnn", "width_mult": 1.12, "fusion": "both"})
    wide = count_parameters(spec, pixels=784, channels=2, height=28)
    plain = count_parameters(spec.model_copy(update={"width_mult": 1.0}), pixels=784, channels=2, height=28)
    assert plain < wide < 1.12**2 * plain


def test_what_is_no_pair_is_refused() -> None:
    (told,) = input_faults(small("siamese_cnn"), pixels=100, channels=1, height=10)
    assert "this input has 1" in told


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("side", [1, 2, 3, 5])
def test_the_smallest_images_are_read(kind: str, side: int) -> None:
    model, x_BCL = seen(built(small(kind), side), side)
    assert torch.isfinite(model(x_BCL)).all()


def test_images_are_read_row_by_row() -> None:
    model = built(small("siamese_cnn"), 6)
    first = next(model.modules())
    wide_BCL = torch.zeros(1, 2, 36)
    wide_BCL[0, :, 6:12] = 1.0  # the second row
    seen_BCHW: list[Tensor] = []
    first.encoder.register_forward_pre_hook(lambda module, given: seen_BCHW.append(given[0]))
    model.eval()(wide_BCL)
    assert (seen_BCHW[0][0, 0, 1] == 1.0).all() and seen_BCHW[0].sum() == 6.0

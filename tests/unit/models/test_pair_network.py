"""Networks that compare two images."""

import json
import subprocess
import sys
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
MEASURE = """
import json, re, sys
from pathlib import Path
import numpy as np
import torch
from spectral_search.spec.run import RunSpec
from spectral_search.tasks.pairs.images.pair_part import drawn_pairs
from spectral_search.tasks.pairs.training.pair_set import GreyScale, PairSet
from spectral_search.train.capacity import footprint
from spectral_search.train.trainer import Trainer
torch.set_num_threads(1)
SIDE, BATCH = 28, 64

def status(name):
    return int(re.search(name + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

def config(model):
    fit = {"loss": "bce", "batch_size": BATCH, "precision": sys.argv[2]}
    raw = {"stage": "some", "task": "pairs", "data": {"size": SIDE}, "model": model, "fit": fit}
    return RunSpec.from_dict(raw).base

images_MP = np.random.default_rng(0).integers(0, 256, (40, SIDE * SIDE)).astype(np.uint8)
part = drawn_pairs(images_MP, np.repeat(np.arange(10), 4), BATCH, tuple("abcdefghij"), 1)
trainer = Trainer(PairSet(part, part, GreyScale.of(images_MP), "pairs", False), torch.device("cpu"))
small = {"kind": "siamese_cnn", "layers": [1], "width": 4, "feat_dim": 8, "head": []}
trainer.run_epoch([trainer.member(1, config(small))])  # what libraries take once
before = status("VmRSS")
member = trainer.member(0, config(json.loads(sys.argv[1])))
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
trainer.run_epoch([member])
one = footprint(member.config, 2 * SIDE * SIDE)
print(json.dumps([status("VmHWM") - before, one.state + one.step + one.inputs]))
"""
MEASURED = [
    {"kind": "siamese_cnn"},
    {"kind": "siamese_cnn", "attention": "both"},
    {"kind": "siamese_cnn", "norm": "none", "activation": "gelu"},
    {"kind": "siamese_efficient"},
]
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


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("model", MEASURED)
def test_a_training_step_takes_what_it_is_said_to_take(model: dict[str, str], precision: str) -> None:
    command = [sys.executable, "-c", MEASURE, json.dumps(model), precision]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    measured, estimated = json.loads(done.stdout)
    assert 0.8 < estimated / measured < 1.6, f"{estimated / 1e6:.0f} MB estimated, {measured / 1e6:.0f} MB measured"

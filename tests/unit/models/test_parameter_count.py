"""The parameter counts that pin the published architectures, in torch and in closed form."""

import subprocess
import sys

import pytest
import torch
from pydantic import TypeAdapter

from spectral_search.models.build import build_model
from spectral_search.models.parameter_count import count_parameters
from spectral_search.spec.families import ModelSpec

SPECS = TypeAdapter(ModelSpec)
PIXELS = 4096

# MVP-MLP-1: 4096 x 2048 + 2048, LayerNorm 2 x 2048, 2048 x 1024 + 1024, 1024 x 512 + 512, 512 + 1.
MVP_MLP1 = 8_390_656 + 4_096 + 2_098_176 + 524_800 + 513
# MVP-CNN-1: stem 256; block 1 10,304 + norm 128 + 20,544 + projection 2,048; three blocks of 20,544 + 128 + 20,544;
# head 8,320 + 129.
MVP_CNN1 = 256 + (10_304 + 128 + 20_544 + 2_048) + 3 * (20_544 + 128 + 20_544) + 8_320 + 129

PUBLISHED = [
    ({"kind": "mlp", "hidden": [128, 32], "dropout": 0.3}, 528_577),
    ({"kind": "mlp", "hidden": [256, 64], "dropout": 0.3}, 1_065_345),
    ({"kind": "mlp", "hidden": [1024, 512, 256]}, 4_851_713),
    ({"kind": "cnn", "channels": [32], "kernel_size": 7}, 4_609),
    ({"kind": "cnn", "channels": [32, 64], "kernel_size": 7}, 23_105),
    ({"kind": "cnn", "channels": [32, 64], "kernel_size": 15, "norm": "batch"}, 39_937),
    ({"kind": "cnn", "channels": [64, 128], "kernel_size": 15}, 140_673),
    ({"kind": "cnn", "channels": [32, 64, 128], "kernel_size": 15}, 170_945),
    ({"kind": "cnn", "channels": [32, 64, 64, 64], "kernel_size": 5, "norm": "batch"}, 60_481),
    ({"kind": "cnn", "channels": [32, 64, 128, 128], "kernel_size": 5, "norm": "batch"}, 150_977),
    # Sixteen positions kept apart: the first layer of the head reads 16 x 64 features in place of 64.
    ({"kind": "cnn", "channels": [32, 64], "kernel_size": 7, "average_to": 16}, 23_105 + 15 * 64 * 128),
    ({"kind": "vit"}, 4_875_521),
    # Patches that overlap by half: 511 positions in place of 256.
    ({"kind": "vit", "stride": 8}, 4_875_521 + 255 * 256),
    # Mean and spread of a window are two more values to read.
    ({"kind": "vit", "tokeniser": "sliding_window"}, 4_875_521 + 2 * 256),
    ({"kind": "vit", "patch": 64, "stride": 16, "tokeniser": "sliding_window"}, 4_875_521 + (50 - 3) * 256),
    (
        {
            "kind": "mlp",
            "hidden": [2048, 1024, 512],
            "norm": "layer",
            "norm_layers": "first",
            "activation": "gelu",
            "dropout": 0.1,
        },
        MVP_MLP1,
    ),
    ({"kind": "res_cnn"}, MVP_CNN1),
    ({"kind": "res_cnn", "dilations": [1, 2, 4, 8]}, MVP_CNN1),
    ({"kind": "moe_cnn", "gate": "oracle", "norm": "none"}, 9 * 23_105),
    # The gate is one CNN more, with nine outputs in place of one: 8 x (128 + 1) parameters on top.
    ({"kind": "moe_cnn", "gate": "learned", "norm": "none"}, 10 * 23_105 + 8 * 129),
]


@pytest.mark.parametrize(("section", "published"), PUBLISHED, ids=lambda value: value if isinstance(value, int) else "")
def test_published_count(section: dict[str, object], published: int) -> None:
    spec = SPECS.validate_python(section)
    # On the meta device nothing is allocated: the large networks count as fast as the small.
    with torch.device("meta"):
        model = build_model(spec, pixels=PIXELS)
    assert sum(weight.numel() for weight in model.parameters()) == published
    assert count_parameters(spec, pixels=PIXELS) == published


@pytest.mark.parametrize(("pixels", "channels", "bins"), [(7214, 1, 9), (97, 2, 4)])
@pytest.mark.parametrize("section", [section for section, _ in PUBLISHED])
def test_closed_form_at_other_sizes(section: dict[str, object], pixels: int, channels: int, bins: int) -> None:
    spec = SPECS.validate_python(section)
    with torch.device("meta"):
        model = build_model(spec, pixels=pixels, channels=channels, bins=bins)
    counted = sum(weight.numel() for weight in model.parameters())
    assert counted == count_parameters(spec, pixels=pixels, channels=channels, bins=bins)


def test_counting_imports_no_torch() -> None:
    code = "import sys, spectral_search.models.parameter_count; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

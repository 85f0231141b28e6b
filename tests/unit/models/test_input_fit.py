"""Networks that cannot read a spectrum are refused, in a sentence that says what would do."""

import pytest
import torch
from pydantic import TypeAdapter

from spectral_search.errors import RequestError
from spectral_search.models.build import build_model
from spectral_search.models.families.res_cnn import split_channels
from spectral_search.models.families.vit import VitSpec
from spectral_search.models.input_fit import input_faults
from spectral_search.models.parameter_count import count_parameters
from spectral_search.spec.families import ModelSpec
from spectral_search.spec.run import RunSpec

SPECS = TypeAdapter(ModelSpec)

REFUSED = [
    ({"kind": "cnn", "channels": [4] * 5, "kernel_size": 3}, 31, ["5 layers", "at least 32 pixels", "this one has 31"]),
    ({"kind": "cnn", "channels": [4, 4], "pool": 4, "kernel_size": 3}, 15, ["at least 16 pixels"]),
    ({"kind": "cnn", "channels": [4, 4], "average_to": 17}, 64, ["model.average_to is 17", "the 16 positions"]),
    ({"kind": "cnn", "channels": [4], "kernel_size": 21}, 20, ["model.kernel_size", "spans 21", "the 20"]),
    ({"kind": "moe_cnn", "channels": [4] * 4, "kernel_size": 3}, 15, ["at least 16 pixels"]),
    ({"kind": "vit", "patch": 16}, 15, ["model.patch is 16", "15 pixels"]),
    ({"kind": "vit", "patch": 16, "stride": 8}, 15, ["model.patch is 16", "at most 15"]),
    ({"kind": "res_cnn", "stem_kernel_size": 9, "kernel_size": 3}, 8, ["model.stem_kernel_size"]),
    ({"kind": "res_cnn", "dilations": [1, 2, 4, 8]}, 32, ["model.dilations", "dilation 8", "spans 33"]),
    ({"kind": "res_cnn", "parallel_kernels": [3, 15]}, 14, ["model.parallel_kernels", "15"]),
    ({"kind": "res_cnn", "stem_stride": 8, "kernel_size": 5}, 32, ["model.kernel_size", "the 4"]),
    ({"kind": "mlp", "hidden": [8, 1], "norm": "layer"}, 32, ["width 1"]),
    ({"kind": "mlp"}, 0, ["0 pixels"]),
]


@pytest.mark.parametrize(("section", "pixels", "said"), REFUSED)
def test_refusals(section: dict[str, object], pixels: int, said: list[str]) -> None:
    spec = SPECS.validate_python(section)
    for refuse in (build_model, count_parameters):
        with pytest.raises(RequestError) as caught:
            refuse(spec, pixels=pixels)
        assert all(words in str(caught.value) for words in said), str(caught.value)


ALLOWED = [
    ({"kind": "cnn", "channels": [4] * 5, "kernel_size": 3}, 32),
    ({"kind": "cnn", "channels": [4], "kernel_size": 21}, 21),
    ({"kind": "vit", "patch": 16, "width": 8, "layers": 1, "heads": 2}, 16),
    ({"kind": "vit", "patch": 16, "stride": 5, "width": 8, "layers": 1, "heads": 2}, 17),
    ({"kind": "vit", "patch": 4, "stride": 4, "width": 8, "layers": 1, "heads": 2, "tokeniser": "sliding_window"}, 4),
    ({"kind": "res_cnn", "dilations": [1, 2, 4, 8]}, 33),
    ({"kind": "mlp", "hidden": [8, 1]}, 1),
]


@pytest.mark.parametrize(("section", "pixels"), ALLOWED)
def test_the_shortest_spectrum_is_read(section: dict[str, object], pixels: int) -> None:
    spec = SPECS.validate_python(section)
    assert input_faults(spec, pixels=pixels) == []
    x_BCL = torch.randn(2, 1, pixels)
    assert build_model(spec, pixels=pixels).eval()(x_BCL).shape == (2,)


@pytest.mark.parametrize(
    ("pixels", "patch", "stride", "patches"),
    [
        (64, 16, None, 4),
        (65, 16, None, 5),
        (64, 16, 8, 7),
        (65, 16, 8, 8),
        (16, 16, 3, 1),
        (20, 16, 3, 3),
        (7, 1, 1, 7),
    ],
)
def test_patches_read_every_pixel(pixels: int, patch: int, stride: int | None, patches: int) -> None:
    spec = VitSpec(kind="vit", patch=patch, stride=stride)
    begins = [place * spec.step for place in range(spec.patches(pixels))]
    assert len(begins) == patches
    read = {pixel for begin in begins for pixel in range(begin, begin + patch)}
    assert read >= set(range(pixels))
    assert begins[-1] < pixels, "no patch holds filling alone"


def test_a_stride_that_skips_pixels_is_refused_with_the_cure() -> None:
    with pytest.raises(RequestError, match=r"stride 17 is wider than patch 16.*at most 16, or null"):
        RunSpec.from_dict({"stage": "s", "model": {"kind": "vit", "patch": 16, "stride": 17}})


def test_no_channels() -> None:
    with pytest.raises(RequestError, match="0 channels"):
        build_model(SPECS.validate_python({"kind": "mlp"}), pixels=8, channels=0)


def test_faults_come_together() -> None:
    spec = SPECS.validate_python({"kind": "cnn", "channels": [4] * 6, "kernel_size": 63})
    assert len(input_faults(spec, pixels=40)) == 2


@pytest.mark.parametrize(("channels", "parts", "shares"), [(64, 3, [22, 21, 21]), (3, 3, [1, 1, 1]), (6, 2, [3, 3])])
def test_split_channels(channels: int, parts: int, shares: list[int]) -> None:
    assert split_channels(channels, parts) == shares


def test_several_outputs_are_refused_by_families_that_give_one() -> None:
    spec = SPECS.validate_python({"kind": "mlp"})
    assert input_faults(spec, pixels=32) == []
    (fault,) = input_faults(spec, pixels=32, outputs=24)
    assert fault.startswith("model.kind mlp gives one number an example, and here 24 are to be predicted")


def test_rows_must_divide_an_input() -> None:
    (fault,) = input_faults(SPECS.validate_python({"kind": "mlp"}), pixels=32, height=5)
    assert "32 pixels does not divide into 5 rows" in fault

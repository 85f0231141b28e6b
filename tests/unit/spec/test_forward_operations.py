"""The work of one example, against counts done by hand."""

from typing import Any

import pytest

from spectral_search.spec.forward_operations import forward_operations, typical_operations
from spectral_search.spec.run import RunSpec


def spec(model: dict[str, Any], **sections: Any) -> RunSpec:
    return RunSpec.from_dict({"stage": "some", "model": model, **sections})


@pytest.mark.parametrize(
    ("model", "operations"),
    [
        ({"kind": "mlp", "hidden": [256, 64]}, 4096 * 256 + 256 * 64 + 64),
        ({"kind": "cnn", "channels": [32, 64], "kernel_size": 7}, 4096 * 32 * 7 + 2048 * 32 * 64 * 7),
        ({"kind": "moe_cnn", "channels": [32], "kernel_size": 7}, 9 * 4096 * 32 * 7),
        (
            {"kind": "res_cnn", "stem_stride": 4, "blocks": 1},
            1024 * (32 * 7 + 32 * 64 * 5 + 64 * 64 * 5),
        ),
        (
            {"kind": "res_cnn", "blocks": 1, "parallel_kernels": [3, 7]},
            4096 * (32 * 7 + 32 * 64 * 5 + 64 * 64 * 5),
        ),
        ({"kind": "vit", "layers": 1, "width": 8, "heads": 8}, 12 * 257 * 64 + 2 * 257 * 257 * 8),
    ],
)
def test_forward_operations(model: dict[str, Any], operations: int) -> None:
    assert forward_operations(spec(model).model) == operations


def test_typical_operations_lie_between_the_cheapest_and_the_dearest() -> None:
    small, large = [64], [4096]
    made = spec({"kind": "mlp", "hidden": small}, space={"model.hidden": {"choice": [small, large]}})
    ends = [forward_operations(made.with_params({"model.hidden": hidden}).model) for hidden in (small, large)]
    assert ends[0] < typical_operations(made) < ends[1]
    assert typical_operations(made) == typical_operations(made)
    assert typical_operations(spec({"kind": "mlp", "hidden": small})) == ends[0]

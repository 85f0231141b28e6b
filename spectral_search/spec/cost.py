"""How much work one spectrum is for a network, from its section of the spec alone."""

import itertools
import random
from typing import Any

from spectral_search.errors import RequestError
from spectral_search.spec.model import CnnSpec, MlpSpec, ModelSpec, MoeCnnSpec, ResCnnSpec, VitSpec
from spectral_search.spec.run import RunSpec

_EXPERTS = 9  # the bins of T_eff x [M/H], each with its own CNN
_DRAWS = 32


def forward_macs(model: ModelSpec, pixels: int = 4096) -> int:
    """Multiply-accumulates of one forward pass over one spectrum.

    Counts matrix products and convolutions; a training step is about three forward passes.
    """
    match model:
        case MlpSpec():
            return sum(low * high for low, high in itertools.pairwise([pixels, *model.hidden, 1]))
        case CnnSpec():
            return _plain_cnn(model.channels, model.kernel_size, model.pool, pixels)
        case MoeCnnSpec():
            return _EXPERTS * _plain_cnn(model.channels, model.kernel_size, 2, pixels)
        case ResCnnSpec():
            return _residual_cnn(model, pixels)
        case VitSpec():
            return _transformer(model, pixels)


def _plain_cnn(channels: list[int], kernel: int, pool: int, pixels: int) -> int:
    total = 0
    for low, high in itertools.pairwise([1, *channels]):
        total += pixels * low * high * kernel
        pixels = max(1, pixels // pool)
    return total


def _residual_cnn(model: ResCnnSpec, pixels: int) -> int:
    pixels = max(1, pixels // model.stem_stride)
    widths = [model.stem_channels, *[model.channels] * model.blocks]
    kernels = model.parallel_kernels or [model.kernel_size]
    first = sum(low * high for low, high in itertools.pairwise(widths)) * sum(kernels) // len(kernels)
    second = model.blocks * model.channels**2 * model.kernel_size
    return pixels * (model.stem_channels * model.stem_kernel_size + first + second)


def _transformer(model: VitSpec, pixels: int) -> int:
    tokens = model.patches(pixels) + 1
    return model.layers * (12 * tokens * model.width**2 + 2 * tokens**2 * model.width)


def typical_macs(spec: RunSpec) -> float:
    """Mean of `forward_macs` over what a search tries: its grid or its space, whichever is dearer."""
    points = spec.grid_points()
    draws = random.Random(0)  # fixed: the same spec must always shrink to the same quick run
    proposals = [_draw(spec, draws) for _ in range(_DRAWS)]
    return max(_mean_macs(spec, points[:: max(1, len(points) // _DRAWS)]), _mean_macs(spec, proposals))


def _draw(spec: RunSpec, draws: random.Random) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for key in spec.search_order():
        if key.startswith("model.") and spec.is_active(key, params):
            params[key] = draws.choice(spec.space[key].probes())
    return params


def _mean_macs(spec: RunSpec, points: list[dict[str, Any]]) -> float:
    macs: list[int] = []
    for point in points:
        try:
            macs.append(forward_macs(spec.with_params(point).model))
        except RequestError:
            continue  # a combination that the search would not run either
    return sum(macs) / len(macs) if macs else float(forward_macs(spec.model))

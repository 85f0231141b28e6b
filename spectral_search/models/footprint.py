"""How much memory a training step of a network needs, in closed form. Imports no torch, so that a dry run can say it.

Counted is what autograd keeps for the way back, and what the way back needs beside it where that is most, in float32,
which kernels for half precision add up in. Not counted are weights, which `count` knows, and what libraries take for
themselves: blocks that an allocator cuts too large, kernels that unfold a convolution. Held against measured peaks of a
CPU, weights included, the estimate lies between 0.8 and 1.6 times the measured one where a step takes 100 MB or more;
below that the libraries' own share decides. A GPU's convolutions may choose other workspaces.

Shape letters: B batch, C channels, L pixels, T tokens, D width, H heads.
"""

from itertools import pairwise

from spectral_search.models.shape import expert_spec
from spectral_search.spec.model import CnnSpec, MlpSpec, ModelSpec, MoeCnnSpec, ResCnnSpec, VitSpec

FULL = 4
"""Bytes of a float32, which norms, residual streams and statistics stay in."""
INDEX = 8
"""Bytes of the place of a maximum, which pooling keeps."""
KEEPS_OUTPUT = frozenset({"relu", "tanh", "elu"})
"""Activations undone from their output, which the next layer keeps anyway; of others autograd keeps the input."""


def step_bytes(spec: ModelSpec, *, pixels: int, channels: int, batch: int, element: int = FULL, bins: int = 9) -> int:
    """Memory of one training step at its fullest moment, without weights, their gradients and the input.

    Args:
        spec: The `model` section.
        pixels: Pixels of one spectrum, per channel.
        channels: Of the input.
        batch: Spectra of a step.
        element: Bytes of a number in a product: 4, or 2 in half precision.
        bins: Experts of a mixture.
    """
    match spec:
        case MlpSpec():
            of_one = _mlp(spec, element)
        case CnnSpec():
            of_one = sum(_cnn(spec, pixels, channels, element))
        case ResCnnSpec():
            of_one = _res_cnn(spec, pixels, element)
        case VitSpec():
            of_one = _vit(spec, pixels, channels, element)
        case MoeCnnSpec():
            of_one = _mixture(spec, pixels, channels, element, bins)
    return batch * of_one


def _mlp(spec: MlpSpec, element: int) -> int:
    """Of a hidden layer: activation, norm in float32, dropout's factor and product, skip."""
    kept = 0
    for place, width in enumerate(spec.hidden):
        normed = spec.norm != "none" and (place == 0 or spec.norm_layers == "all")
        numbers = 1 + (spec.activation not in KEEPS_OUTPUT) + 2 * (spec.dropout > 0.0) + spec.residual
        kept += width * (element * numbers + normed * 3 * FULL)
    return kept + 2 * max(spec.hidden) * element


def _cnn(spec: CnnSpec, pixels: int, channels: int, element: int) -> tuple[int, int]:
    """Kept, and needed beside it on the way back.

    Of a layer: the convolution's output, the norm's, the places of the maxima, and what the next layer reads.
    """
    kept, largest = 0, channels * pixels * FULL
    for width in spec.channels:
        full, pooled = width * pixels, width * (pixels // spec.pool)
        tensors = full * element * (1 + (spec.norm != "none") + (spec.activation not in KEEPS_OUTPUT))
        kept += tensors + (pooled * (element + INDEX) if spec.pool > 1 else 0)
        largest = max(largest, full * FULL)
        pixels //= spec.pool
    return kept + _head(spec.head, element), 3 * largest


def _res_cnn(spec: ResCnnSpec, pixels: int, element: int) -> int:
    """Of a block: both convolutions' outputs, their activations, the norm's output and the sum."""
    length = -(-pixels // spec.stem_stride)
    stem, width = spec.stem_channels * length, spec.channels * length
    tensors = 3 + (spec.norm != "none") + (spec.activation not in KEEPS_OUTPUT)
    kept = element * (stem + spec.blocks * tensors * width)
    return kept + 5 * width * FULL + _head(spec.head, element)


def _vit(spec: VitSpec, pixels: int, channels: int, element: int) -> int:
    """Of a block and a token: the stream and two norms in float32, qkv, attention, both feed-forward layers.

    Attention keeps no T x T matrix, but where dropout takes part in it: then scores, mask and product of each head.
    Normalised windows hold each pixel as often as windows overlap there: four times while they are made, then once.
    """
    windows = channels * spec.patches(pixels) * (spec.patch + 2) * (spec.tokeniser == "sliding_window")
    tokens, width, drops = spec.patches(pixels) + 1, spec.width, spec.dropout > 0.0
    casts = 2 * element if element < FULL else 0
    of_token = width * (4 * FULL + casts + element * (5 + 8 + drops * (4 + 2)))
    attention = drops * (3 * FULL + element) * spec.heads * tokens * tokens
    block = tokens * of_token + attention
    way_back = tokens * width * 12 * FULL + attention // 2
    kept = windows * element + tokens * width * 2 * FULL + spec.layers * block
    return max(4 * windows * FULL, kept + way_back)


def _mixture(spec: MoeCnnSpec, pixels: int, channels: int, element: int, bins: int) -> int:
    """By the true bin each spectrum is copied to one expert; by a learned gate all read it, and so does the gate.

    They go back one after the other.
    """
    kept, way_back = _cnn(expert_spec(spec), pixels, channels, element)
    return way_back + (kept + channels * pixels * element if spec.gate == "oracle" else (bins + 1) * kept)


def _head(hidden: list[int], element: int) -> int:
    return sum(3 * width * element for _, width in pairwise([0, *hidden]))

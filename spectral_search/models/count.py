"""How many parameters a network has, in closed form. Imports no torch, so that a dry run can say it at once."""

from itertools import pairwise

from spectral_search.models.shape import expert_spec, require_fit, split_channels
from spectral_search.spec.model import CnnSpec, MlpSpec, ModelSpec, MoeCnnSpec, Norm, ResCnnSpec, VitSpec


def count_parameters(spec: ModelSpec, *, pixels: int, channels: int = 1, bins: int = 9) -> int:
    """Trainable parameters of `build_model` with the same arguments.

    Raises:
        RequestError: The network cannot read spectra of this many pixels.
    """
    require_fit(spec, pixels=pixels, channels=channels)
    match spec:
        case MlpSpec():
            return _mlp(spec, pixels * channels)
        case CnnSpec():
            return _cnn(spec, channels)
        case ResCnnSpec():
            return _res_cnn(spec, channels)
        case VitSpec():
            return _vit(spec, pixels, channels)
        case MoeCnnSpec():
            experts = bins * _cnn(expert_spec(spec), channels)
            return experts if spec.gate == "oracle" else experts + _cnn(expert_spec(spec), channels, outputs=bins)


def _linear(inputs: int, outputs: int) -> int:
    return (inputs + 1) * outputs


def _conv(inputs: int, outputs: int, kernel: int) -> int:
    return (inputs * kernel + 1) * outputs


def _norm(norm: Norm, features: int) -> int:
    return 0 if norm == "none" else 2 * features


def _head(features: int, hidden: list[int], outputs: int = 1) -> int:
    return sum(_linear(i, o) for i, o in pairwise([features, *hidden, outputs]))


def _mlp(spec: MlpSpec, inputs: int) -> int:
    total = _head(inputs, spec.hidden)
    normed = spec.hidden if spec.norm_layers == "all" else spec.hidden[:1]
    total += sum(_norm(spec.norm, width) for width in normed)
    if spec.residual:
        total += sum(i * o for i, o in pairwise([inputs, *spec.hidden]) if i != o)
    return total


def _cnn(spec: CnnSpec, channels: int, outputs: int = 1) -> int:
    layers = sum(_conv(i, o, spec.kernel_size) + _norm(spec.norm, o) for i, o in pairwise([channels, *spec.channels]))
    return layers + _head(spec.channels[-1] * spec.average_to, spec.head, outputs)


def _res_cnn(spec: ResCnnSpec, channels: int) -> int:
    width = spec.channels
    total = _conv(channels, spec.stem_channels, spec.stem_kernel_size) + _head(width, spec.head)
    kernels = spec.parallel_kernels or [spec.kernel_size]
    shares = split_channels(width, len(kernels))
    for block in range(spec.blocks):
        inputs = width if block else spec.stem_channels
        total += sum(_conv(inputs, w, k) for w, k in zip(shares, kernels, strict=True))
        total += _norm(spec.norm, width) + _conv(width, width, spec.kernel_size)
        total += inputs * width if inputs != width else 0
    return total


def _vit(spec: VitSpec, pixels: int, channels: int) -> int:
    width, tokens = spec.width, spec.patches(pixels) + 1
    feedforward = _linear(width, 4 * width) + _linear(4 * width, width)
    block = _linear(width, 3 * width) + _linear(width, width) + feedforward + 2 * 2 * width
    # Of a normalised window the mean and the spread are read too.
    read = spec.patch + 2 * (spec.tokeniser == "sliding_window")
    embedding = _conv(channels, width, read) + width + tokens * width
    return embedding + spec.layers * block + 2 * width + _linear(width, width) + _linear(width, 1)

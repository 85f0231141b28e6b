"""Parameters, memory and reach of the layers that families share, in closed form. Imports no torch.

Step memory counts in float32 what kernels for half precision add up in. Not counted is what libraries take for
themselves: blocks that an allocator cuts too large, kernels that unfold a convolution. Held against measured peaks of a
CPU, weights included, the estimates lie between 0.8 and 1.6 times the measured ones where a step takes 100 MB or more;
below that the libraries' own share decides. A GPU's convolutions may choose other workspaces.
"""

from itertools import pairwise

from spectral_search.spec.model_section import Norm

FULL = 4
"""Bytes of a float32, which norms, residual streams and statistics stay in."""
INDEX = 8
"""Bytes of the place of a maximum, which pooling keeps."""
KEEPS_OUTPUT = frozenset({"relu", "tanh", "elu"})
"""Activations undone from their output, which the next layer keeps anyway; of others autograd keeps the input."""


def linear_parameters(inputs: int, outputs: int) -> int:
    return (inputs + 1) * outputs


def conv_parameters(inputs: int, outputs: int, kernel: int) -> int:
    return (inputs * kernel + 1) * outputs


def norm_parameters(norm: Norm, features: int) -> int:
    return 0 if norm == "none" else 2 * features


def head_parameters(features: int, hidden: list[int], outputs: int = 1) -> int:
    return sum(linear_parameters(i, o) for i, o in pairwise([features, *hidden, outputs]))


def head_bytes(hidden: list[int], element: int) -> int:
    """Of one example: products, activations and dropout's factors."""
    return sum(3 * width * element for width in hidden)


def kernel_faults(key: str, kernel: int, pixels: int, dilation: int = 1) -> list[str]:
    """Why a kernel is too wide for what it sees, as a list of one sentence or none."""
    span = (kernel - 1) * dilation + 1
    if span <= pixels:
        return []
    dilated = f" at dilation {dilation}" if dilation > 1 else ""
    return [f"{key}: a kernel of {kernel}{dilated} spans {span} pixels, more than the {pixels} it sees; use less"]

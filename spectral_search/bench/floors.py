"""The least time that a training step can take: its matrix products and its random numbers, each measured alone.

Everything else that a step does (gathering rows, adding the noise, the input transform, activations, dropout, loss,
optimiser) moves memory, and could in principle be hidden or fused away; these two cannot.
Shape suffixes: B spectra, K members, I inputs and O outputs of a layer, L pixels.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import torch

from spectral_search.bench.clock import Work, best_seconds

FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
ROUNDS = 7


def mlp_products(
    widths: Sequence[int], batch: int, members: int, precision: str, device: torch.device, *, backward: bool = True
) -> Work:
    """The matrix products of one step of `members` equal MLPs, the first layer as one wide product over all of them.

    Args:
        widths: Inputs, hidden layers and outputs: (4096, 256, 64, 1).
        batch: B.
        members: K.
        precision: Number format of the products.
        device: Where they are formed.
        backward: Also those of the gradients of the weights, and of the inputs of all layers but the first.
    """
    kind = FORMATS[precision]

    def tensor(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=device).to(kind)

    first, *rest = pairwise(widths)
    x_BI, weight_OI = tensor(batch, first[0]), tensor(members * first[1], first[0])
    grad_BO = tensor(batch, members * first[1])
    later = [(tensor(members, batch, i), tensor(members, o, i), tensor(members, batch, o)) for i, o in rest]

    def products() -> None:
        torch.mm(x_BI, weight_OI.T)
        for x_KBI, weight_KOI, _ in later:
            torch.bmm(x_KBI, weight_KOI.mT)
        if backward:
            for x_KBI, weight_KOI, grad_KBO in later:
                torch.bmm(grad_KBO.mT, x_KBI)
                torch.bmm(grad_KBO, weight_KOI)
            torch.mm(grad_BO.T, x_BI)

    return products


def mlp_flops(widths: Sequence[int], batch: int, members: int) -> float:
    """Floating-point operations of a step's products, as `mlp_products` forms them with `backward`."""
    layers = [2.0 * batch * i * o for i, o in pairwise(widths)]
    return members * (3.0 * sum(layers) - layers[0])


def noise_seconds(batch: int, pixels: int, device: torch.device) -> float:
    """The least time in which a batch's normal deviates can be drawn, on one thread or in stripes of rows on all."""
    out_BL = torch.empty(batch, pixels, device=device)
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    with ThreadPoolExecutor(threads) as pool:

        def draw(stripes: int) -> None:
            list(pool.map(_draw, out_BL.chunk(stripes)))

        return min(best_seconds([partial(draw, stripes) for stripes in {1, threads}], ROUNDS, device))


def _draw(out_BL: torch.Tensor) -> None:
    out_BL.normal_(generator=torch.Generator(out_BL.device).manual_seed(0))


def product_seconds(widths: Sequence[int], batch: int, members: int, precision: str, device: torch.device) -> float:
    """The least time of a step's matrix products."""
    return best_seconds([mlp_products(widths, batch, members, precision, device)], ROUNDS, device)[0]


def bandwidth(device: torch.device, nbytes: int) -> float:
    """Bytes per second that a copy within the device's memory reads and writes."""
    source = torch.empty(nbytes // 4, device=device)
    target = torch.empty_like(source)
    return 2.0 * nbytes / best_seconds([lambda: target.copy_(source)], ROUNDS, device)[0]

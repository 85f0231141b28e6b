"""The least time that a training step can take: its matrix products and its random numbers, each measured alone.

Everything else that a step does (gathering rows, adding the noise, the input transform, activations, dropout, loss,
optimiser) moves memory, and could in principle be hidden or fused away; these two cannot.
Shape suffixes: B spectra, K members, L pixels.
"""

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch

from benchmarks.fair_timing import best_seconds
from spectral_search.models.threads import for_each
from spectral_search.tasks.spectra.noise.noise_model import normal_deviates
from spectral_search.tasks.spectra.training.input_feed import stripes

_FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_ROUNDS = 7


@dataclass(frozen=True)
class Product:
    """A matrix product of a step, (rows x inner) @ (inner x columns), once or for each of several members."""

    members: int
    rows: int
    inner: int
    columns: int

    @property
    def flops(self) -> float:
        """Floating-point operations."""
        return 2.0 * self.members * self.rows * self.inner * self.columns


def mlp_products(widths: Sequence[int], batch: int, members: int) -> list[Product]:
    """The products of one step of `members` equal MLPs, the first layer as one wide product over all of them.

    Each layer has its forward product and the gradients of its weights and of its inputs; the spectra need none.

    Args:
        widths: Inputs, hidden layers and outputs: (4096, 256, 64, 1).
        batch: B.
        members: K.
    """
    (inputs, first), *rest = pairwise(widths)
    products = [Product(1, batch, inputs, members * first), Product(1, members * first, batch, inputs)]
    for i, o in rest:
        products += [Product(members, batch, i, o), Product(members, o, batch, i), Product(members, batch, o, i)]
    return products


def product_seconds(products: Sequence[Product], precision: str, device: torch.device) -> float:
    """The least time of some products, each with its factors stored by rows or by columns, whichever is fastest."""
    return sum(_product_seconds(product, _FORMATS[precision], device) for product in products)


def _product_seconds(product: Product, kind: torch.dtype, device: torch.device) -> float:
    def factors(rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
        shapes = (product.members, rows, columns), (product.members, columns, rows)
        by_rows, by_columns = (torch.randn(shape, device=device).to(kind) for shape in shapes)
        return by_rows, by_columns.mT

    pairs = itertools.product(factors(product.rows, product.inner), factors(product.inner, product.columns))
    return min(best_seconds([partial(torch.matmul, *_plain(pair)) for pair in pairs], _ROUNDS, device))


def _plain(pair: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """A lone member's matrices without their first dimension: a batch of one product is not as fast as the product."""
    return tuple(factor[0] for factor in pair) if len(pair[0]) == 1 else pair


def noise_seconds(batch: int, pixels: int, device: torch.device) -> float:
    """The time in which torch draws a batch's normal deviates, on one thread or in stripes of rows on all."""
    out_BL = torch.empty(batch, pixels, device=device)
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    with ThreadPoolExecutor(threads) as pool:

        def draw(stripes: int) -> None:
            list(pool.map(_draw, out_BL.chunk(stripes)))

        return min(best_seconds([partial(draw, stripes) for stripes in {1, threads}], _ROUNDS, device))


def component_seconds(batch: int, components: int, shared: int, device: torch.device) -> float:
    """The least time to draw a batch's components: K deviates a spectrum, and the product of their mixture, float32.

    Args:
        batch: B.
        components: K.
        shared: R, the shared matrices that a spectrum's factor is mixed of.
        device: Where.
    """
    mixing = Product(1, batch, shared * components, components)
    return own_noise_seconds(batch, components, device) + product_seconds([mixing], "float32", device)


def traffic_seconds(widths: Sequence[int], batch: int, shared: int, precision: str, device: torch.device) -> float:
    """The least time for what a step on components moves besides its products.

    Each is counted once: the batch's means and mixtures, gathered; deviates and their mixtures, written and read; the
    input, scaled and rounded; of each hidden layer activation and dropout there and back, a read and a write each; and
    of the optimiser gradient, weight and two moments, read, and all but the gradient written. It is what a copy of an
    array as large as the first layer's activations moves in the same time, in whichever cache that lies.

    Args:
        widths: Components, hidden layers and outputs.
        batch: B.
        shared: R.
        precision: Of products and activations.
        device: Where.
    """
    components, *hidden, _ = widths
    width = _FORMATS[precision].itemsize
    drawn = batch * (4 * 2 * (components + shared) + 4 * 2 * components * (1 + shared) + (4 + width) * components)
    activations = 4 * width * batch * sum(hidden)
    parameters = 4 * 7 * sum((i + 1) * o for i, o in pairwise(widths))
    return (drawn + activations + parameters) / bandwidth(device, width * batch * hidden[0])


def _draw(out_BL: torch.Tensor) -> None:
    out_BL.normal_(generator=torch.Generator(out_BL.device).manual_seed(0))


def own_noise_seconds(batch: int, pixels: int, device: torch.device) -> float:
    """The time in which the deviates of a training batch are drawn, in the stripes of its feed."""

    def draw(rows: slice) -> None:
        normal_deviates(torch.Size((rows.stop - rows.start, pixels)), device, (0,), rows.start)

    return best_seconds([lambda: for_each(draw, stripes(batch, device))], _ROUNDS, device)[0]


def bandwidth(device: torch.device, nbytes: int) -> float:
    """Bytes per second that a copy within the device's memory reads and writes."""
    source = torch.empty(nbytes // 4, device=device)
    target = torch.empty_like(source)
    return 2.0 * nbytes / best_seconds([lambda: target.copy_(source)], _ROUNDS, device)[0]

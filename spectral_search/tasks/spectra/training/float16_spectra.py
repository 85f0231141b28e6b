"""Spectra in half the memory.

Divided by the flux scale, fluxes are near 1 and errors well above 1e-4: float16 keeps 11 binary digits of either, an
error of 0.02 %, a hundredth of the noise of a pixel at S/N 30.
Shape suffixes: B spectra in a block, L pixels.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.blocks import Block
from spectral_search.tasks.spectra.training.dataset import shared_tensor


def halved(blocks: Iterable[Block], flux_scale: Callable[[], float]) -> Iterator[Block]:
    """Turns blocks into units of training and float16.

    Args:
        blocks: Flux and error as read.
        flux_scale: Asked for once a block; 0 as long as no flux above 0 has come.

    Raises:
        RequestError: A value is out of the range of float16.
    """
    for block in blocks:
        factor = 1.0 / (flux_scale() or 1.0)
        flux_BL, error_BL = _half(block.flux_BL, factor), _half(block.error_BL, factor)
        # An error that underflows to 0 would turn a good pixel into an invalid one.
        if not (np.isfinite(flux_BL).all() and np.isfinite(error_BL).all()) or (
            np.count_nonzero(error_BL) != np.count_nonzero(block.error_BL)
        ):
            raise RequestError(
                f"Training spectra {block.rows_B[0]:,} to {block.rows_B[-1]:,} hold fluxes or errors that float16 "
                f"cannot (it reaches from 6e-8 to 65,504, and here 1 stands for a flux of {1 / factor:.3g}): set "
                "data.stored_as to float32, or data.residency to stream."
            )
        yield Block(block.rows_B, flux_BL, error_BL)


def _half(values_BL: np.ndarray, factor: float) -> np.ndarray:
    # torch converts at the speed of memory, numpy at a tenth of it.
    return (shared_tensor(values_BL) * factor).to(torch.float16).numpy()

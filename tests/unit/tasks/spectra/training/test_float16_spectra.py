"""float16 spectra: near float32, in units of training, refused where they do not fit."""

import numpy as np
import pytest
from small_dataset import UNIT, make_spectra

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.training.dataset import as_blocks
from spectral_search.tasks.spectra.training.float16_spectra import halved

SCALE = 2.0**-56
"""Nearest power of two to the fluxes of `make_spectra`."""


def test_values_are_scaled_and_rounded_by_less_than_a_thousandth() -> None:
    spectra = make_spectra(2000, 1, nan_edges=True)
    blocks = list(halved(as_blocks(spectra), lambda: SCALE))
    flux_NL = np.concatenate([block.flux_BL for block in blocks])
    error_NL = np.concatenate([block.error_BL for block in blocks])
    assert flux_NL.dtype == error_NL.dtype == np.float16
    np.testing.assert_allclose(flux_NL.astype(np.float64) * SCALE, spectra.flux_NL, rtol=5e-4)
    np.testing.assert_allclose(error_NL.astype(np.float64) * SCALE, spectra.error_NL, rtol=5e-4)
    np.testing.assert_array_equal(error_NL == 0, spectra.error_NL == 0)
    assert [block.rows_B[0] for block in blocks] == [0, 1024]


@pytest.mark.parametrize(("array", "value"), [("flux_BL", 1e6), ("error_BL", 1e6), ("error_BL", 1e-9)])
def test_what_float16_cannot_hold_is_refused(array: str, value: float) -> None:
    """Large values would become infinite, and an error of 0 would mark the pixel as invalid."""
    (block,) = as_blocks(make_spectra(20, 1))
    getattr(block, array)[7, 3] = value * UNIT
    with pytest.raises(RequestError, match="spectra 0 to 19 .* data.stored_as to float32"):
        list(halved([block], lambda: SCALE))

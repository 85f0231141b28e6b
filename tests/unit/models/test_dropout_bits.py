"""Factors of dropout from random bits: which values they drop, and by what they multiply the others."""

import pytest
import torch

from spectral_search.models.dropout_bits import RESOLUTION, dropped_of, fill_factors, kept_factor

KINDS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("p", [0.0, 1e-6, 0.2, 0.5, 0.999999])
def test_of_all_bits_there_are_as_many_are_dropped_as_is_said(p: float, kind: torch.dtype) -> None:
    bits = torch.arange(-RESOLUTION // 2, RESOLUTION // 2, dtype=torch.int16)
    factor = torch.full((RESOLUTION,), float("nan"), dtype=kind)
    fill_factors(factor, bits, p)
    dropped = dropped_of(p)
    assert abs(dropped - p * RESOLUTION) <= 1 and (factor[:dropped] == 0.0).all()
    assert (factor[dropped:] == torch.tensor(kept_factor(dropped), dtype=kind)).all()


def test_never_all_are_dropped() -> None:
    assert dropped_of(1.0 - 1e-9) == RESOLUTION - 1 and kept_factor(RESOLUTION - 1) == RESOLUTION

"""Dropout in one pass: numpy's random bits, torch's numbers."""

import numpy as np
import pytest
import torch

from spectral_search.models.dropout_bits import RESOLUTION, dropped_of, kept_factor
from spectral_search.train.dropout_kernel import Dropped, WordStream

KINDS = (torch.float32, torch.bfloat16)
WIDTH, BATCH, TILE = 5, 70, slice(16, 59)


def bits() -> torch.Tensor:
    words = np.random.SFC64(3).random_raw(WIDTH * BATCH)
    return torch.from_numpy(words.view(np.int16))[: WIDTH * BATCH].view(WIDTH, BATCH)


def factors(p: float, kind: torch.dtype) -> torch.Tensor:
    dropped = dropped_of(p)
    return (bits() >= dropped - RESOLUTION // 2).to(kind) * torch.tensor(kept_factor(dropped), dtype=kind)


def values(kind: torch.dtype, seed: int) -> torch.Tensor:
    return torch.randn(WIDTH, TILE.stop - TILE.start, generator=torch.Generator().manual_seed(seed)).to(kind)


def test_the_words_are_numpys() -> None:
    stream, known = WordStream(2**62 + 5), np.random.SFC64(2**62 + 5)
    for count in (1, 1000, 0, 7):
        np.testing.assert_array_equal(stream.next(count), known.random_raw(count))


@pytest.mark.parametrize("kind", KINDS)
# At 0.2 the factor is 5/4: of products with it some lie in the middle between two bfloat16.
@pytest.mark.parametrize("p", [1e-6, 0.2, 0.3, 0.999])
def test_a_pass_there_and_back_has_torchs_numbers(p: float, kind: torch.dtype) -> None:
    z_WT, grad_WT, factor_WT = values(kind, 1), values(kind, 2), factors(p, kind)[:, TILE]
    dropped = Dropped(bits(), p, kind)
    h_WB, dz_WB = torch.full((2, WIDTH, BATCH), 9.0, dtype=kind)
    dropped.forward(z_WT, h_WB[:, TILE], TILE, relu=True)
    assert torch.equal(h_WB[:, TILE], z_WT.relu() * factor_WT)
    dropped.back_through_relu(grad_WT, h_WB[:, TILE], dz_WB[:, TILE])
    expected_WT = torch.ops.aten.threshold_backward(grad_WT * factor_WT, z_WT.relu(), 0)
    assert torch.equal(dz_WB[:, TILE], expected_WT)
    assert torch.equal(dropped.back(grad_WT, TILE), grad_WT * factor_WT)
    dropped.forward(z_WT, h_WB[:, TILE], TILE, relu=False)
    assert torch.equal(h_WB[:, TILE], z_WT * factor_WT)
    assert (h_WB[:, : TILE.start] == 9.0).all() and (dz_WB[:, TILE.stop :] == 9.0).all()


@pytest.mark.parametrize("p", [0.0, 0.2, 0.999])
def test_a_bias_and_a_relu_go_with_it(p: float) -> None:
    kind, bias_W = torch.float32, torch.randn(WIDTH, generator=torch.Generator().manual_seed(4))
    z_WT, grad_WT, factor_WT = values(kind, 1), values(kind, 2), factors(p, kind)[:, TILE]
    dropped = Dropped(bits() if p else None, p, kind)
    h_WB, dz_WB = torch.full((2, WIDTH, BATCH), 9.0)
    dropped.forward_biased_relu(z_WT, bias_W, h_WB[:, TILE], TILE)
    active_WT = (z_WT + bias_W.unsqueeze(1)).relu()
    assert torch.equal(h_WB[:, TILE], active_WT * factor_WT)
    dropped.back_through_relu(grad_WT, h_WB[:, TILE], dz_WB[:, TILE])
    assert torch.equal(dz_WB[:, TILE], torch.ops.aten.threshold_backward(grad_WT * factor_WT, active_WT, 0))
    assert (h_WB[:, : TILE.start] == 9.0).all() and (h_WB[:, TILE.stop :] == 9.0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_where_nothing_is_dropped_no_bits_are_needed(kind: torch.dtype) -> None:
    z_WT, grad_WT = values(kind, 1), values(kind, 2)
    dropped, h_WB = Dropped(None, 0.0, kind), torch.full((WIDTH, BATCH), 9.0, dtype=kind)
    dropped.forward(z_WT, h_WB[:, TILE], TILE, relu=True)
    assert torch.equal(h_WB[:, TILE], z_WT.relu())
    dropped.forward(z_WT, h_WB[:, TILE], TILE, relu=False)
    assert torch.equal(h_WB[:, TILE], z_WT)
    assert torch.equal(dropped.back(grad_WT, TILE), grad_WT)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_finite_stays_so(kind: torch.dtype) -> None:
    """A fit that has diverged is recognised by it."""
    z_WT = torch.full((WIDTH, BATCH), float("nan"), dtype=kind)
    h_WB, dz_WB = torch.empty(2, WIDTH, BATCH, dtype=kind)
    dropped = Dropped(bits(), 0.5, kind)
    dropped.forward(z_WT, h_WB, slice(0, BATCH), relu=True)
    kept = factors(0.5, kind) > 0
    assert h_WB[kept].isnan().all()
    dropped.back_through_relu(torch.ones_like(z_WT), h_WB, dz_WB)
    assert (dz_WB[kept] == 2.0).all()
    z_WT.fill_(float("inf"))
    dropped.forward(z_WT, h_WB, slice(0, BATCH), relu=True)
    assert h_WB[kept].isinf().all()


def test_sides_that_do_not_go_together_are_refused() -> None:
    dropped, z_WT = Dropped(bits(), 0.5, torch.float32), torch.zeros(WIDTH, BATCH)
    with pytest.raises(ValueError, match="do not go together"):
        dropped.forward(z_WT, torch.zeros(WIDTH, BATCH - 1), slice(0, BATCH), relu=True)
    with pytest.raises(ValueError, match="a bias for 5 rows is needed"):
        dropped.forward_biased_relu(z_WT, torch.zeros(WIDTH - 1), torch.zeros(WIDTH, BATCH), slice(0, BATCH))
    with pytest.raises(TypeError, match="float32 is needed"):
        dropped.back(z_WT.bfloat16(), slice(0, BATCH))

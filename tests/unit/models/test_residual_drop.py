"""Dropout of branches: how often, that nothing is shifted by it, and that it is torch's default generator's."""

import pytest
import torch

from spectral_search.models.residual_drop import Dropout, ResidualDrop, drawn_factor
from spectral_search.models.stochastic_depth import StochasticDepth


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.97])
def test_so_many_values_are_dropped_and_the_mean_stays(p: float, kind: torch.dtype) -> None:
    torch.manual_seed(0)
    factor_N = drawn_factor(torch.empty(301, 333, dtype=kind), p).flatten().float()
    kept_N = factor_N != 0.0
    assert kept_N.float().mean() == pytest.approx(1.0 - p, abs=4 * (p * (1 - p) / len(factor_N)) ** 0.5 + 1e-6)
    assert factor_N[kept_N].unique().tolist() == pytest.approx([1.0 / (1.0 - p)], rel=1e-2)


def test_neighbours_are_dropped_apart() -> None:
    torch.manual_seed(0)
    kept_N = (drawn_factor(torch.empty(400_000), 0.5) != 0.0).float()
    for apart in (1, 2, 3, 4, 8):
        assert (kept_N[apart:] * kept_N[:-apart]).mean() == pytest.approx(0.25, abs=0.004)


def test_draws_follow_from_the_seed_and_gradients_from_the_draws() -> None:
    x = torch.randn(7, 5, requires_grad=True)
    drop = Dropout(0.3)
    torch.manual_seed(3)
    first = drop(x)
    torch.manual_seed(3)
    assert torch.equal(drop(x), first) and not torch.equal(drop(x), first)
    first.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad * x.detach(), first.detach())
    assert drop.eval()(x) is x


@pytest.mark.parametrize("depth", [0.0, 0.5])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_branch_is_added_with_both(dropout: float, depth: float) -> None:
    x_BLD, branch_BLD = torch.randn(4000, 3, 5), torch.ones(4000, 3, 5, requires_grad=True)
    add = ResidualDrop(dropout, StochasticDepth(depth) if depth else None)
    torch.manual_seed(0)
    added_BLD = add(x_BLD, branch_BLD) - x_BLD
    gone_B = (added_BLD.detach().abs() < 1e-6).flatten(1).all(1)
    assert gone_B.float().mean() == pytest.approx(depth, abs=0.03)
    assert (added_BLD.detach()[~gone_B].abs() < 1e-6).float().mean() == pytest.approx(dropout, abs=0.03)
    assert added_BLD.detach().mean() == pytest.approx(1.0, abs=0.05)
    added_BLD.sum().backward()
    torch.testing.assert_close(branch_BLD.grad, added_BLD.detach(), rtol=1e-5, atol=1e-5)
    assert torch.equal(add.eval()(x_BLD, branch_BLD), x_BLD + branch_BLD)

"""Ridge from accumulated sums is scikit-learn's Ridge."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from spectral_search.errors import RequestError
from spectral_search.models.ridge_regression import RidgeAccumulator, RidgeSolution

FEATURES = 40


def problem(count: int = 500, offset: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    x_NF = torch.randn(count, FEATURES, generator=draw) * torch.linspace(0.1, 3.0, FEATURES) + offset
    y_N = x_NF @ torch.randn(FEATURES, generator=draw) + 0.5 * torch.randn(count, generator=draw) + 3.0
    return x_NF, y_N


def solved(x_NF: torch.Tensor, y_N: torch.Tensor, alphas: list[float], block: int = 77) -> list[RidgeSolution]:
    ridge = RidgeAccumulator(x_NF.shape[1])
    for start in range(0, len(x_NF), block):
        ridge.update(x_NF[start : start + block], y_N[start : start + block])
    return ridge.solve(alphas)


@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_equals_sklearn(offset: float) -> None:
    x_NF, y_N = problem(offset=offset)
    alphas = [0.1, 10.0, 200.0, 3e4]
    for alpha, (weight_F, bias) in zip(alphas, solved(x_NF, y_N, alphas), strict=True):
        peer = Ridge(alpha=alpha).fit(x_NF.double().numpy(), y_N.double().numpy())
        np.testing.assert_allclose(weight_F.numpy(), peer.coef_, rtol=1e-3, atol=1e-4)
        predicted_N = (x_NF.double() @ weight_F + bias).numpy()
        np.testing.assert_allclose(predicted_N, peer.predict(x_NF.double().numpy()), rtol=1e-3, atol=1e-2)


def test_blocks_do_not_matter() -> None:
    x_NF, y_N = problem()
    small, whole = solved(x_NF, y_N, [10.0], block=3)[0], solved(x_NF, y_N, [10.0], block=500)[0]
    torch.testing.assert_close(small.weight_F, whole.weight_F, rtol=1e-4, atol=1e-5)
    assert small.bias == pytest.approx(whole.bias, rel=1e-4)


def test_no_penalty_is_least_squares_and_a_huge_one_is_the_mean() -> None:
    x_NF, y_N = problem()
    free, crushed = solved(x_NF, y_N, [0.0, 1e12])
    residual_N = y_N.double() - x_NF.double() @ free.weight_F - free.bias
    assert float((x_NF.double().T @ residual_N).abs().max()) < 1e-2
    assert float(crushed.weight_F.abs().max()) < 1e-6
    assert crushed.bias == pytest.approx(float(y_N.mean()), abs=1e-3)


def test_updates_may_go_on_after_solving() -> None:
    x_NF, y_N = problem()
    ridge = RidgeAccumulator(FEATURES)
    ridge.update(x_NF[:100], y_N[:100])
    ridge.solve([1.0])
    ridge.update(x_NF[100:], y_N[100:])
    torch.testing.assert_close(
        ridge.solve([1.0])[0].weight_F, solved(x_NF, y_N, [1.0])[0].weight_F, rtol=1e-4, atol=1e-5
    )


def test_accumulators_add_up() -> None:
    x_NF, y_N = problem(offset=5.0)
    parts = [RidgeAccumulator(FEATURES), RidgeAccumulator(FEATURES), RidgeAccumulator(FEATURES)]
    parts[1].update(x_NF[:120], y_N[:120])
    parts[2].update(x_NF[120:] + 1.0, y_N[120:] - 2.0)
    for part in parts[1:]:
        parts[0].add(part)
    together = solved(torch.cat([x_NF[:120], x_NF[120:] + 1.0]), torch.cat([y_N[:120], y_N[120:] - 2.0]), [10.0])[0]
    assert parts[0].count == len(x_NF)
    torch.testing.assert_close(parts[0].solve([10.0])[0].weight_F, together.weight_F, rtol=1e-4, atol=1e-5)
    assert parts[0].solve([10.0])[0].bias == pytest.approx(together.bias, rel=1e-3)


def test_expected_noise_is_the_limit_of_many_draws() -> None:
    x_NF, y_N = problem(100)
    sigma_F = torch.linspace(0.2, 1.0, FEATURES)
    expected, drawn = RidgeAccumulator(FEATURES), RidgeAccumulator(FEATURES)
    expected.update(x_NF, y_N, len(x_NF) * sigma_F.double() ** 2)
    draw = torch.Generator().manual_seed(1)
    for _ in range(4000):
        drawn.update(x_NF + sigma_F * torch.randn(x_NF.shape, generator=draw), y_N)
    weight_F = expected.solve([3.0])[0].weight_F
    torch.testing.assert_close(drawn.solve([4000 * 3.0])[0].weight_F, weight_F, rtol=0.02, atol=0.04)
    assert (solved(x_NF, y_N, [3.0])[0].weight_F - weight_F).abs().max() > 0.2


def test_double_precision_bears_a_tiny_penalty() -> None:
    x_NF, y_N = problem()
    x_NF = torch.cat([x_NF.double(), x_NF[:, :1].double() * (1 + 1e-6 * y_N[:, None].double())], 1)
    ridge = RidgeAccumulator(FEATURES + 1, dtype=torch.float64)
    ridge.update(x_NF, y_N)
    peer = Ridge(alpha=1e-7, solver="svd").fit(x_NF.numpy(), y_N.double().numpy())
    np.testing.assert_allclose(ridge.solve([1e-7])[0].weight_F.numpy(), peer.coef_, rtol=1e-4)


def test_half_precision_blocks_are_summed_in_single() -> None:
    x_NF, y_N = problem()
    half_NF = x_NF.half()
    exact = solved(half_NF.float(), y_N, [10.0])[0]
    torch.testing.assert_close(solved(half_NF, y_N, [10.0])[0].weight_F, exact.weight_F)


def test_faults() -> None:
    x_NF, y_N = problem(20)
    ridge = RidgeAccumulator(FEATURES)
    with pytest.raises(RequestError, match="no examples"):
        ridge.solve([1.0])
    with pytest.raises(RequestError, match="40 features"):
        ridge.update(x_NF[:, :5], y_N)
    with pytest.raises(RequestError, match="not finite"):
        ridge.update(x_NF.masked_fill(x_NF > 1.0, torch.nan), y_N)
    ridge.update(x_NF[:0], y_N[:0])
    assert ridge.count == 0
    ridge.update(x_NF, y_N)
    with pytest.raises(RequestError, match="penalty of -1"):
        ridge.solve([-1.0])
    with pytest.raises(RequestError, match="singular"):
        ridge.solve([0.0])

"""Ridge regression in one pass over the examples, at memory that does not grow with their number.

Shape letters: B batch, F features (pixels).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spectral_search.errors import RequestError


class RidgeSolution(NamedTuple):
    """prediction_B = x_BF @ weight_F + bias, in float64."""

    weight_F: Tensor
    bias: float


class RidgeAccumulator:
    """Sums of X^T X and X^T y, from which Ridge is solved for any penalty.

    Minimises ||y - X w - b||^2 + alpha ||w||^2, as scikit-learn's Ridge does. Each block's products are taken in
    `dtype` and added up in float64. The first block's mean is taken off all blocks before the product: float32 would
    otherwise lose the variance of a pixel beside the square of its mean.

    Args:
        features: Inputs F of the regression; the sums take 8 F^2 bytes (134 MB at 4096).
        device: Where the sums lie.
        dtype: float32, where hardware is fast, or float64, for penalties below a millionth of the features' variance.
    """

    def __init__(self, features: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        if features < 1:
            raise RequestError(f"a Ridge regression over {features} features has nothing to learn from")
        self.features = features
        self.count = 0
        self._shift_F = torch.zeros(features, dtype=dtype, device=device)
        self._shift_y = 0.0
        self._xx_FF = torch.zeros(features, features, dtype=torch.float64, device=device)
        self._xy_F = torch.zeros(features, dtype=torch.float64, device=device)
        self._x_F = torch.zeros(features, dtype=torch.float64, device=device)
        self._y = 0.0

    def update(self, x_BF: Tensor, y_B: Tensor, noise_variance_F: Tensor | None = None) -> None:
        """Add one block of examples and their targets.

        Args:
            x_BF: Features.
            y_B: Targets.
            noise_variance_F: Variance of noise that is independent from feature to feature and not in `x_BF`, summed
                over the block; or its covariance, (F, F). The sums become their expectation over that noise, as if each
                example had been added with every draw of it.

        Raises:
            RequestError: The block has another width, or holds values that are not finite.
        """
        if x_BF.ndim != 2 or x_BF.shape[1] != self.features or y_B.shape != x_BF.shape[:1]:
            raise RequestError(
                f"Ridge expects examples of {self.features} features and one target each, but got shapes "
                f"{tuple(x_BF.shape)} and {tuple(y_B.shape)}"
            )
        if not len(x_BF):
            return
        x_BF, y_B = x_BF.to(self._shift_F), y_B.to(self._xy_F)
        if self.count == 0:
            self._shift_F, self._shift_y = x_BF.mean(0), float(y_B.mean())
        x_BF, y_B = x_BF - self._shift_F, y_B - self._shift_y
        x_sum_F, y_sum = x_BF.sum(0, dtype=torch.float64), float(y_B.sum())
        if not (torch.isfinite(x_sum_F).all() and torch.isfinite(y_B).all()):
            raise RequestError("Ridge got inputs or targets that are not finite; drop or mask the invalid pixels first")
        self.count += len(x_BF)
        if x_BF.dtype == torch.float64:
            self._xx_FF.addmm_(x_BF.T, x_BF)  # without a second matrix of this size
        else:
            self._xx_FF += x_BF.T @ x_BF
        if noise_variance_F is not None:
            (self._xx_FF if noise_variance_F.ndim == 2 else self._xx_FF.diagonal()).add_(noise_variance_F)
        self._xy_F += (x_BF.T @ y_B.to(x_BF.dtype)).double()
        self._x_F += x_sum_F
        self._y += y_sum

    def add(self, other: "RidgeAccumulator") -> None:
        """Add all that another accumulator of the same features was given."""
        if other.count == 0:
            return
        if self.count == 0:
            self._shift_F, self._shift_y = other._shift_F.clone(), other._shift_y
        # Sums about the other's shift become sums about this one's: x - s = (x - s') + (s' - s).
        move_F, move_y = (other._shift_F - self._shift_F).double(), other._shift_y - self._shift_y
        for first_F, second_F in ((other._x_F, move_F), (move_F, other._x_F), (other.count * move_F, move_F)):
            self._xx_FF.addr_(first_F, second_F)
        self._xx_FF += other._xx_FF
        self._xy_F += other._xy_F + other._x_F * move_y + move_F * (other._y + other.count * move_y)
        self._x_F += other._x_F + other.count * move_F
        self._y += other._y + other.count * move_y
        self.count += other.count

    def solve(self, alphas: Sequence[float]) -> list[RidgeSolution]:
        """Solve for each penalty, by one Cholesky factorisation each.

        Raises:
            RequestError: Nothing was added, a penalty is negative, or it is too small for collinear features.
        """
        solutions = dict(self.solvable(alphas))
        for alpha in alphas:
            if alpha not in solutions:
                raise RequestError(f"Ridge at alpha {alpha:g} is singular: features are collinear; use a larger alpha")
        return [solutions[alpha] for alpha in alphas]

    def solvable(self, alphas: Sequence[float]) -> Iterator[tuple[float, RidgeSolution]]:
        """Solve for each penalty in turn; those that are too small for collinear features are left out.

        Raises:
            RequestError: Nothing was added, or a penalty is negative.
        """
        if self.count == 0:
            raise RequestError("Ridge was given no examples; add at least one block before solving")
        mean_F, mean_y = self._x_F / self.count, self._y / self.count
        gram_FF = torch.addr(self._xx_FF, mean_F, mean_F, alpha=-self.count)
        moment_F = self._xy_F - self.count * mean_y * mean_F
        diagonal_F = gram_FF.diagonal().clone()
        center_F = mean_F + self._shift_F.double()
        for alpha in alphas:
            # On the one matrix, since a copy for each penalty would take its size once more.
            gram_FF.diagonal().copy_(diagonal_F + _checked(alpha))
            factor_FF, failed = torch.linalg.cholesky_ex(gram_FF)
            if not failed:
                weight_F = torch.cholesky_solve(moment_F.unsqueeze(1), factor_FF).squeeze(1)
                yield alpha, RidgeSolution(weight_F, mean_y + self._shift_y - float(center_F @ weight_F))


def _checked(alpha: float) -> float:
    if not 0.0 <= alpha < float("inf"):
        raise RequestError(f"a Ridge penalty of {alpha} is impossible; use a finite alpha of 0 or more")
    return alpha

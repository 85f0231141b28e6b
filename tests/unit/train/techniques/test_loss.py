"""Losses as recipes and targets need them: what is unknown is left out, and what has no meaning is refused."""

import pytest
import torch

from spectral_search.errors import RequestError
from spectral_search.spec.fit import FitSpec
from spectral_search.spec.name_registry import LOSSES
from spectral_search.train.techniques.loss import KnownOnly, Loss, loss_for, loss_of

UNKNOWN = float("nan")


class Hinge(Loss):
    """Brought by another package."""

    def of_each(self, output_B: torch.Tensor, target_B: torch.Tensor) -> torch.Tensor:
        return (1.0 - output_B * target_B).clamp(min=0.0)


def test_an_example_counts_by_the_mean_over_what_is_known_of_it() -> None:
    loss = loss_for(loss_of(FitSpec(loss="l1")), torch.tensor([1.0, UNKNOWN]))
    output_BO = torch.tensor([[1.0, 5.0], [2.0, 3.0], [7.0, 7.0]])
    target_BO = torch.tensor([[2.0, UNKNOWN], [4.0, 7.0], [UNKNOWN, UNKNOWN]])
    assert loss.of_each(output_BO, target_BO).tolist() == [1.0, 3.0, 0.0]
    expected = torch.tensor([[-1 / 3, 0.0], [-1 / 6, -1 / 6], [0.0, 0.0]])
    torch.testing.assert_close(loss.gradient(3, output_BO, target_BO), expected)


def test_known_targets_leave_a_loss_as_it_is() -> None:
    loss = loss_of(FitSpec())
    assert loss_for(loss, torch.tensor([1.0, 2.0])) is loss
    assert loss_for(loss, torch.tensor([UNKNOWN])) == KnownOnly(loss)


@pytest.mark.parametrize("name", ["bce", "focal"])
def test_classes_are_zero_or_one(name: str) -> None:
    loss = loss_of(FitSpec(loss=name))
    assert loss_for(loss, torch.tensor([0.0, 1.0, UNKNOWN])) == KnownOnly(loss)
    with pytest.raises(RequestError, match=r"targets go from -1\.5 to 2: use mse, l1 or huber"):
        loss_for(loss, torch.tensor([-1.5, UNKNOWN, 2.0]))


def test_the_best_guess_without_an_input_is_the_share_of_a_class() -> None:
    target_N = torch.tensor([1.0, 1.0, 0.0, 1.0, UNKNOWN])
    loss = loss_for(loss_of(FitSpec(loss="bce")), target_N)
    shares_N = torch.sigmoid(loss.of_no_input(target_N))
    torch.testing.assert_close(shares_N[:4], torch.full((4,), 0.75))
    assert torch.isfinite(loss.of_each(loss.of_no_input(target_N), target_N)).all()


def test_a_loss_that_is_brought_refuses_what_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOSSES._added, "hinge", Hinge())
    assert isinstance(loss_of(FitSpec(loss="hinge")), Hinge)
    with pytest.raises(RequestError, match=r"label_smoothing \(0.1\) has no meaning for fit.loss hinge: set it to 0"):
        loss_of(FitSpec(loss="hinge", label_smoothing=0.1))

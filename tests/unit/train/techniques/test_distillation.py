"""The distance from a teacher against torch's divergence, and how it is weighed with the loss by the targets."""

import pytest
import torch
from torch.nn import functional

from spectral_search.spec.fit import FitSpec
from spectral_search.train.techniques.distillation import Distilled, taught
from spectral_search.train.techniques.loss import KnownOnly, loss_of

OUTPUT_B, TEACHER_B = torch.linspace(-6.0, 6.0, 13), torch.linspace(4.0, -9.0, 13)
CLASS_B = (torch.arange(13) % 2).float()


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_of_classes_it_is_the_divergence_of_softened_probabilities(temperature: float) -> None:
    loss = Distilled(loss_of(FitSpec(loss="bce")), 0.7, temperature)
    student_B2, teacher_B2 = (
        torch.stack([torch.zeros(13), logit_B], 1) / temperature for logit_B in (OUTPUT_B, TEACHER_B)
    )
    apart_B = functional.kl_div(student_B2.log_softmax(1), teacher_B2.softmax(1), reduction="none").sum(1)
    own_B = functional.binary_cross_entropy_with_logits(OUTPUT_B, CLASS_B, reduction="none")
    expected_B = 0.7 * temperature**2 * apart_B + 0.3 * own_B
    torch.testing.assert_close(loss.of_each(OUTPUT_B, taught(CLASS_B, TEACHER_B)), expected_B, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_of_numbers_it_is_the_squared_difference(weight: float) -> None:
    loss = Distilled(loss_of(FitSpec(loss="l1")), weight, 3.0)
    expected_B = weight * (OUTPUT_B - TEACHER_B) ** 2 + (1.0 - weight) * (OUTPUT_B - CLASS_B).abs()
    torch.testing.assert_close(loss.of_each(OUTPUT_B, taught(CLASS_B, TEACHER_B)), expected_B)


def test_a_teacher_tells_what_a_target_does_not() -> None:
    loss = Distilled(KnownOnly(loss_of(FitSpec())), 0.5, 3.0)
    output_BO, target_BO = torch.zeros(1, 2), torch.tensor([[float("nan"), 2.0]])
    found_B = loss.of_each(output_BO, taught(target_BO, torch.ones(1, 2)))
    assert found_B.tolist() == [0.5 * 1.0 + 0.5 * 4.0]


@pytest.mark.parametrize("name", ["mse", "bce"])
def test_what_is_known_without_a_batch_stands_for_the_teacher(name: str) -> None:
    own = KnownOnly(loss_of(FitSpec(loss=name)))
    target_N = torch.tensor([1.0, 0.0, float("nan"), 1.0])
    value_N = Distilled(own, 0.7, 3.0).of_each(own.of_no_input(target_N), Distilled(own, 0.7, 3.0).answers(target_N))
    assert torch.isfinite(value_N).all() and (value_N[[0, 1, 3]] >= 0.0).all() and value_N.sum() > 0.0

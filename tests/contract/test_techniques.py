"""What every training technique promises, whichever module it is of: each registered one is taken through its part."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from spectral_search.errors import RequestError
from spectral_search.spec.fit import FitSpec
from spectral_search.spec.name_registry import AUGMENTATIONS, LOSSES, SCHEDULES, WEIGHT_AVERAGES, Registry
from spectral_search.task.training import TrainBatch
from spectral_search.train.techniques.augmentation import Mixing, Recipe, augmented
from spectral_search.train.techniques.loss import KnownOnly, Loss
from spectral_search.train.techniques.schedule import first_betas, learning_rate
from spectral_search.train.techniques.weight_average import WeightAverage

KINDS = {"losses": LOSSES, "schedules": SCHEDULES, "weight_averages": WEIGHT_AVERAGES, "augmentations": AUGMENTATIONS}
STEPS_PER_EPOCH, EPOCHS, LR = 7, 6, 0.02


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_name_is_of_something_and_others_are_refused(kind: Registry) -> None:
    assert kind.names and all(kind.find(name) is kind.find(name) for name in kind.names)
    misspelt = kind.names[0] + "x"
    with pytest.raises(RequestError, match=f"Did you mean {kind.names[0]}"):
        kind.find(misspelt)


# --- schedules


def recipe(schedule: str, **fit: Any) -> FitSpec:
    return FitSpec.model_validate(
        {"epochs": EPOCHS, "lr": LR, "schedule": schedule, "step_epochs": 2, "restart_epochs": 2, **fit}
    )


def rates(fit: FitSpec, highest: float = LR) -> list[float]:
    """Of every step, with a drop of a plateau every other epoch."""
    return [
        learning_rate(fit, highest, step, STEPS_PER_EPOCH, drops=step // STEPS_PER_EPOCH // 2)
        for step in range(fit.epochs * STEPS_PER_EPOCH)
    ]


@pytest.mark.parametrize("warmup", [0.0, 1.5])
@pytest.mark.parametrize("schedule", SCHEDULES.names)
class TestSchedule:
    def test_it_stays_between_zero_and_the_highest_rate(self, schedule: str, warmup: float) -> None:
        for epochs in (2, EPOCHS):
            found = rates(recipe(schedule, warmup_epochs=warmup, epochs=epochs))
            assert all(math.isfinite(rate) and 0.0 <= rate <= LR for rate in found)
            assert max(found) > 0.5 * LR

    def test_it_depends_on_nothing_but_what_it_is_told(self, schedule: str, warmup: float) -> None:
        fit = recipe(schedule, warmup_epochs=warmup)
        whole = rates(fit)
        again = [
            learning_rate(copy.deepcopy(fit), LR, step, STEPS_PER_EPOCH, drops=step // STEPS_PER_EPOCH // 2)
            for step in reversed(range(len(whole)))
        ]
        assert again[::-1] == whole

    def test_a_group_keeps_its_part_of_the_rate(self, schedule: str, warmup: float) -> None:
        fit = recipe(schedule, warmup_epochs=warmup, final_lr_fraction=0.1)
        assert rates(fit, 3.0 * LR) == pytest.approx([3.0 * rate for rate in rates(fit)], rel=1e-12)

    def test_a_floor_is_kept_where_the_schedule_knows_one(self, schedule: str, warmup: float) -> None:
        floor = 0.25 * LR
        with_floor, without = (rates(recipe(schedule, warmup_epochs=warmup, lr_floor=low)) for low in (floor, 0.0))
        after = slice(math.ceil(warmup * STEPS_PER_EPOCH), None)
        assert with_floor == without or min(with_floor[after]) >= floor

    def test_a_first_beta_that_it_moves_is_one_and_goes_on_as_it_was(self, schedule: str, warmup: float) -> None:
        fit = recipe(schedule, warmup_epochs=warmup, one_cycle_momentum=schedule == "one_cycle")
        whole = first_betas(fit, range(EPOCHS * STEPS_PER_EPOCH), STEPS_PER_EPOCH)
        assert all(beta is None or 0.0 <= beta < 1.0 for beta in whole)
        resumed = first_betas(fit, range(2 * STEPS_PER_EPOCH, EPOCHS * STEPS_PER_EPOCH), STEPS_PER_EPOCH)
        assert resumed == whole[2 * STEPS_PER_EPOCH :]


# --- losses

SHAPES = [(12,), (12, 3), (12, 2, 5)]


def pair(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Outputs and targets, some of them far apart; targets within 0 and 1, which any loss takes."""
    draw = torch.Generator().manual_seed(len(shape))
    return 3.0 * torch.randn(shape, generator=draw), torch.rand(shape, generator=draw)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", LOSSES.names)
class TestLoss:
    def test_it_has_one_value_for_each_example_of_its_own(self, name: str, shape: tuple[int, ...]) -> None:
        loss: Loss = LOSSES.find(name)
        output_B, target_B = pair(shape)
        values_B = loss.of_each(output_B, target_B)
        assert values_B.shape == (12,) and torch.isfinite(values_B).all() and values_B.std() > 0
        parts = [loss.of_each(output_B[rows], target_B[rows]) for rows in (slice(0, 5), slice(5, 12))]
        torch.testing.assert_close(torch.cat(parts), values_B)

    def test_its_gradient_is_autograds(self, name: str, shape: tuple[int, ...]) -> None:
        loss: Loss = LOSSES.find(name)
        output_B, target_B = pair(shape)
        leaf_B = output_B.clone().requires_grad_()
        loss.of_each(leaf_B, target_B).mean().backward()
        assert leaf_B.grad is not None
        with torch.no_grad():  # as threads have it that take steps in pieces
            torch.testing.assert_close(loss.gradient(12, output_B, target_B), leaf_B.grad, rtol=1e-6, atol=1e-9)

    def test_gradients_of_parts_are_those_of_the_whole(self, name: str, shape: tuple[int, ...]) -> None:
        loss: Loss = LOSSES.find(name)
        output_B, target_B = pair(shape)
        parts = [loss.gradient(12, output_B[rows], target_B[rows]) for rows in (slice(0, 5), slice(5, 12))]
        assert torch.equal(torch.cat(parts), loss.gradient(12, output_B, target_B))

    def test_small_steps_against_it_lower_the_loss(self, name: str, shape: tuple[int, ...]) -> None:
        loss: Loss = LOSSES.find(name)
        output_B, target_B = pair(shape)
        lower_B = output_B - 1e-2 * loss.gradient(12, output_B, target_B)
        assert loss.of_each(lower_B, target_B).mean() < loss.of_each(output_B, target_B).mean()

    def test_unknown_targets_are_left_out(self, name: str, shape: tuple[int, ...]) -> None:
        output_B, target_B = pair(shape)
        unknown_B = torch.rand(shape, generator=torch.Generator().manual_seed(9)) < 0.4
        unknown_B[0] = True
        loss = KnownOnly(LOSSES.find(name))
        torch.testing.assert_close(loss.of_each(output_B, target_B), loss.loss.of_each(output_B, target_B))
        target_B[unknown_B] = float("nan")
        gradient_B = loss.gradient(12, output_B, target_B)
        assert (gradient_B[unknown_B] == 0.0).all() and (gradient_B[~unknown_B] != 0.0).all()
        for output, target, value in zip(output_B, target_B, loss.of_each(output_B, target_B), strict=True):
            known = ~target.isnan()
            alone = loss.loss.of_each(output[known].reshape(1, -1), target[known].reshape(1, -1))
            torch.testing.assert_close(value, alone[0] if known.any() else torch.tensor(0.0))


# --- averages of weights


def walk(average: WeightAverage, parameters: list[Tensor], steps: range) -> None:
    """Move parameters, each step by a draw of its own."""
    for step in steps:
        for place, value in enumerate(parameters):
            value += 0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(100 * step + place))
        average.update(step)


def fresh(name: str) -> tuple[WeightAverage, list[Tensor]]:
    parameters = [torch.ones(3, 2), torch.zeros(4)]
    fit = FitSpec(weight_average=name, average_decay=0.9, epochs=200, average_share=1.0)
    average: WeightAverage = WEIGHT_AVERAGES.find(name)(parameters, fit)
    return average, parameters


@pytest.mark.parametrize("name", [name for name in WEIGHT_AVERAGES.names if name != "none"])
class TestWeightAverage:
    def test_it_follows_the_parameters_and_never_moves_them(self, name: str) -> None:
        (average, parameters), (_, alone) = fresh(name), fresh(name)
        walk(average, parameters, range(50))
        walk(fresh(name)[0], alone, range(50))
        assert all(torch.equal(value, peer) for value, peer in zip(parameters, alone, strict=True))
        assert all(not torch.equal(v, p) for v, p in zip(average.values, parameters, strict=True))
        apart = [float((v - p).norm()) for v, p in zip(average.values, parameters, strict=True)]
        for step in range(50, 200):
            average.update(step)
        for value, parameter, before in zip(average.values, parameters, apart, strict=True):
            assert float((value - parameter).norm()) < 0.3 * before

    def test_resumed_it_goes_on_bit_for_bit(self, name: str) -> None:
        whole, parameters = fresh(name)
        walk(whole, parameters, range(20))
        first, moved = fresh(name)
        walk(first, moved, range(8))
        resumed, again = fresh(name)
        for value, known in zip([*again, *resumed.values], [*moved, *first.values], strict=True):
            value.copy_(known)
        walk(resumed, again, range(8, 20))
        assert all(torch.equal(a, b) for a, b in zip(resumed.values, whole.values, strict=True))

    def test_in_place_it_is_the_network_and_afterwards_nothing_is_left_of_it(self, name: str) -> None:
        average, parameters = fresh(name)
        walk(average, parameters, range(5))
        before = [value.clone() for value in parameters]
        with pytest.raises(KeyError), average.in_place():
            assert all(torch.equal(a, b) for a, b in zip(parameters, average.values, strict=True))
            raise KeyError
        assert all(torch.equal(a, b) for a, b in zip(parameters, before, strict=True))


# --- augmentations

AUGMENTED: dict[str, dict[str, Any]] = {
    "mask": {"share": 0.3, "run": 4},
    "noise": {"sigma": 0.1},
    "shift": {"steps": 3},
}
"""What an augmentation is given beside its kind, where its defaults would hardly be seen."""


LENGTH = 36
"""Of a channel: six rows of six, where an augmentation is of images."""


def changed(kind: str, x_BCL: Tensor, *counter: int, height: int = 1) -> list[Tensor]:
    """Inputs and targets of a batch, changed by seed, epoch and batch."""
    fit = FitSpec.model_validate({"augment": [{"kind": kind, **AUGMENTED.get(kind, {})}]})
    recipe, (seed, epoch, index) = Recipe("x", fit, height), counter
    target_B = torch.arange(float(len(x_BCL)))
    batch = TrainBatch(index, {"x": x_BCL}, target_B, torch.zeros(len(x_BCL)))
    made = augmented(batch, {recipe.key: recipe}, seed, epoch)
    assert recipe.key != "x" and made.inputs["x"] is x_BCL and made.target("x") is target_B
    assert torch.equal(target_B, torch.arange(float(len(x_BCL)))), "others have these targets too"
    return [made.inputs[recipe.key], made.target(recipe.key)]


@pytest.mark.parametrize("height", [1, 6])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", AUGMENTATIONS.names)
class TestAugmentation:
    def test_it_follows_from_its_counter_alone(self, kind: str, channels: int, height: int) -> None:
        x_BCL = torch.randn(16, channels, LENGTH, generator=torch.Generator().manual_seed(0))
        before = x_BCL.clone()
        torch.manual_seed(1)
        one, target = changed(kind, x_BCL, 42, 3, 7, height=height)
        torch.manual_seed(2)
        again, same = changed(kind, x_BCL, 42, 3, 7, height=height)
        assert torch.equal(one, again) and torch.equal(target, same)
        for other in ((43, 3, 7), (42, 4, 7), (42, 3, 8)):
            assert not torch.equal(changed(kind, x_BCL, *other, height=height)[0], one)
        assert torch.equal(x_BCL, before), "others read this input too"
        assert one.shape == x_BCL.shape and torch.isfinite(one).all() and not torch.equal(one, x_BCL)
        assert target.shape == (16,) and torch.isfinite(target).all()

    def test_it_commutes_with_a_narrower_number_format_where_it_says_so(
        self, kind: str, channels: int, height: int
    ) -> None:
        x_BCL = torch.randn(16, channels, LENGTH, generator=torch.Generator().manual_seed(0))
        narrow, _ = changed(kind, x_BCL.bfloat16(), 42, 1, 0, height=height)
        wide, _ = changed(kind, x_BCL, 42, 1, 0, height=height)
        assert narrow.dtype == torch.bfloat16 and wide.dtype == torch.float32
        assert torch.equal(narrow, wide.bfloat16()) is AUGMENTATIONS.find(kind).EXACT

    def test_targets_change_only_where_it_mixes(self, kind: str, channels: int, height: int) -> None:
        x_BCL = torch.randn(16, channels, LENGTH, generator=torch.Generator().manual_seed(0))
        mixes = isinstance(AUGMENTATIONS.find(kind)(kind=kind), Mixing)
        found = [not torch.equal(changed(kind, x_BCL, 42, 1, index)[1], torch.arange(16.0)) for index in range(5)]
        assert any(found) == mixes

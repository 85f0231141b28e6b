"""The `fit` section: the recipe that trains one network."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from spectral_search.spec.augment_section import AugmentItem
from spectral_search.spec.base import LARGE, MANY, SEEDS, SMALL, Section, linked_fault
from spectral_search.spec.name_registry import LOSSES, SCHEDULES, WEIGHT_AVERAGES

OF_CLASSES = ("bce", "focal")
"""Losses of this package whose targets are classes."""


class GroupSpec(Section):
    """Parameters of a network with rates of their own."""

    match: Annotated[str, Field(min_length=1)] = Field(
        description="which: a pattern for their names, such as head.* or *.bias; each belongs to the first that matches"
    )
    lr_factor: Annotated[float, Field(ge=SMALL, le=LARGE)] = Field(1.0, description="their rate / lr, at every step")
    weight_decay: Annotated[float, Field(ge=0.0, le=10.0)] | None = Field(
        None, description="instead of fit.weight_decay"
    )


class DistillSpec(Section):
    """A teacher: an exported model whose predictions a network learns from, beside the targets."""

    model: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="an exported model of the same task and data, or the name of a run, for its winner"
    )
    weight: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.7, description="of the distance from the teacher; 1 - weight is that of fit.loss"
    )
    temperature: Annotated[float, Field(ge=0.01, le=1000.0)] = Field(
        3.0, description="bce and focal: what both logits are divided by before they are compared"
    )
    sha256: str | None = Field(None, description="of the teacher, entered as a run begins: another one is then refused")


class FitSpec(Section):
    """AdamW on the standardised target, with one learning-rate schedule and early stopping."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 100
    batch_size: Annotated[int, Field(ge=1, le=1_048_576)] = 2048
    accumulate: Annotated[int, Field(ge=1, le=MANY)] = Field(1, description="batches whose gradients make one step")
    checkpoint_activations: bool = Field(
        False, description="activations are computed once more on the way back instead of kept: slower, in less memory"
    )
    lr: Annotated[float, Field(gt=0.0, le=10.0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    grad_clip: Annotated[float, Field(ge=SMALL, le=LARGE)] | None = Field(1.0, description="largest gradient norm")
    schedule: Annotated[str, SCHEDULES] = "constant"
    warmup_epochs: Annotated[float, Field(ge=0.0, le=100_000.0)] = Field(0.0, description="linear warm-up, in epochs")
    final_lr_fraction: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.0, description="cosine and warm_restarts: last lr / lr"
    )
    lr_floor: Annotated[float, Field(ge=0.0, le=10.0)] = Field(
        0.0, description="cosine, warm_restarts: lowest learning rate, where that of final_lr_fraction would lie below"
    )
    restart_epochs: Annotated[int, Field(ge=1, le=MANY)] = Field(10, description="warm_restarts: epochs to the first")
    restart_factor: Annotated[int, Field(ge=1, le=1000)] = Field(
        2, description="warm_restarts: how many times as long as the one before each descent takes"
    )
    one_cycle_rise: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.3, description="one_cycle: part of the steps in which the rate rises"
    )
    one_cycle_momentum: bool = Field(
        False, description="one_cycle: AdamW's first beta falls from 0.95 to 0.85 while the rate rises, and comes back"
    )
    step_epochs: Annotated[int, Field(ge=1, le=MANY)] = Field(30, description="step: epochs between drops")
    step_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(0.1, description="step and plateau: factor of a drop")
    plateau_patience: Annotated[int, Field(ge=1, le=MANY)] = Field(
        10, description="plateau: epochs without gain before a drop"
    )
    plateau_metric: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="plateau: what gains, a metric of the task on val; its first one where absent"
    )
    patience: Annotated[int, Field(ge=1, le=MANY)] | None = Field(
        50, description="stop after this many epochs without gain"
    )
    loss: Annotated[str, LOSSES] = Field(
        "mse", description="bce and focal are of classes, 0 or 1; targets that are unknown (NaN) are left out of any"
    )
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.0, description="bce and focal: part of a target that goes to both classes alike"
    )
    focal_alpha: Annotated[float, Field(ge=SMALL, le=LARGE)] = Field(1.0, description="focal: factor of the loss")
    focal_gamma: Annotated[float, Field(ge=0.0, le=100.0)] = Field(
        2.0, description="focal: how much less what is right already counts; 0 is bce"
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    target: Literal["direct", "ridge_residual"] = Field(
        "direct", description="ridge_residual: the network learns what a Ridge regression on the same input leaves"
    )
    ridge_alpha: Annotated[float, Field(ge=SMALL, le=LARGE)] = Field(
        200.0, description="ridge_residual: penalty of the Ridge"
    )
    distill: DistillSpec = Field(default_factory=DistillSpec)
    groups: list[GroupSpec] = Field([], description="parts of the network with rates of their own")
    weight_average: Annotated[str, WEIGHT_AVERAGES] = Field(
        "none",
        description="networks are measured and kept with an average of their weights: ema, a moving one over steps; "
        "swa, the equal one over the last epochs",
    )
    average_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.999, description="ema: what a step leaves of the average so far; less in the first steps"
    )
    average_share: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.25, description="swa: part of the epochs, the last ones, whose weights are averaged"
    )
    augment: list[AugmentItem] = Field(
        [], description="changes of training inputs, in this order; mask: {kind: mask, share: 0.1, run: 1}"
    )
    seed: Annotated[int, Field(ge=0, lt=SEEDS)] = 42

    @model_validator(mode="after")
    def _warmup_fits(self) -> "FitSpec":
        if self.warmup_epochs >= self.epochs and self.warmup_epochs > 0:
            message = f"warmup_epochs ({self.warmup_epochs:g}) must be below epochs ({self.epochs})"
            raise linked_fault(message, "fit.warmup_epochs", "fit.epochs")
        return self

    @model_validator(mode="after")
    def _only_classes_are_smoothed(self) -> "FitSpec":
        if self.label_smoothing > 0.0 and self.loss not in OF_CLASSES and LOSSES.is_own(self.loss):
            message = (
                f"label_smoothing ({self.label_smoothing:g}) is of classes, and loss {self.loss} of numbers; set it to "
                f"0, or use {' or '.join(OF_CLASSES)}"
            )
            raise linked_fault(message, "fit.label_smoothing", "fit.loss")
        return self

    @model_validator(mode="after")
    def _floor_lies_below(self) -> "FitSpec":
        if self.lr_floor > self.lr:
            message = (
                f"lr_floor ({self.lr_floor:g}) is above lr ({self.lr:g}), so that the schedule would rise; lower the "
                "floor, or raise lr"
            )
            raise linked_fault(message, "fit.lr_floor", "fit.lr")
        for place, group in enumerate(self.groups):
            if self.lr_floor > self.lr * group.lr_factor:
                message = (
                    f"lr_floor ({self.lr_floor:g}) is above the rate of group {place} "
                    f"({self.lr * group.lr_factor:g}), so that the schedule would rise; lower the floor, or raise the "
                    "group's lr_factor"
                )
                keys = "fit.lr_floor", "fit.lr", "fit.groups", f"fit.groups.{place}.lr_factor"
                raise linked_fault(message, *keys)
        return self

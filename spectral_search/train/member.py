"""One network in training: its weights, optimiser, schedule, history and early stop.

A member is handed its gradients, computed in whatever company (`pack`), and makes its step of them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from spectral_search.errors import RequestError
from spectral_search.record.epoch_log import EpochRecord
from spectral_search.spec.name_registry import WEIGHT_AVERAGES
from spectral_search.task.counter import counter_seed
from spectral_search.task.metric import Metric
from spectral_search.train.accumulation import Accumulation
from spectral_search.train.adamw import AdamW
from spectral_search.train.compiled_steps import has_compiled_steps
from spectral_search.train.compiled_update import CompiledUpdate
from spectral_search.train.network import Network
from spectral_search.train.optimiser_groups import optimiser_groups
from spectral_search.train.teacher import Teacher
from spectral_search.train.techniques.augmentation import Recipe
from spectral_search.train.techniques.distillation import Distilled
from spectral_search.train.techniques.loss import Loss, loss_of
from spectral_search.train.techniques.schedule import first_betas, learning_rate, learning_rates, plateau_drops
from spectral_search.train.techniques.weight_average import WeightAverage

MemberKey = int | tuple[int, int]


class NonFiniteLossError(Exception):
    """The training diverged; the message names epoch and learning rate."""


class Member:
    """A network of one trial in training.

    Args:
        number: The trial's number, part of the counter of its initialisation and dropout.
        network: The network, freshly initialised, on the training device.
        batches: Of an epoch.
        objective: What tells on the val set which epoch is the best.
        pass_seed: Of the order of the examples and their random draws; fit.seed when absent.
        examples_name: The task's word for examples, in the plural.
    """

    def __init__(
        self,
        number: int,
        network: Network,
        batches: int,
        objective: Metric,
        pass_seed: int | None = None,
        examples_name: str = "examples",
    ) -> None:
        self.number, self.network, self.config = number, network, network.config
        self.objective, self._rate_name = objective, f"{examples_name}_per_second"
        self.plateau_metric = objective
        """Whose gains a plateau is without."""
        self.pass_seed = self.config.fit.seed if pass_seed is None else pass_seed
        self.key: MemberKey = number if pass_seed is None else (number, self.config.fit.seed)
        """What tells it from the others of its pass: copies of one trial share its number."""
        self.model, self.device = network.model, network.device
        fit = self.config.fit
        self.loss: Loss = loss_of(fit)
        self.optimizer = _adamw(optimiser_groups(network.named_parameters(), fit))
        compiled = has_compiled_steps(network.stackable, network.precision, self.device)
        self._update = CompiledUpdate(self.optimizer, fit.grad_clip) if compiled else None
        self._parameters = list(self.model.parameters())  # walking through the modules costs as much as clipping
        self.average: WeightAverage = WEIGHT_AVERAGES.find(fit.weight_average)(self._parameters, fit)
        """What its weights are measured and kept as."""
        self.average.steps_per_epoch = -(-batches // fit.accumulate)
        self.recipe = Recipe(network.input_key, fit, network.shape.height)
        self.train_key = self.recipe.key
        """Names the input that it trains on; it is measured on that of `network.input_key`."""
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=network.precision == "float16")
        self.history: list[EpochRecord] = []
        self.best_weights: dict[str, torch.Tensor] | None = None
        """Weights of the best epoch since the last checkpoint; None when the file on disk holds them."""
        self.has_stepped = False
        """Whether it holds all that it holds between steps: gradients and moments take memory when they are written."""
        self._batches, self._steps_per_epoch = batches, -(-batches // fit.accumulate)
        self._accumulation = Accumulation(self._parameters, batches, fit.accumulate) if fit.accumulate > 1 else None
        self._step = 0
        self._loss_sum = torch.zeros((), device=self.device)
        self._drops = 0
        self._rates: Iterator[tuple[float, ...]] = iter(())
        """Of each group of parameters, for every step that is left of the epoch."""
        self._betas: Iterator[float | None] = iter(())
        """AdamW's first beta, likewise; None where it stays."""

    def learn_from(self, teacher: Teacher) -> None:
        """Train on what a teacher makes of the examples, beside their targets.

        Raises:
            RequestError: One of the two tells classes apart and the other does not.
        """
        distill = self.config.fit.distill
        if teacher.of_classes != self.loss.of_classes:
            puts_out, wanted = ("classes", "numbers") if teacher.of_classes else ("numbers", "classes")
            raise RequestError(
                f"fit.distill.model tells {puts_out}, and fit.loss {self.config.fit.loss} is of {wanted}: give a model "
                "that was trained with a loss of the same kind."
            )
        self.recipe = replace(self.recipe, teacher=teacher)
        self.train_key = self.recipe.key
        self.loss = Distilled(self.loss, distill.weight, distill.temperature)

    @property
    def compiled_loss(self) -> str | None:
        """The kernel of its loss, where machine code knows all of its steps."""
        return None if self._update is None or self.scaler.is_enabled() else self.loss.kernel

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return len(self.history)

    @property
    def best(self) -> EpochRecord | None:
        """The record of the best epoch, the first of equals."""
        return best_of(self.history, self.objective)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done or patience has run out."""
        if self.epoch >= self.config.fit.epochs:
            return True
        patience, best = self.config.fit.patience, self.best
        return patience is not None and best is not None and self.epoch - best["epoch"] >= patience

    def begin_epoch(self) -> None:
        # From the epochs finished and not counted on, so that a resumed member begins at the same step.
        self._step = self.epoch * self._steps_per_epoch
        self._loss_sum.zero_()
        if self._accumulation is not None:
            self._accumulation.begin_epoch()
        # A plateau is told from the history each time, so that no checkpoint has to hold its state.
        values = [record[self.plateau_metric.val_name] for record in self.history]
        fit, steps = self.config.fit, range(self._step, self._step + self._steps_per_epoch)
        self._drops = plateau_drops(fit.plateau_patience, values, self.plateau_metric)
        highest = [group["initial_lr"] for group in self.optimizer.param_groups]
        of_groups = [learning_rates(fit, rate, steps, self._steps_per_epoch, self._drops) for rate in highest]
        self._rates = iter(zip(*of_groups, strict=True))
        self._betas = iter(first_betas(fit, steps, self._steps_per_epoch, self._drops))

    def dropout_seed(self, index: int) -> int:
        """Seed of the dropout of a step; `index` counts the batches of the epoch from 0."""
        return counter_seed(self.config.fit.seed, "dropout", self.number, self.epoch, index)

    def drop_gradients(self) -> None:
        """Let go of the gradients of the last step. Torch's `zero_grad` takes as long as clipping them."""
        for value in self._parameters:
            value.grad = None

    def update(self, loss: torch.Tensor, examples: int = 1) -> None:
        """One AdamW step on the gradients that the parameters hold, where the batch is the last of one.

        Args:
            loss: The mean over the batch, whose gradients, scaled by `scaler`, the parameters hold.
            examples: Of the batch.
        """
        # Summed on the device: reading the loss of each step would stall a GPU.
        self._loss_sum += loss
        if self._accumulation is None or self._accumulation.is_due(examples):
            self._take_step()

    def _take_step(self) -> None:
        largest = self.config.fit.grad_clip
        first_beta = next(self._betas)
        for group, rate in zip(self.optimizer.param_groups, next(self._rates), strict=True):
            group["lr"] = rate
            if first_beta is not None:
                group["betas"] = first_beta, group["betas"][1]
        if self._update is not None and not self.scaler.is_enabled():
            self._update.step()
        else:
            self._step_by_torch(largest)
        self.average.update(self._step)
        self._step += 1
        self.has_stepped = True

    def _step_by_torch(self, largest: float | None) -> None:
        if largest is not None:
            # The norm is that of the gradients themselves. Where the scaler is off, this does nothing.
            self.scaler.unscale_(self.optimizer)
            _clip_gradients([value.grad for value in self._parameters if value.grad is not None], largest)
        if self.scaler.is_enabled():
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()

    def end_epoch(
        self, val_scores: dict[str, float], seconds: float, examples: int, loss_of_mean: float
    ) -> EpochRecord:
        """Close the epoch with its val scores.

        Args:
            val_scores: Of the val set.
            seconds: That the pass took.
            examples: That the pass trained on.
            loss_of_mean: The training loss of a network that always predicts the mean label.

        Raises:
            NonFiniteLossError: The loss or a prediction was not finite.
        """
        objective, train_loss = self.objective, float(self._loss_sum) / self._batches
        # `_step` is that of the next step, and this the rate of the last one taken.
        lr = learning_rate(self.config.fit, self.config.fit.lr, self._step - 1, self._steps_per_epoch, self._drops)
        for what, value in (("training loss", train_loss), (f"val {objective.label}", val_scores[objective.name])):
            if not math.isfinite(value):
                raise NonFiniteLossError(
                    f"The {what} became {value} in epoch {self.epoch + 1} at lr {lr:.3g}: lower fit.lr, or set "
                    "fit.grad_clip."
                )
        before = self.best
        record: EpochRecord = {
            "epoch": self.epoch + 1,
            **{f"val_{name}": value for name, value in val_scores.items()},
            "train_loss": train_loss,
            "train_gain": 1.0 - train_loss / loss_of_mean,
            "lr": lr,
            "steps": self._step,
            "seconds": seconds,
            self._rate_name: examples / max(seconds, 1e-9),
        }
        self.history.append(record)
        if before is None or objective.better(record[objective.val_name], before[objective.val_name]):
            with self.average.in_place():
                # Cloned: `state_dict` hands out the tensors themselves, which the next step writes over.
                self.best_weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        return record


def best_of(history: Sequence[EpochRecord], objective: Metric) -> EpochRecord | None:
    """The record of the best epoch, the first of equals; None where there is none."""
    best: EpochRecord | None = None
    for record in history:
        if best is None or objective.better(record[objective.val_name], best[objective.val_name]):
            best = record
    return best


def _clip_gradients(gradients: list[torch.Tensor], largest: float) -> None:
    """Scale gradients down to a norm, like torch's `clip_grad_norm_`.

    The norm is summed row by row first: torch cuts a single sum up by the number of threads.
    """
    rows = [gradient.reshape(gradient.shape[0], -1) for gradient in gradients]
    norm = torch.linalg.vector_norm(torch.cat([torch.linalg.vector_norm(row, dim=1) for row in rows]))
    # 1e-6 as in torch's own, for a norm of 0.
    factor = (largest / (norm + 1e-6)).clamp(max=1.0)
    # Of a GPU one does not ask, since it would have to be waited for. NaN is no 1, and goes on to the gradients.
    if factor.device.type != "cpu" or factor.item() != 1.0:
        torch._foreach_mul_(gradients, factor)


def _adamw(groups: list[dict[str, Any]]) -> AdamW:
    """AdamW with its moments allocated: memory must not run out after some members of a pack have taken their step."""
    optimizer = AdamW(groups, fused=True)
    values = [value for group in groups for value in group["params"]]
    state = {
        index: {"step": torch.zeros(()), "exp_avg": torch.zeros_like(value), "exp_avg_sq": torch.zeros_like(value)}
        for index, value in enumerate(values)
    }
    # By `load_state_dict`, which puts `step` where torch's fused kernel wants it, on the device of the weight.
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return optimizer

"""Members that take their steps together on one batch, as one forward and one backward pass.

Networks of a family with a stack are one pack where they read the same input in the same number format; any other
network is a pack of its own.
A pack computes gradients and nothing else: each member has its own optimiser, schedule, clipping and dropout, so its
numbers do not depend on its company.
Shape suffixes: B batch, C channels, L length, F = C x L features, K members, W width of a layer.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from spectral_search.models.mlp_network import Mlp
from spectral_search.models.products import products
from spectral_search.models.stack import stack_networks
from spectral_search.models.threads import for_each
from spectral_search.task.training import TrainBatch
from spectral_search.train.compiled_steps import CompiledSteps
from spectral_search.train.dropout import StepDropout
from spectral_search.train.member import Member
from spectral_search.train.mlp_pieces import PieceSteps, in_pieces, is_plain
from spectral_search.train.precision import FORMATS
from spectral_search.train.prediction import LoneNetwork, Predicts


class Pack(Predicts, Protocol):
    """Members that take their steps together."""

    @property
    def members(self) -> Sequence[Member]:
        """Who they are."""

    def compute(self, batch: TrainBatch) -> None:
        """Losses and gradients of the members' next step; nothing of it counts until `update`."""

    def update(self) -> None:
        """Take the step that was computed."""


class SinglePack(LoneNetwork):
    """A member of any kind, by itself."""

    def __init__(self, member: Member) -> None:
        super().__init__(member.network)
        self.members: Sequence[Member] = [member]
        self._loss, self._examples = torch.zeros(()), 0

    def compute(self, batch: TrainBatch) -> None:
        (member,) = self.members
        network = member.network
        network.model.train()
        member.drop_gradients()
        # Anew at each step: one that is repeated, or comes after a resume, drops what it would have dropped.
        torch.manual_seed(member.dropout_seed(batch.index))
        output_B = network.output(batch.inputs[member.train_key], batch.context_B)
        loss = member.loss.of_each(output_B, batch.target(member.train_key)).mean()
        member.scaler.scale(loss).backward()
        self._loss, self._examples = loss.detach(), len(batch)

    def update(self) -> None:
        self.members[0].update(self._loss, self._examples)


class StackPack:
    """Members whose networks are of one family with a stack, on the same input, with the same target and number format.

    Args:
        members: Their parameters move to the pack's storage until another pack takes them.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = members
        self._network = members[0].network
        self.input_key = self._network.input_key
        self._format = FORMATS[self._network.precision]
        networks = [network for member in members if (network := member.network.stackable) is not None]
        self._stack = stack_networks(members[0].config.model.kind, networks)
        self._compiled: CompiledSteps | None = None
        losses = [loss for member in members if (loss := member.compiled_loss) is not None]
        mlps = [network for network in networks if isinstance(network, Mlp)]
        if len(losses) == len(mlps) == len(networks):
            self._compiled = CompiledSteps(mlps, losses)
        plain = [network for network in networks if is_plain(network)]
        self._pieces = PieceSteps(plain) if len(plain) == len(networks) else None
        self._loss_K, self._examples = torch.zeros(len(members)), 0

    def outputs(self, x_BCL: Tensor, context_B: Tensor) -> Tensor:
        cast_BCL = x_BCL.to(self._format)
        if self._compiled is not None and in_pieces(cast_BCL):
            return self._beside_ridge(self._compiled.outputs(cast_BCL.flatten(1)), x_BCL)
        if self._pieces is not None and in_pieces(cast_BCL):
            return self._beside_ridge(self._pieces.outputs(cast_BCL.flatten(1)), x_BCL)
        return self._beside_ridge(self._stack.outputs(cast_BCL, None), x_BCL)

    def compute(self, batch: TrainBatch) -> None:
        self._examples = len(batch)
        seeds = [member.dropout_seed(batch.index) for member in self.members]
        dropout, key = StepDropout(seeds, self._network.device), self.members[0].train_key
        x_BCL, target_B = batch.inputs[key], batch.target(key)
        cast_BCL = x_BCL.to(self._format)
        if self._compiled is not None and in_pieces(cast_BCL):
            output_KB = self._compiled.step(cast_BCL.flatten(1), target_B, self._ridge(x_BCL), dropout)
            self._loss_K = self._losses(output_KB, target_B)
            return
        if self._pieces is not None and in_pieces(cast_BCL):
            self._compute_in_pieces(self._pieces, x_BCL, cast_BCL.flatten(1), target_B, dropout)
            return
        for member in self.members:
            member.drop_gradients()  # which a step in pieces writes over
        output_KB = self._beside_ridge(self._stack.outputs(cast_BCL, dropout), x_BCL)
        loss_K = self._losses(output_KB, target_B)
        scaled = [member.scaler.scale(loss) for member, loss in zip(self.members, loss_K, strict=True)]
        # No network reads the weights of another, so that the gradients of the sum are those of each loss.
        self._stack.backward(torch.stack(scaled).sum())
        self._loss_K = loss_K.detach()

    def _compute_in_pieces(
        self, pieces: PieceSteps, x_BCL: Tensor, x_BF: Tensor, target_B: Tensor, dropout: StepDropout
    ) -> None:
        ridge_KB = self._ridge(x_BCL)
        gradients = [partial(member.loss.gradient, len(target_B)) for member in self.members]
        output_KB = pieces.step(x_BF, target_B, ridge_KB, gradients, dropout.bits)
        self._loss_K = self._losses(output_KB, target_B)

    def update(self) -> None:
        self._stack.keep_statistics()
        if self._network.device.type == "cpu":  # one thread a member: small networks are not worth more
            for_each(
                lambda pair: pair[0].update(pair[1], self._examples), list(zip(self.members, self._loss_K, strict=True))
            )
            return
        for member, loss in zip(self.members, self._loss_K, strict=True):
            member.update(loss, self._examples)

    def _beside_ridge(self, output_KB: Tensor, x_BCL: Tensor) -> Tensor:
        ridge_KB = self._ridge(x_BCL)
        return output_KB if ridge_KB is None else output_KB + ridge_KB

    def _ridge(self, x_BCL: Tensor) -> Tensor | None:
        """What the Ridges predict that the networks add to, of shape (K, B)."""
        if self._network.ridge is None:
            return None
        ridges = [ridge for member in self.members if (ridge := member.network.ridge) is not None]
        weight_K1F = torch.stack([weight_F for weight_F, _ in ridges]).unsqueeze(1)
        # A product each: one of all rows would round by how many there are.
        bias_K1 = torch.stack([bias for _, bias in ridges]).unsqueeze(1)
        return products(weight_K1F, x_BCL.flatten(1).float().T, bias_K1).squeeze(1)

    def _losses(self, output_KB: Tensor, target_B: Tensor) -> Tensor:
        """The loss of each member, by its own measure."""
        # Each network's output for each example is an example of its own.
        pair_P, target_P = output_KB.flatten(0, 1), target_B.expand(len(output_KB), *target_B.shape).flatten(0, 1)
        losses, shape = {member.loss for member in self.members}, output_KB.shape[:2]
        of_loss = {loss: loss.of_each(pair_P, target_P).view(shape).mean(1).unbind() for loss in losses}
        return torch.stack([of_loss[member.loss][k] for k, member in enumerate(self.members)])


def make_packs(members: Sequence[Member], most: int | None = None) -> Iterator[Pack]:
    """Join the members that can share products.

    Args:
        members: Of one pass.
        most: Largest number of members in a pack.
    """
    alike: dict[tuple[str, ...], list[Member]] = {}
    for member in members:
        network, config = member.network, member.config
        if network.stackable is None:
            yield SinglePack(member)
        else:
            # With fit.target in it, either all networks of a pack have a Ridge beside them or none has.
            steps = "by torch" if member.compiled_loss is None else "compiled"
            key = config.model.kind, member.train_key, network.precision, config.fit.target, steps
            alike.setdefault(key, []).append(member)
    for group in alike.values():
        size = min(most or len(group), len(group))
        for start in range(0, len(group), size):
            yield StackPack(group[start : start + size])

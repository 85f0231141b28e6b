"""Steps of plain MLPs on a CPU, one network a piece and one thread a piece.

What a small network holds of a step fits into the caches of one core; side by side the layers of many do not, and every
activation then goes to memory and back. So a thread takes a network through its whole step - products, activations,
dropout, loss and back - before it begins with the next, and threads meet once a step instead of at every operation.
Products have the shapes and operations the rounding that `MlpStack` gives them, so that the numbers are the same, bit
for bit, whichever of the two computes them.
Shape suffixes: B examples in a batch, F features, W width of a layer, V width of the one before it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from spectral_search.models.mlp_network import Mlp
from spectral_search.models.products import COLUMNS, ROWS, affine_tile
from spectral_search.models.threads import for_each
from spectral_search.train.dropout_kernel import Dropped

_aten: Any = torch.ops.aten
RandomBits = Callable[[int, int, int], Tensor]
"""(network, W, B) -> 16 random bits for each value of the network's next layer with dropout, int16 of shape (W, B)."""
LossGradient = Callable[[Tensor, Tensor], Tensor]
"""(output_B, target_B) -> gradient of the mean loss of a batch."""

# Each from the gradient, the products and the output of the activation, as autograd does it.
_BACK: dict[type[nn.Module], Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    nn.ReLU: lambda grad, z, h: _aten.threshold_backward(grad, h, 0),
    nn.GELU: lambda grad, z, h: _aten.gelu_backward(grad, z),
    nn.SiLU: lambda grad, z, h: _aten.silu_backward(grad, z),
    nn.ELU: lambda grad, z, h: _aten.elu_backward(grad, 1.0, 1, 1, False, z),
    nn.Tanh: lambda grad, z, h: _aten.tanh_backward(grad, h),
}
LARGEST_INPUT = 1 << 21
"""Bytes of a batch's input that are read again for each network: from the caches, or sharing a product is cheaper."""


def is_chain(network: nn.Module | None) -> TypeGuard[Mlp]:
    """Whether a network is an MLP without norms and skips."""
    return isinstance(network, Mlp) and all(
        layer.skip is None and isinstance(layer.norm, nn.Identity) for layer in network.hidden_layers
    )


def is_plain(network: nn.Module) -> TypeGuard[Mlp]:
    """Whether a network can take its steps in pieces: an MLP without norms and skips, its first layer whole tiles."""
    # Rows of a first layer that fill no tile would share one with other networks' rows.
    return is_chain(network) and network.hidden_layers[0].linear.out_features % ROWS == 0


def in_pieces(x_BCL: Tensor) -> bool:
    """Whether steps on an input are taken in pieces: on a CPU, where it is small."""
    return x_BCL.device.type == "cpu" and is_small(x_BCL.nbytes)


def is_small(nbytes: int) -> bool:
    """Whether a batch's input of so many bytes is."""
    return nbytes <= LARGEST_INPUT


class PieceSteps:
    """Steps of some networks.

    Args:
        networks: Plain ones.
    """

    def __init__(self, networks: Sequence[Mlp]) -> None:
        self._networks = [_Network(number, network) for number, network in enumerate(networks)]

    def outputs(self, x_BF: Tensor) -> Tensor:
        """The standardised label in evaluation, float32 of shape (K, B)."""
        output_KB = torch.empty(len(self._networks), len(x_BF))
        tiles = _tiles(len(x_BF), COLUMNS)

        def form(piece: tuple[_Network, slice]) -> None:
            network, tile = piece
            output_KB[network.number, tile] = network.output(x_BF, tile)

        # All before any tile is formed: the tiles of a network share its rounded weights between threads.
        for_each(lambda network: network.round(x_BF.dtype), self._networks)
        for_each(form, [(network, tile) for network in self._networks for tile in tiles])
        return output_KB

    def step(
        self,
        x_BF: Tensor,
        target_B: Tensor,
        added_KB: Tensor | None,
        gradients: Sequence[LossGradient],
        bits: RandomBits,
    ) -> Tensor:
        """Give every parameter its gradient; the outputs, float32 of shape (K, B).

        Args:
            x_BF: The input, in the format that the products are to have.
            target_B: What the outputs are to be.
            added_KB: Added to the outputs, which are what is then to be the target.
            gradients: Of the loss of each network.
            bits: Draws what the dropout is made of.
        """
        output_KB = torch.empty(len(self._networks), len(x_BF))
        tiles = _tiles(len(x_BF), COLUMNS)
        steps = [
            _Step(network, x_BF, _Aim(target_B, None if added_KB is None else added_KB[k], gradient), output_KB[k])
            for k, (network, gradient) in enumerate(zip(self._networks, gradients, strict=True))
        ]
        if len(steps) >= torch.get_num_threads():
            for_each(lambda step: step.whole(tiles, bits), steps)
        else:  # fewer networks than threads: these share a network's tiles and its layers
            for_each(lambda step: step.begin(bits), steps)
            for_each(lambda piece: piece[0].tile(piece[1]), [(step, tile) for step in steps for tile in tiles])
            for_each(lambda layer: layer(), [layer for step in steps for layer in step.layers()])
        for network in self._networks:
            network.hand_out()
        return output_KB


def _tiles(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


class _Network:
    """A network's parameters, and room for their gradients, which each step writes anew."""

    def __init__(self, number: int, network: Mlp) -> None:
        self.number = number
        layers = network.hidden_layers
        self.act, self.back = layers[0].act, _BACK[type(layers[0].act)]
        self.is_relu = isinstance(self.act, nn.ReLU)
        self.rates = [layer.drop.p for layer in layers]
        self.linears = [*(layer.linear for layer in layers), network.head]
        self._values = [value for linear in self.linears for value in (linear.weight, linear.bias)]
        self._rounded: list[Tensor] = []
        self.weight_grads = [torch.empty_like(linear.weight, requires_grad=False) for linear in self.linears]
        self.bias_grads = [torch.empty_like(linear.bias, requires_grad=False) for linear in self.linears]

    def round(self, kind: torch.dtype) -> None:
        """Bring `weights` and `biases` up to date, in the format of the products."""
        if kind == torch.float32:
            self._rounded = self._values
            return
        if not self._rounded or self._rounded[0].dtype != kind:
            self._rounded = [torch.empty_like(value, dtype=kind, requires_grad=False) for value in self._values]
        torch._foreach_copy_(self._rounded, self._values)

    @property
    def weights(self) -> list[Tensor]:
        return self._rounded[0::2]

    @property
    def biases(self) -> list[Tensor]:
        return self._rounded[1::2]

    def hand_out(self) -> None:
        for linear, weight_grad, bias_grad in zip(self.linears, self.weight_grads, self.bias_grads, strict=True):
            # At each step anew: accumulation, for one, puts its sums in their place.
            linear.weight.grad, linear.bias.grad = weight_grad, bias_grad

    def output(self, x_BF: Tensor, tile: slice) -> Tensor:
        """Of some examples, in evaluation."""
        h_VT = x_BF.T[:, tile]
        (*hidden, head), (*biases, bias) = self.weights, self.biases
        for weight_WV, bias_W in zip(hidden, biases, strict=True):
            h_VT = self.act(_affine(weight_WV, bias_W, h_VT))
        return _affine(head, bias, h_VT).squeeze(0)


@dataclass(frozen=True)
class _Aim:
    """What outputs are to be, with what is added to them, and the gradient of the loss."""

    target_B: Tensor
    added_B: Tensor | None
    gradient: LossGradient


class _Step:
    """A network's next step on a batch."""

    def __init__(self, network: _Network, x_BF: Tensor, aim: _Aim, output_B: Tensor) -> None:
        self._network, self._x_BF, self._aim, self._output_B = network, x_BF, aim, output_B

    def whole(self, tiles: Sequence[slice], bits: RandomBits) -> None:
        """All of it, by one thread."""
        self.begin(bits)
        for tile in tiles:
            self.tile(tile)
        for layer in self.layers():
            layer()

    def begin(self, bits: RandomBits) -> None:
        """Round the weights, draw the dropout, and make room for what the gradients of the weights are made of."""
        network, kind, count = self._network, self._x_BF.dtype, len(self._x_BF)
        network.round(kind)
        self._weights, self._biases = network.weights, network.biases
        widths = [linear.out_features for linear in network.linears]
        self._h = [self._x_BF.T, *(torch.empty(width, count, dtype=kind) for width in widths[:-1])]
        self._dz = [torch.empty(width, count, dtype=kind) for width in widths]
        # At p = 0 nothing is drawn, nor by `StepDropout` for the stack: the draws of later layers would differ.
        self._dropped = [
            Dropped(bits(network.number, width, count) if p > 0 else None, p, kind)
            for p, width in zip(network.rates, widths[:-1], strict=True)
        ]

    def tile(self, tile: slice) -> None:
        """Forward and back for some examples; the gradients of the weights are left."""
        kept, h_VT = [], self._h[0][:, tile]
        for layer in range(len(self._dropped)):
            z_WT, h_WT = self._forward(layer, h_VT, tile)
            kept.append((z_WT, h_WT))
            h_VT = self._h[layer + 1][:, tile]
        output_T = _affine(self._weights[-1], self._biases[-1], h_VT).squeeze(0)
        self._output_B[tile] = output_T
        # Before the way back: the loss is of the sum.
        if self._aim.added_B is not None:
            self._output_B[tile] += self._aim.added_B[tile]
        self._back(tile, kept)

    def _forward(self, layer: int, h_VT: Tensor, tile: slice) -> tuple[Tensor, Tensor]:
        """Write a layer's activation with dropout to h; its products and the activation before dropout.

        What of a ReLU's output is above 0 tells as much of it as the activation before dropout.
        """
        weight_WV, bias_W, dropped = self._weights[layer], self._biases[layer], self._dropped[layer]
        h_WT = self._h[layer + 1][:, tile]
        # In float32 alone: narrower formats want the bias in before the sum is rounded, see `affine_tile`.
        if self._network.is_relu and h_WT.dtype == torch.float32:
            z_WT = _product(weight_WV, h_VT)
            dropped.forward_biased_relu(z_WT, bias_W, h_WT, tile)
            return z_WT, h_WT
        z_WT = _affine(weight_WV, bias_W, h_VT)
        if self._network.is_relu:
            dropped.forward(z_WT, h_WT, tile, relu=True)
            return z_WT, h_WT
        a_WT: Tensor = self._network.act(z_WT)
        dropped.forward(a_WT, h_WT, tile, relu=False)
        return z_WT, a_WT

    def _back(self, tile: slice, kept: list[tuple[Tensor, Tensor]]) -> None:
        self._dz[-1][0, tile] = self._aim.gradient(self._output_B[tile], self._aim.target_B[tile])
        for layer in range(len(kept) - 1, -1, -1):
            grad_WT = _product(self._weights[layer + 1].mT, self._dz[layer + 1][:, tile])
            dropped, dz_WT = self._dropped[layer], self._dz[layer][:, tile]
            if self._network.is_relu:
                dropped.back_through_relu(grad_WT, kept[layer][1], dz_WT)
            else:
                dz_WT.copy_(self._network.back(dropped.back(grad_WT, tile), *kept[layer]))

    def layers(self) -> list[Callable[[], None]]:
        """The gradients of each layer's weights and biases, once all examples have been forward and back."""
        return [partial(self._layer, layer) for layer in range(len(self._dz))]

    def _layer(self, layer: int) -> None:
        dz_WB, h_BV = self._dz[layer], self._h[layer].mT
        for rows in _tiles(dz_WB.shape[0], ROWS):
            for columns in _tiles(h_BV.shape[1], COLUMNS):
                gradient_WV = self._network.weight_grads[layer][rows, columns]
                if gradient_WV.dtype == dz_WB.dtype:
                    torch.mm(dz_WB[rows], h_BV[:, columns], out=gradient_WV)
                else:
                    # `torch.mm` writes to no other format than that of its factors.
                    gradient_WV.copy_(dz_WB[rows] @ h_BV[:, columns])
        # Over the whole batch at once, as in `MlpStack`: sums of tiles would round otherwise.
        self._network.bias_grads[layer].copy_(dz_WB.sum(1))


def _affine(weight_WV: Tensor, bias_W: Tensor, h_VT: Tensor) -> Tensor:
    """The products of a layer with some examples, in tiles of rows."""
    z_WT = h_VT.new_empty(weight_WV.shape[0], h_VT.shape[1])
    for rows in _tiles(len(z_WT), ROWS):
        affine_tile(weight_WV[rows], h_VT, bias_W[rows], z_WT[rows])
    return z_WT


def _product(weight_VW: Tensor, grad_WT: Tensor) -> Tensor:
    """Products without a bias, in tiles of rows."""
    if weight_VW.shape[1] == 1:  # nothing is summed, so there is but one way to round
        return weight_VW * grad_WT
    if weight_VW.shape[0] <= ROWS:
        return weight_VW @ grad_WT
    out_VT = grad_WT.new_empty(weight_VW.shape[0], grad_WT.shape[1])
    for rows in _tiles(len(out_VT), ROWS):
        torch.mm(weight_VW[rows], grad_WT, out=out_VT[rows])
    return out_VT

"""Steps of plain MLPs on a CPU, one network a piece and one thread a piece.

What a small network holds of a step fits into the caches of one core; side by side the layers of many do not, and every
activation then goes to memory and back. So a thread takes a network through its whole step - products, activations,
dropout, loss and back - before it begins with the next, and threads meet once a step instead of at every operation.
Products have the shapes and operations the rounding that `MlpStack` gives them, so that the numbers are the same, bit
for bit, whichever of the two computes them.
Shape suffixes: B spectra in a batch, F features, W width of a layer, V width of the one before it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from spectral_search.models.mlp import Mlp
from spectral_search.models.products import COLUMNS, ROWS
from spectral_search.models.threads import for_each

aten: Any = torch.ops.aten
Dropout = Callable[[int, float, Tensor], None]
"""As `mlp_stack` has it."""
LossGradient = Callable[[Tensor, Tensor], Tensor]
"""(output_B, target_B) -> gradient of the mean loss of a batch."""

# Each from the gradient, the products and the output of the activation, as autograd does it.
_BACK: dict[type[nn.Module], Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    nn.ReLU: lambda grad, z, h: aten.threshold_backward(grad, h, 0),
    nn.GELU: lambda grad, z, h: aten.gelu_backward(grad, z),
    nn.SiLU: lambda grad, z, h: aten.silu_backward(grad, z),
    nn.ELU: lambda grad, z, h: aten.elu_backward(grad, 1.0, 1, 1, False, z),
    nn.Tanh: lambda grad, z, h: aten.tanh_backward(grad, h),
}
LARGEST_INPUT = 1 << 21
"""Bytes of a batch's input that are read again for each network: from the caches, or sharing a product is cheaper."""


def is_plain(network: Mlp) -> bool:
    """Whether a network can take its steps in pieces: without norms and skips, its first layer whole tiles."""
    layers = network.hidden_layers
    # Rows of a first layer that fill no tile would share one with other networks' rows.
    return layers[0].linear.out_features % ROWS == 0 and all(
        layer.skip is None and isinstance(layer.norm, nn.Identity) for layer in layers
    )


def in_pieces(x_BF: Tensor) -> bool:
    """Whether steps on an input are taken in pieces: on a CPU, where it is small."""
    return x_BF.device.type == "cpu" and x_BF.nbytes <= LARGEST_INPUT


class PieceSteps:
    """Steps of some networks.

    Args:
        networks: Plain ones.
    """

    def __init__(self, networks: Sequence[Mlp]) -> None:
        self._networks = [_Network(number, network) for number, network in enumerate(networks)]

    def outputs(self, x_BF: Tensor) -> Tensor:
        """Standardised log g in evaluation, float32 of shape (K, B)."""
        output_KB = torch.empty(len(self._networks), len(x_BF))
        tiles = _tiles(len(x_BF), COLUMNS)

        def form(piece: tuple[_Network, slice]) -> None:
            network, tile = piece
            output_KB[network.number, tile] = network.output(x_BF, tile)

        for_each(form, [(network, tile) for network in self._networks for tile in tiles])
        return output_KB

    def step(
        self,
        x_BF: Tensor,
        target_B: Tensor,
        added_KB: Tensor | None,
        gradients: Sequence[LossGradient],
        dropout: Dropout,
    ) -> Tensor:
        """Give every parameter its gradient; the outputs, float32 of shape (K, B).

        Args:
            x_BF: The input, in the format that the products are to have.
            target_B: What the outputs are to be.
            added_KB: Added to the outputs, which are what is then to be the target.
            gradients: Of the loss of each network.
            dropout: Draws the dropout.
        """
        output_KB = torch.empty(len(self._networks), len(x_BF))
        tiles = _tiles(len(x_BF), COLUMNS)
        steps = [
            _Step(network, x_BF, _Aim(target_B, None if added_KB is None else added_KB[k], gradient), output_KB[k])
            for k, (network, gradient) in enumerate(zip(self._networks, gradients, strict=True))
        ]
        if len(steps) >= torch.get_num_threads():
            for_each(lambda step: step.whole(tiles, dropout), steps)
        else:  # fewer networks than threads: these share a network's tiles and its layers
            for_each(lambda step: step.begin(dropout), steps)
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
        self.keeps_products = not isinstance(self.act, nn.ReLU | nn.Tanh)
        self.rates = [layer.drop.p for layer in layers]
        self.linears = [*(layer.linear for layer in layers), network.head]
        self.weight_grads = [torch.empty_like(linear.weight, requires_grad=False) for linear in self.linears]
        self.bias_grads = [torch.empty_like(linear.bias, requires_grad=False) for linear in self.linears]

    def hand_out(self) -> None:
        for linear, weight_grad, bias_grad in zip(self.linears, self.weight_grads, self.bias_grads, strict=True):
            linear.weight.grad, linear.bias.grad = weight_grad, bias_grad

    def output(self, x_BF: Tensor, tile: slice) -> Tensor:
        """Of some spectra, in evaluation."""
        h_VT = x_BF.T[:, tile]
        *hidden, head = self.linears
        for linear in hidden:
            h_VT = self.act(_affine(linear.weight.to(x_BF.dtype), linear.bias.to(x_BF.dtype), h_VT))
        return _affine(head.weight.to(x_BF.dtype), head.bias.to(x_BF.dtype), h_VT).squeeze(0)


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

    def whole(self, tiles: Sequence[slice], dropout: Dropout) -> None:
        """All of it, by one thread."""
        self.begin(dropout)
        for tile in tiles:
            self.tile(tile)
        for layer in self.layers():
            layer()

    def begin(self, dropout: Dropout) -> None:
        """Round the weights, draw the dropout, and make room for what the gradients of the weights are made of."""
        network, kind, count = self._network, self._x_BF.dtype, len(self._x_BF)
        self._weights = [linear.weight.to(kind) for linear in network.linears]
        self._biases = [linear.bias.to(kind) for linear in network.linears]
        widths = [linear.out_features for linear in network.linears]
        self._h = [self._x_BF.T, *(torch.empty(width, count, dtype=kind) for width in widths[:-1])]
        self._dz = [torch.empty(width, count, dtype=kind) for width in widths]
        self._factors: list[Tensor | None] = []
        for p, width in zip(network.rates, widths[:-1], strict=True):
            factor_WB = torch.empty(width, count, dtype=kind) if p > 0 else None
            if factor_WB is not None:
                dropout(network.number, p, factor_WB)
            self._factors.append(factor_WB)

    def tile(self, tile: slice) -> None:
        """Forward and back for some spectra; the gradients of the weights are left."""
        network, kept = self._network, []
        h_VT = self._h[0][:, tile]
        for layer, factor_WB in enumerate(self._factors):
            z_WT = _affine(self._weights[layer], self._biases[layer], h_VT)
            h_WT = self._h[layer + 1][:, tile]
            a_WT = network.act(z_WT) if network.keeps_products else self._overwritten(z_WT)
            kept.append((z_WT, a_WT))
            if factor_WB is None:
                h_WT.copy_(a_WT)
            else:
                torch.mul(a_WT, factor_WB[:, tile], out=h_WT)
            h_VT = h_WT
        output_T = _affine(self._weights[-1], self._biases[-1], h_VT).squeeze(0)
        self._output_B[tile] = output_T
        if self._aim.added_B is not None:
            self._output_B[tile] += self._aim.added_B[tile]
        self._back(tile, kept)

    def _overwritten(self, z_WT: Tensor) -> Tensor:
        return z_WT.relu_() if isinstance(self._network.act, nn.ReLU) else z_WT.tanh_()

    def _back(self, tile: slice, kept: list[tuple[Tensor, Tensor]]) -> None:
        self._dz[-1][0, tile] = self._aim.gradient(self._output_B[tile], self._aim.target_B[tile])
        for layer in range(len(kept) - 1, -1, -1):
            grad_WT = _product(self._weights[layer + 1].mT, self._dz[layer + 1][:, tile])
            factor_WB = self._factors[layer]
            if factor_WB is not None:
                grad_WT.mul_(factor_WB[:, tile])
            self._dz[layer][:, tile] = self._network.back(grad_WT, *kept[layer])

    def layers(self) -> list[Callable[[], None]]:
        """The gradients of each layer's weights and biases, once all spectra have been forward and back."""
        return [partial(self._layer, layer) for layer in range(len(self._dz))]

    def _layer(self, layer: int) -> None:
        dz_WB, h_BV = self._dz[layer], self._h[layer].mT
        for rows in _tiles(len(dz_WB), ROWS):
            for columns in _tiles(h_BV.shape[1], COLUMNS):
                self._network.weight_grads[layer][rows, columns] = dz_WB[rows] @ h_BV[:, columns]
        self._network.bias_grads[layer].copy_(dz_WB.sum(1))


def _affine(weight_WV: Tensor, bias_W: Tensor, h_VT: Tensor) -> Tensor:
    """The products of a layer with some spectra, in tiles of rows."""
    parts = [torch.addmm(bias_W[rows, None], weight_WV[rows], h_VT) for rows in _tiles(len(weight_WV), ROWS)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _product(weight_VW: Tensor, grad_WT: Tensor) -> Tensor:
    parts = [weight_VW[rows] @ grad_WT for rows in _tiles(len(weight_VW), ROWS)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)

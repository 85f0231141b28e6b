"""Several MLPs on the same input, evaluated and differentiated as one.

The first layers, which hold most of the weights, are one product of the input with the rows of all networks, whatever
their widths; each later layer is one batched product for all networks of the same architecture. The networks keep
their own modules: parameters and buffers become views into the stacked storage, so that whoever optimises, saves or
exports a network need not know of the stack.

Activations are feature-major, (K, W, B): the rows of a wide product are then the networks' own, without a copy, and the
gradient of a product is one of factors that lie as the fast kernels want them.

Shape suffixes: B examples in a batch, F features, K networks, W width of a layer, R rows of all first layers together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from spectral_search.models.mlp_network import HiddenLayer, Mlp
from spectral_search.models.products import ROWS, products
from spectral_search.models.stack import Dropout


class MlpStack:
    """The networks, bound to common storage until another stack binds them.

    Args:
        networks: On one device, reading the same number of features; any widths, depths, norms and activations.
    """

    def __init__(self, networks: Sequence[Mlp]) -> None:
        architectures = [
            network.spec.model_dump_json(exclude={"dropout", "stochastic_depth", "init"}) for network in networks
        ]
        # In the order of their first networks; that of a set would differ from process to process.
        groups = [[k for k, other in enumerate(architectures) if other == a] for a in dict.fromkeys(architectures)]
        self._storage = _Storage()
        self._groups = [_Group(numbers, [networks[k] for k in numbers], self._storage) for numbers in groups]
        self._first = _WideLayer([linears for group in self._groups for linears in group.first], self._storage)
        order = [k for numbers in groups for k in numbers]
        # The inverse of that order: groups put networks out in theirs, callers know them by number.
        self._place_K = torch.tensor(order, device=networks[0].head.weight.device).argsort()

    def outputs(self, x_BCL: Tensor, dropout: Dropout | None = None) -> Tensor:
        """Standardised target of shape (K, B), float32.

        Args:
            x_BCL: The input, in the format that the products are to have.
            dropout: Draws the dropout of training. In evaluation None: batch norms then use their running statistics.
        """
        x_BF = x_BCL.flatten(1)
        products = iter(self._first(x_BF))
        parts = [group.outputs(x_BF, [next(products) for _ in group.first], dropout).float() for group in self._groups]
        return torch.cat(parts).index_select(0, self._place_K)

    def backward(self, loss: Tensor) -> None:
        """Give every parameter its gradient of a loss, a view into that of the storage."""
        self._storage.hand_out(torch.autograd.grad(loss, self._storage.leaves))

    def keep_statistics(self) -> None:
        """Let the batch statistics of the last forward pass in training count; a pass that failed has no effect."""
        for group in self._groups:
            group.keep_statistics()


@dataclass(frozen=True)
class _Slot:
    """Where a parameter lies: a leaf of the storage and a place in it."""

    parameter: Tensor
    leaf: int
    place: int | slice


class _Storage:
    """Leaves of the autograd graph and the parameters that are views into them."""

    def __init__(self) -> None:
        self.leaves: list[Tensor] = []
        self._slots: list[_Slot] = []

    def stack(self, parameters: Sequence[Tensor]) -> Tensor:
        """A leaf of shape (K, ...) that holds parameters of one shape."""
        leaf = parameters[0].detach().new_empty(len(parameters), *parameters[0].shape)
        return self.add(leaf, [(parameter, k) for k, parameter in enumerate(parameters)])

    def add(self, leaf: Tensor, parts: Sequence[tuple[Tensor, int | slice]]) -> Tensor:
        """Move parameters to their places in a new leaf."""
        for parameter, place in parts:
            _move(parameter, leaf[place])
            parameter.grad = None
            self._slots.append(_Slot(parameter, len(self.leaves), place))
        self.leaves.append(leaf.requires_grad_())
        return leaf

    def hand_out(self, gradients: Sequence[Tensor]) -> None:
        for slot in self._slots:
            slot.parameter.grad = gradients[slot.leaf][slot.place]


def _move(tensor: Tensor, place: Tensor) -> None:
    """Move a tensor's values to other storage and let it look there from now on."""
    place.copy_(tensor.detach())
    # Through `data`, so that the optimiser's parameter stays the object that its moments belong to.
    tensor.data = place


class _WideLayer:
    """Linear layers of any widths on one input, as one product.

    Args:
        blocks: Layers, those of one width together.
        storage: Where their parameters move. Layers without bias get one that stays 0, since nothing updates it.
    """

    def __init__(self, blocks: Sequence[Sequence[nn.Linear]], storage: _Storage) -> None:
        self._shapes = [(len(block), block[0].out_features) for block in blocks]
        places, row = [], 0
        for layer in (layer for block in blocks for layer in block):
            places.append((layer, slice(row, row := row + layer.out_features)))
        # Whole tiles, since the numbers of a tile's rows depend on how many there are.
        self._padding = -row % ROWS
        weight = blocks[0][0].weight.detach()
        self._weight_RF = storage.add(
            weight.new_zeros(row + self._padding, weight.shape[1]), [(layer.weight, place) for layer, place in places]
        )
        self._bias_R = storage.add(
            weight.new_zeros(row + self._padding),
            [(layer.bias, place) for layer, place in places if layer.bias is not None],
        )

    def __call__(self, x_BF: Tensor) -> list[Tensor]:
        """The products of each block, shape (K, W, B)."""
        weight_TWF, bias_TW = self._weight_RF.unflatten(0, (-1, ROWS)), self._bias_R.unflatten(0, (-1, ROWS))
        z_RB = _affine(weight_TWF, bias_TW, x_BF.T).flatten(0, 1)
        rows = [count * width for count, width in self._shapes]
        # A split is undone by a copy of all gradients, so that one block is better not split.
        parts = z_RB.split([*rows, self._padding]) if len(rows) > 1 or self._padding else (z_RB,)
        # Not strict: the last part may be the padding, which is no network's.
        return [part_RB.view(*shape, -1) for part_RB, shape in zip(parts, self._shapes, strict=False)]


class _Affine(torch.autograd.Function):
    """W h + b of K layers in the format of h, which is (F, B) for all of them or (K, F, B)."""

    @staticmethod
    def forward(ctx: Any, weight_KWF: Tensor, bias_KW: Tensor | None, h_KFB: Tensor) -> Tensor:
        weight_KWF = weight_KWF.to(h_KFB.dtype)
        ctx.save_for_backward(weight_KWF, h_KFB)
        ctx.has_bias = bias_KW is not None
        return products(weight_KWF, h_KFB, None if bias_KW is None else bias_KW.to(h_KFB.dtype))

    @staticmethod
    def backward(ctx: Any, grad_KWB: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        weight_KWF, h_KFB = ctx.saved_tensors
        grad_KWB = grad_KWB.contiguous()
        return (
            products(grad_KWB, h_KFB.mT, out=torch.float32),
            grad_KWB.sum(2).float() if ctx.has_bias else None,
            # The input itself wants no gradient, which would cost as much as the first layers' own product.
            products(weight_KWF.mT, grad_KWB) if ctx.needs_input_grad[2] else None,
        )


_affine: Callable[[Tensor, Tensor | None, Tensor], Tensor] = _Affine.apply


class _Group:
    """Networks of one architecture: only their dropout and their numbers differ.

    Args:
        numbers: What `Dropout` is to call the networks.
        networks: The networks.
        storage: Where their parameters move, all but those of `first`.
    """

    def __init__(self, numbers: Sequence[int], networks: Sequence[Mlp], storage: _Storage) -> None:
        depths = zip(*(network.hidden_layers for network in networks), strict=True)
        self._layers = [_Layer(numbers, layers, storage) for layers in depths]
        self._linears = [_Linears(layer.linears, storage) for layer in self._layers[1:]]
        self._skips = [_Linears(layer.skips, storage) if layer.skips else None for layer in self._layers[1:]]
        self._head = _Linears([network.head for network in networks], storage)
        self.first = [block for block in (self._layers[0].linears, self._layers[0].skips) if block]
        """The layers that read the input: the first ones, then the projections past them, if any."""

    def outputs(self, x_BF: Tensor, products: Sequence[Tensor], dropout: Dropout | None) -> Tensor:
        """Standardised target of shape (K, B) from the input and its products with `first`, each of shape (K, W, B)."""
        past = products[1] if len(products) > 1 else x_BF.T
        h_KWB = self._layers[0](products[0], past, dropout)
        for layer, linear, skip in zip(self._layers[1:], self._linears, self._skips, strict=True):
            h_KWB = layer(linear(h_KWB), h_KWB if skip is None else skip(h_KWB), dropout)
        return self._head(h_KWB).squeeze(1)

    def keep_statistics(self) -> None:
        for layer in self._layers:
            layer.norms.keep_statistics()


class _Linears:
    """Linear layers of one shape as a batched product, (K, F, B) to (K, W, B)."""

    def __init__(self, layers: Sequence[nn.Linear], storage: _Storage) -> None:
        self._weight_KWF = storage.stack([layer.weight for layer in layers])
        self._bias_KW = None if layers[0].bias is None else storage.stack([layer.bias for layer in layers])

    def __call__(self, h_KFB: Tensor) -> Tensor:
        return _affine(self._weight_KWF, self._bias_KW, h_KFB)


class _Layer:
    """What follows the products of a hidden layer: norm - activation - dropout, plus the input of a residual layer."""

    def __init__(self, numbers: Sequence[int], layers: Sequence[HiddenLayer], storage: _Storage) -> None:
        self.linears = [layer.linear for layer in layers]
        self.skips = [layer.skip for layer in layers if isinstance(layer.skip, nn.Linear)]
        self.norms = _norms([layer.norm for layer in layers], storage)
        self._residual = layers[0].skip is not None
        # An activation has no weights, so that the first network's serves for all.
        self._act = layers[0].act
        self._drops = [(number, layer.drop.p) for number, layer in zip(numbers, layers, strict=True)]
        depths = [0.0 if layer.depth is None else layer.depth.p for layer in layers]
        self._depths = list(zip(numbers, depths, strict=True)) if any(depths) else []

    def __call__(self, z_KWB: Tensor, past_KWB: Tensor, dropout: Dropout | None) -> Tensor:
        """The output from the layer's products, (K, W, B); `past_KWB` is what a residual layer adds."""
        h_KWB: Tensor = self._act(self.norms(z_KWB, training=dropout is not None))
        if dropout is not None and any(p > 0 for _, p in self._drops):
            factor_KWB = torch.empty_like(h_KWB, requires_grad=False)
            for (number, p), factor_WB in zip(self._drops, factor_KWB, strict=True):
                dropout(number, p, factor_WB)
            h_KWB = h_KWB * factor_KWB
        if dropout is not None and self._depths:
            # One factor an example: a layer is left out as a whole.
            kept_K1B = torch.empty_like(h_KWB[:, :1], requires_grad=False)
            for (number, p), kept_1B in zip(self._depths, kept_K1B, strict=True):
                dropout(number, p, kept_1B)
            h_KWB = h_KWB * kept_K1B
        return h_KWB + past_KWB if self._residual else h_KWB


class _Norms:
    """The norms of K layers, of shape (K, W, B) to the same, taken in float32; this one for layers without.

    Networks side by side are one wide layer, with K W features: the norms of many are one norm of that.
    """

    def __call__(self, z_KWB: Tensor, *, training: bool) -> Tensor:
        return z_KWB

    def keep_statistics(self) -> None:
        """Let what the last pass in training saw count."""


class _AffineNorms(_Norms):
    def __init__(self, norms: Sequence[nn.LayerNorm | nn.GroupNorm | nn.BatchNorm1d], storage: _Storage) -> None:
        self._weight_KW = storage.stack([norm.weight for norm in norms])
        self._bias_KW = storage.stack([norm.bias for norm in norms])
        self._eps = norms[0].eps

    def __call__(self, z_KWB: Tensor, *, training: bool) -> Tensor:
        x_CB = z_KWB.float().flatten(0, 1)
        x_CB = self._normed(x_CB, self._weight_KW.flatten(), self._bias_KW.flatten(), training)
        return x_CB.to(z_KWB.dtype).view_as(z_KWB)

    def _normed(self, x_CB: Tensor, weight_C: Tensor, bias_C: Tensor, training: bool) -> Tensor:
        raise NotImplementedError


class _GroupNorms(_AffineNorms):
    """Layer norms, which are group norms of one group, and group norms."""

    def __init__(self, norms: Sequence[nn.LayerNorm | nn.GroupNorm], storage: _Storage) -> None:
        super().__init__(norms, storage)
        self._groups = sum(norm.num_groups if isinstance(norm, nn.GroupNorm) else 1 for norm in norms)

    def _normed(self, x_CB: Tensor, weight_C: Tensor, bias_C: Tensor, training: bool) -> Tensor:
        return functional.group_norm(x_CB.T, self._groups, weight_C, bias_C, self._eps).T.contiguous()


class _BatchNorms(_AffineNorms):
    def __init__(self, norms: Sequence[nn.BatchNorm1d], storage: _Storage) -> None:
        super().__init__(norms, storage)
        self._norms = norms
        self._mean_KW = _stack_buffers([norm.get_buffer("running_mean") for norm in norms])
        self._var_KW = _stack_buffers([norm.get_buffer("running_var") for norm in norms])
        self._seen: tuple[Tensor, Tensor] | None = None

    def _normed(self, x_CB: Tensor, weight_C: Tensor, bias_C: Tensor, training: bool) -> Tensor:
        statistics = self._mean_KW.flatten(), self._var_KW.flatten()
        if training:
            # The running statistics move only once the whole step is done: it may run out of memory and be repeated.
            self._seen = statistics = statistics[0].clone(), statistics[1].clone()
        momentum = self._norms[0].momentum or 0.0
        # One example with B positions: the statistics of a channel are taken over these.
        x_1CB = x_CB.unsqueeze(0)
        return functional.batch_norm(x_1CB, *statistics, weight_C, bias_C, training, momentum, self._eps).squeeze(0)

    def keep_statistics(self) -> None:
        if self._seen is not None:
            for running_KW, seen_C in zip((self._mean_KW, self._var_KW), self._seen, strict=True):
                running_KW.copy_(seen_C.view_as(running_KW))
            for norm in self._norms:
                norm.get_buffer("num_batches_tracked").add_(1)
            self._seen = None


def _norms(norms: Sequence[nn.Module], storage: _Storage) -> _Norms:
    """The norms of layers of one architecture."""
    if batch := [norm for norm in norms if isinstance(norm, nn.BatchNorm1d)]:
        return _BatchNorms(batch, storage)
    if grouped := [norm for norm in norms if isinstance(norm, nn.LayerNorm | nn.GroupNorm)]:
        return _GroupNorms(grouped, storage)
    return _Norms()


def _stack_buffers(buffers: Sequence[Tensor]) -> Tensor:
    """Storage of shape (K, W) that the buffers are views into from now on."""
    stacked = torch.empty_like(buffers[0]).new_empty(len(buffers), *buffers[0].shape)
    for place, buffer in zip(stacked, buffers, strict=True):
        _move(buffer, place)
    return stacked

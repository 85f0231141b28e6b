"""Steps of plain MLPs in float32 on a CPU, a network's whole step a call, without Python's lock.

What `mlp_pieces` does with torch's operations, for networks and losses that machine code knows all operations of. A
network computes the same, bit for bit, alone and beside others, on however many cores: tiles have a fixed size, each is
the work of one thread, and gradients of weights are summed in the order of the tiles.
Shape suffixes: B examples in a batch, P of a part of it, F features.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from spectral_search.models.dropout_bits import RESOLUTION, dropped_of, kept_factor
from spectral_search.models.mlp_network import Mlp
from spectral_search.models.threads import for_each
from spectral_search.train.blas import one_thread
from spectral_search.train.dropout import StepDropout
from spectral_search.train.mlp_table import TILE, MlpTable, TableKind
from spectral_search.train.step_kernels import address, float_word

_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
    nn.ELU: "elu",
    nn.Tanh: "tanh",
}


def has_compiled_steps(network: nn.Module | None, precision: str, device: torch.device) -> bool:
    """Whether machine code knows what a network consists of: an MLP without norms and skips, on a CPU, in float32."""
    if not isinstance(network, Mlp) or precision != "float32" or device.type != "cpu":
        return False
    return all(
        layer.skip is None and layer.depth is None and isinstance(layer.norm, nn.Identity)
        for layer in network.hidden_layers
    )


class CompiledSteps:
    """Steps of some networks.

    Args:
        networks: MLPs without norms and skips, on a CPU, in float32.
        losses: Of each, by the name of its kernel.
    """

    def __init__(self, networks: Sequence[Mlp], losses: Sequence[str]) -> None:
        self._networks = [_Network(network, loss) for network, loss in zip(networks, losses, strict=True)]
        self._free: dict[TableKind, list[MlpTable]] = defaultdict(list)
        """Tables that no thread has."""

    @property
    def tables_held(self) -> dict[TableKind, int]:
        """Tables of each kind that wait for a thread."""
        return {kind: len(tables) for kind, tables in self._free.items()}

    def outputs(self, x_BF: Tensor) -> Tensor:
        """The standardised label in evaluation, float32 of shape (K, B)."""
        x_BF, output_KB = x_BF.contiguous(), torch.empty(len(self._networks), len(x_BF))
        # Fewer networks than threads share the examples: in whole tiles, so that nobody rounds otherwise.
        shares = max(1, torch.get_num_threads() // len(self._networks))
        size = TILE * max(1, -(-len(x_BF) // (TILE * shares)))
        parts = [slice(start, start + size) for start in range(0, len(x_BF), size)]

        def form(piece: tuple[int, slice]) -> None:
            number, part = piece
            network, x_PF, output_P = self._networks[number], x_BF[part], output_KB[number, part]
            with self._table(TableKind(network.widths, len(x_PF))) as table:
                table.take([*network.values(training=False), x_PF.data_ptr(), output_P.data_ptr(), 0, 0, 0, 0])
                table.run()

        with one_thread():
            for_each(form, [(number, part) for number in range(len(self._networks)) for part in parts])
        return output_KB

    def step(self, x_BF: Tensor, target_B: Tensor, added_KB: Tensor | None, dropout: StepDropout) -> Tensor:
        """Give every parameter its gradient; the outputs, float32 of shape (K, B).

        Args:
            x_BF: The input, float32.
            target_B: What the outputs are to be.
            added_KB: Added to the outputs, which are what is then to be the target.
            dropout: Draws for each network.
        """
        count, threads = len(x_BF), torch.get_num_threads()
        x_BF, target_B, output_KB = x_BF.contiguous(), target_B.contiguous(), torch.empty(len(self._networks), count)
        apart, share = len(self._networks) < threads, float_word(1.0 / count)
        added_KB = added_KB.contiguous() if added_KB is not None else None

        def whole(number: int) -> None:
            network = self._networks[number]
            kind = TableKind(network.widths, count, network.loss, network.is_dropped, added_KB is not None, apart)
            stream = dropout.stream(number) if network.is_dropped else 0
            added = 0 if added_KB is None else added_KB[number].data_ptr()
            batch = [x_BF.data_ptr(), output_KB[number].data_ptr(), target_B.data_ptr(), added]
            with self._table(kind) as table:
                table.take([*network.values(training=True), *batch, stream, share])
                if apart:
                    table.run(table.before)
                    for sections in (table.tiles, table.layers):
                        for_each(table.run, sections)
                else:
                    table.run()

        with one_thread():
            if apart:  # fewer networks than threads: these share a network's tiles and its layers
                for number in range(len(self._networks)):
                    whole(number)
            else:
                for_each(whole, range(len(self._networks)))
        for network in self._networks:
            network.hand_out()
        return output_KB

    @contextmanager
    def _table(self, kind: TableKind) -> Iterator[MlpTable]:
        free = self._free[kind]
        try:
            table = free.pop()
        except IndexError:
            table = MlpTable(kind)
        yield table
        free.append(table)


class _Network:
    """A network's parameters, and room for their gradients, which each step writes anew."""

    def __init__(self, network: Mlp, loss: str) -> None:
        self.loss, layers = loss, network.hidden_layers
        self._linears = [*(layer.linear for layer in layers), network.head]
        self.widths = (self._linears[0].in_features, *(linear.out_features for linear in self._linears))
        self._rates, self._act = [layer.drop.p for layer in layers], _ACTIVATIONS[type(layers[0].act)]
        parameters = [(linear.weight, linear.bias) for linear in self._linears]
        self._gradients = [[torch.empty_like(value, requires_grad=False) for value in pair] for pair in parameters]
        both = zip(parameters, self._gradients, strict=True)
        self._values = [value for mine, gradients in both for value in (*mine, *gradients)]
        self._dropout = {training: self._dropout_words(training) for training in (True, False)}

    @property
    def is_dropped(self) -> bool:
        """Whether some of its layers have dropout."""
        return any(self._rates)

    def values(self, *, training: bool) -> list[int]:
        """What a table has to know of it."""
        # Asked each time: parameters move when another stack takes them.
        return [value.data_ptr() for value in self._values] + self._dropout[training]

    def hand_out(self) -> None:
        for linear, (weight_grad, bias_grad) in zip(self._linears, self._gradients, strict=True):
            # At each step anew: accumulation, for one, puts its sums in their place.
            linear.weight.grad, linear.bias.grad = weight_grad, bias_grad

    def _dropout_words(self, training: bool) -> list[int]:
        words = []
        for p in self._rates:
            dropped, name = dropped_of(p), f"{self._act}_dropped" if training and p > 0 else self._act
            # Random bits are read with a sign, so that they begin at -RESOLUTION / 2 and not at 0.
            words += [address(name), dropped - RESOLUTION // 2, float_word(kept_factor(dropped))]
        return words

"""Steps of plain MLPs in float32 on a CPU, a network's whole step a call, without Python's lock.

What `mlp_pieces` does with torch's operations, for networks and losses that machine code knows all operations of. A
network computes the same, bit for bit, alone and beside others, on however many cores: tiles have a fixed size, each is
the work of one thread, and gradients of weights are summed in the order of the tiles.
Shape suffixes: B examples in a batch, P of a part of it, F features.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Event

import torch
from torch import Tensor, nn

from spectral_search.models.mlp_network import Mlp
from spectral_search.models.threads import for_each
from spectral_search.train.blas import one_thread
from spectral_search.train.dropout import StepDropout
from spectral_search.train.dropout_kernel import least_and_kept
from spectral_search.train.mlp_pieces import is_chain
from spectral_search.train.mlp_table import TILE, MlpTable, TableKind
from spectral_search.train.step_kernels import address, float_word

_SHARED_WORK = 1 << 25
"""Parameters times examples of a step that threads share: below it they would wait longer than that saves."""
_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
    nn.ELU: "elu",
    nn.Tanh: "tanh",
}


def has_compiled_steps(network: nn.Module | None, precision: str, device: torch.device) -> bool:
    """Whether machine code knows what a network consists of: an MLP without norms and skips, on a CPU, in float32."""
    return is_chain(network) and precision == "float32" and device.type == "cpu"


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
        x_BF, target_B = x_BF.contiguous(), target_B.contiguous()
        added_KB = None if added_KB is None else added_KB.contiguous()
        output_KB = torch.empty(len(self._networks), len(x_BF))
        share, count = float_word(1.0 / len(x_BF)), len(self._networks)

        def take(number: int, table: MlpTable) -> None:
            network, added = self._networks[number], 0 if added_KB is None else added_KB[number].data_ptr()
            stream = dropout.stream(number) if network.is_dropped else 0
            batch = x_BF.data_ptr(), output_KB[number].data_ptr(), target_B.data_ptr(), added, stream, share
            table.take([*network.values(training=True), *batch])

        def kind(number: int, *, apart: bool) -> TableKind:
            network = self._networks[number]
            return TableKind(network.widths, len(x_BF), network.loss, network.is_dropped, added_KB is not None, apart)

        def whole(number: int) -> None:
            with self._table(kind(number, apart=False)) as table:
                take(number, table)
                table.run()

        # What is left when each thread has had as many networks as the others.
        left = range(count - count % torch.get_num_threads(), count)
        large = [number for number in left if self._networks[number].parameters * len(x_BF) >= _SHARED_WORK]
        others = [number for number in range(count) if number not in large]
        with one_thread(), ExitStack() as held:
            tables = [held.enter_context(self._table(kind(number, apart=True))) for number in large]
            for number, table in zip(large, tables, strict=True):
                take(number, table)
                table.run(table.before)
            # One round of the threads for all of it: to wake one up can take longer than a small network's step.
            for_each(lambda piece: piece(), _in_order(tables, [partial(whole, number) for number in others]))
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


def _in_order(tables: Sequence[MlpTable], others: Sequence[Callable[[], None]]) -> Iterator[Callable[[], None]]:
    """The tiles of tables that threads share, other work, and last what needs all tiles: their sums."""
    tiles = [(table, section) for table in tables for section in table.tiles]
    left, all_done = [None] * len(tiles), Event()

    def tile(table: MlpTable, section: slice) -> None:
        try:
            table.run(section)
        finally:
            left.pop()
            if not left:
                all_done.set()

    def layer(table: MlpTable, section: slice) -> None:
        # Pieces are taken in turns, so that somebody is at work on each tile by now.
        all_done.wait()
        table.run(section)

    yield from (partial(tile, *piece) for piece in tiles)
    yield from others
    yield from (partial(layer, table, section) for table in tables for section in table.layers)


class _Network:
    """A network's parameters, and room for their gradients, which each step writes anew."""

    def __init__(self, network: Mlp, loss: str) -> None:
        self.loss, layers = loss, network.hidden_layers
        self._linears = [*(layer.linear for layer in layers), network.head]
        self.widths = (self._linears[0].in_features, *(linear.out_features for linear in self._linears))
        self._rates, self._act = [layer.drop.p for layer in layers], _ACTIVATIONS[type(layers[0].act)]
        self.parameters = sum(value.numel() for value in network.parameters())
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
            name, (least, kept) = self._act, least_and_kept(p, torch.float32)
            words += [address(f"{name}_dropped" if training and p > 0 else name), least, float_word(kept)]
        return words

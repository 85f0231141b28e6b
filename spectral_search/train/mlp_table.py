"""The table of what a step does with a batch and one MLP, tile by tile, and the memory that it is done in.

Shape suffixes: T examples of a tile, W width of a layer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from spectral_search.train.blas import sgemm_address
from spectral_search.train.step_kernels import RECORD_WORDS, address, float_word, run

TILE = 256
"""Examples: what a network of the usual widths holds of so many stays in the second cache of a core."""
_PLAIN, _TURNED = ord("N"), ord("T")
_ZERO, _ONE = float_word(0.0), float_word(1.0)
_FLOAT, _HALF = 4, 2


@dataclass(frozen=True)
class TableKind:
    """What a table is for.

    Attributes:
        widths: Features, of the hidden layers, and 1.
        examples: Of a batch.
        loss: Whose gradient is taken; none in evaluation.
        is_dropped: Whether random bits are drawn for dropout.
        is_added: Whether something is added to the outputs before the loss.
        apart: Whether each tile has memory of its own, so that threads can share them.
    """

    widths: tuple[int, ...]
    examples: int
    loss: str | None = None
    is_dropped: bool = False
    is_added: bool = False
    apart: bool = False

    @property
    def tiles(self) -> list[slice]:
        """The examples of each tile."""
        return [slice(start, min(start + TILE, self.examples)) for start in range(0, self.examples, TILE)]

    @property
    def names(self) -> list[str]:
        """What `MlpTable.take` wants, in this order: addresses where not said.

        Of each layer and the head its `weight`, `bias` and where their gradients go; of each hidden layer its
        `activation`, the `least` random bits of what is kept, and the factor on it (`kept`). Of the batch `input`,
        `output`, `target`, `added`, the random `stream` and the `share` of an example in the mean. Numbers are words.
        """
        layers = range(len(self.widths) - 1)
        parameters = [f"{what}{n}" for n in layers for what in ("weight", "bias", "weight_grad", "bias_grad")]
        dropout = [f"{what}{n}" for n in layers[:-1] for what in ("activation", "least", "kept")]
        return [*parameters, *dropout, "input", "output", "target", "added", "stream", "share"]


@dataclass(frozen=True)
class _Named:
    """An argument that is filled in for each step: what goes by a name, plus some bytes."""

    name: str
    more: int = 0


_Argument = int | _Named


class MlpTable:
    """A table that any network of some widths can take through its step, by one thread at a time or tile by tile."""

    def __init__(self, kind: TableKind) -> None:
        self._kind, self._hidden = kind, list(pairwise(kind.widths[:-1]))
        self._records: list[list[int]] = []
        self._named: list[tuple[int, _Named]] = []
        sizes = [width * kind.examples for _, width in self._hidden]
        # A word of 64 bits holds four values, and the last word may be used in part.
        self._bits = [np.empty((size + 3) // 4 if kind.is_dropped else 0, np.uint64) for size in sizes]
        self._rooms = [_Room(kind.widths) for _ in (kind.tiles if kind.apart else [0])]
        tiles = [(part, self._rooms[number % len(self._rooms)]) for number, part in enumerate(kind.tiles)]
        self.before = self._section(self._write_draws)
        """The section that draws the dropout."""
        self.tiles = [self._section(self._write_tile, *tile) for tile in tiles]
        """Sections of the table, each of all that is done with a tile."""
        self.layers = [self._section(self._write_sums, layer, tiles) for layer in range(len(kind.widths) - 1)]
        """Sections of the gradients of weights and biases, where tiles lie apart."""
        self._table = np.array(self._records, np.int64)
        numbers = {name: number for number, name in enumerate(kind.names)}
        self._places = np.array([place for place, _ in self._named])
        self._numbers = np.array([numbers[named.name] for _, named in self._named])
        self._more = np.array([named.more for _, named in self._named])

    def take(self, values: Sequence[int]) -> None:
        """Let the next step be that of a network and a batch.

        Args:
            values: What goes by the names of the kind. Arrays are stored by rows without gaps, in float32.
        """
        self._table.reshape(-1)[self._places] = np.array(values, np.int64)[self._numbers] + self._more

    def run(self, section: slice | None = None) -> None:
        """Carry out a section, or all of it."""
        run(self._table if section is None else self._table[section])

    def _section(self, write: Callable[..., None], *arguments: object) -> slice:
        start = len(self._records)
        write(*arguments)
        return slice(start, len(self._records))

    def _write(self, name: str | _Named, *arguments: _Argument) -> None:
        start = len(self._records) * RECORD_WORDS
        values = [address(name) if isinstance(name, str) else name, *arguments]
        self._named += [(start + place, value) for place, value in enumerate(values) if isinstance(value, _Named)]
        words = [0 if isinstance(value, _Named) else value for value in values]
        self._records.append(words + [0] * (RECORD_WORDS - len(words)))

    def _product(
        self,
        sizes: tuple[int, int, int],
        a: tuple[_Argument, int],
        b: tuple[_Argument, int],
        c: _Argument,
        *,
        turned: str = "",
        adds: bool = False,
    ) -> None:
        """C (M, N) = A B, or that much more; each factor as its address and the stride of its rows."""
        m, n, k = sizes
        turns = [_TURNED if which in turned else _PLAIN for which in "ab"]
        self._write("product", sgemm_address(), *turns, m, n, k, *a, *b, _ONE if adds else _ZERO, c, n)

    def _write_draws(self) -> None:
        for words in self._bits if self._kind.is_dropped else ():
            self._write("fill_words", _Named("stream"), words.ctypes.data, len(words))

    def _write_tile(self, part: slice, room: "_Room") -> None:
        self._write_forward(part, room)
        if self._kind.loss is None:
            return
        count = part.stop - part.start
        output, target, added = (_Named(name, part.start * _FLOAT) for name in ("output", "target", "added"))
        if self._kind.is_added:
            self._write("add", output, added, count)
        self._write(f"slope_{self._kind.loss}", output, target, room.slope, _Named("share"), count)
        self._write_back(count, room)
        if not self._kind.apart:
            for layer in range(len(self._hidden) + 1):
                self._write_weights(layer, part, room)

    def _write_forward(self, part: slice, room: "_Room") -> None:
        count = part.stop - part.start
        for layer, (inputs, width) in enumerate(self._hidden):
            z, h = room.derivative[layer], room.h[layer]
            given, turned = self._input_of(layer, part, room)
            # The weights times what is given, which of the first layer lies the other way round.
            turns = "" if turned else "b"
            self._product((width, count, inputs), (_Named(f"weight{layer}"), inputs), given, z, turned=turns)
            bits = self._bits[layer].ctypes.data + part.start * _HALF
            dropout = bits, width, count, self._kind.examples, _Named(f"least{layer}"), _Named(f"kept{layer}")
            self._write(_Named(f"activation{layer}"), z, _Named(f"bias{layer}"), h, *dropout)
        last, output = len(self._hidden), _Named("output", part.start * _FLOAT)
        width = self._kind.widths[-2]
        self._write("head", _Named(f"weight{last}"), _Named(f"bias{last}"), room.h[-1], output, width, count)

    def _write_back(self, count: int, room: "_Room") -> None:
        last = len(self._hidden)
        self._write("head_back", _Named(f"weight{last}"), room.slope, room.derivative[-1], self._kind.widths[-2], count)
        for layer in range(last - 1, 0, -1):
            inputs, width = self._hidden[layer]
            weight, above = (_Named(f"weight{layer}"), inputs), (room.derivative[layer], count)
            self._product((inputs, count, width), weight, above, room.gradient, turned="a")
            self._write("back", room.gradient, room.derivative[layer - 1], inputs * count)

    def _write_sums(self, layer: int, tiles: "Sequence[tuple[slice, _Room]]") -> None:
        if self._kind.apart and self._kind.loss is not None:
            for part, room in tiles:
                self._write_weights(layer, part, room)

    def _write_weights(self, layer: int, part: slice, room: "_Room") -> None:
        """Add a tile to the gradients of a layer's weights and biases; the first one's take their place."""
        inputs, width = self._kind.widths[layer : layer + 2]
        count, adds = part.stop - part.start, part.start > 0
        above = (room.slope if layer == len(self._hidden) else room.derivative[layer], count)
        given, turned = self._input_of(layer, part, room)
        turns = "b" if turned else ""
        self._product((width, inputs, count), above, given, _Named(f"weight_grad{layer}"), turned=turns, adds=adds)
        self._product((width, 1, count), above, (room.ones, 1), _Named(f"bias_grad{layer}"), adds=adds)

    def _input_of(self, layer: int, part: slice, room: "_Room") -> tuple[tuple[_Argument, int], bool]:
        """Where what a layer is given lies, and whether a row of it is a feature rather than an example."""
        if layer > 0:
            return (room.h[layer - 1], part.stop - part.start), True
        features = self._kind.widths[0]
        return (_Named("input", part.start * features * _FLOAT), features), False


class _Room:
    """Memory for a tile, by addresses: activations, their derivatives, and gradients."""

    def __init__(self, widths: Sequence[int]) -> None:
        self._held = [
            np.empty((width, TILE), np.float32) for width in [*widths[1:-1], *widths[1:-1], max(widths[1:]), 1]
        ]
        self._held.append(np.ones((1, TILE), np.float32))
        *layers, self.gradient, self.slope, self.ones = (values.ctypes.data for values in self._held)
        self.h, self.derivative = layers[: len(widths) - 2], layers[len(widths) - 2 :]
        """Derivatives take the place of the products, and gradients that of the derivatives."""

"""Dropout on a CPU in one pass there and one back, beside the activation where that is a ReLU.

Torch would write the factors, multiply by them twice and ask once more where the ReLU was open: five passes over what,
for a small network, costs as much as its products. The random bits are those of numpy's SFC64, drawn without holding
up Python's other threads.
Shape suffixes: W width of a layer, B examples in a batch, T examples of a tile.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from spectral_search.models.dropout_bits import RESOLUTION, dropped_of, kept_factor
from spectral_search.train.compiled_program import CompiledOnce

if TYPE_CHECKING:
    from spectral_search.train.machine_code import Program, Value

_NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


class Dropped:
    """Which values of a layer are dropped in a step, and the factor on those that are kept.

    Args:
        bits_WB: 16 random bits each, int16 and contiguous; None where p is 0.
        p: Part that is dropped; 0 <= p < 1.
        kind: Format of the activations, float32 or bfloat16.
    """

    def __init__(self, bits_WB: Tensor | None, p: float, kind: torch.dtype) -> None:
        self._bits_WB, self._kind = bits_WB, kind
        self._least, self._kept = least_and_kept(p, kind)

    def forward(self, z_WT: Tensor, h_WT: Tensor, tile: slice, *, relu: bool) -> None:
        """Write z, or its ReLU, with dropout to h, both of these examples of the batch."""
        if self._bits_WB is None:
            torch.clamp_min(z_WT, 0, out=h_WT) if relu else h_WT.copy_(z_WT)
            return
        self._carry_out("relu_dropout" if relu else "dropout", z_WT, self._bits_WB[:, tile], h_WT)

    def forward_biased_relu(self, z_WT: Tensor, bias_W: Tensor, h_WT: Tensor, tile: slice) -> None:
        """Write the ReLU of z plus a bias a row, with dropout, to h; all float32."""
        if self._bits_WB is None:
            # z stands in for the random bits: every function has three sides, and this one does not read its second.
            self._carry_out("biased_relu", z_WT, z_WT, h_WT, bias_W)
        else:
            self._carry_out("biased_relu_dropout", z_WT, self._bits_WB[:, tile], h_WT, bias_W)

    def back_through_relu(self, grad_WT: Tensor, h_WT: Tensor, dz_WT: Tensor) -> None:
        """Write to dz the gradient before ReLU and dropout, from that of what they gave, h."""
        self._carry_out("relu_dropout_back", grad_WT, h_WT, dz_WT)

    def back(self, grad_WT: Tensor, tile: slice) -> Tensor:
        """The gradient before dropout alone, a new tensor, or the same where nothing is dropped."""
        if self._bits_WB is None:
            return grad_WT
        before_WT = torch.empty_like(grad_WT)
        self._carry_out("dropout", grad_WT, self._bits_WB[:, tile], before_WT)
        return before_WT

    def _carry_out(
        self, name: str, given_WT: Tensor, by_WT: Tensor, out_WT: Tensor, bias_W: Tensor | None = None
    ) -> None:
        strides = given_WT.stride(), by_WT.stride(), out_WT.stride()
        (given, given_one), (by, by_one), (out, out_one) = strides
        if not (given_WT.shape == by_WT.shape == out_WT.shape and given_one == by_one == out_one == 1):
            raise ValueError(f"sides that do not go together: {given_WT.shape, by_WT.shape, out_WT.shape}, {strides}")
        if not (given_WT.dtype == out_WT.dtype == self._kind):
            raise TypeError(f"{self._kind} is needed, not {given_WT.dtype} and {out_WT.dtype}")
        addresses = given_WT.data_ptr(), by_WT.data_ptr(), out_WT.data_ptr()
        bias = () if bias_W is None else (_row_address(bias_W, len(given_WT)),)
        function = _FUNCTIONS.get()[f"{name}_{_NAMES[self._kind]}"]
        function(*addresses, given, by, out, *given_WT.shape, self._least, self._kept, *bias)


def _row_address(bias_W: Tensor, rows: int) -> int:
    if bias_W.dtype != torch.float32 or bias_W.shape != (rows,) or not bias_W.is_contiguous():
        raise ValueError(f"a bias for {rows} rows is needed, not {bias_W.dtype} of {tuple(bias_W.shape)}")
    return bias_W.data_ptr()


@lru_cache(1024)
def least_and_kept(p: float, kind: torch.dtype) -> tuple[int, float]:
    """What bits keep a value where p of them are dropped, and the factor on it, rounded to a format."""
    dropped = dropped_of(p)
    # Random bits are read with a sign, so that they begin at -RESOLUTION / 2 and not at 0.
    return dropped - RESOLUTION // 2, torch.tensor(kept_factor(dropped), dtype=kind).item()


class WordStream:
    """The words that `np.random.SFC64(seed).random_raw` gives, one call after the other."""

    def __init__(self, seed: int) -> None:
        state: Any = np.random.SFC64(seed).state["state"]["state"]
        self._state_4 = np.array(state, np.uint64)

    @property
    def address(self) -> int:
        """Of the state, four words that `fill_words` moves on."""
        return int(self._state_4.ctypes.data)

    def next(self, count: int) -> np.ndarray:
        """The next words, uint64."""
        words_N = np.empty(count, np.uint64)
        _FUNCTIONS.get()["fill_words"](self._state_4.ctypes.data, words_N.ctypes.data, count)
        return words_N


def _written() -> "Program":
    from spectral_search.train.machine_code import F32_P, I16_P, Program

    program = Program()
    write_fill_words(program)
    with _each_value(program, "biased_relu_float32", F32_P, F32_P, F32_P) as each:
        each.give((each.given + each.bias).or_zero_if_negative())
    with _each_value(program, "biased_relu_dropout_float32", F32_P, I16_P, F32_P) as each:
        each.give((each.given + each.bias).or_zero_if_negative() * each.kept, where=each.is_kept)
    for kind, values in (("float32", F32_P), ("bfloat16", I16_P)):
        with _each_value(program, f"dropout_{kind}", values, I16_P) as each:
            each.give(each.given * each.kept, where=each.is_kept)
        with _each_value(program, f"relu_dropout_{kind}", values, I16_P) as each:
            each.give(each.given.or_zero_if_negative() * each.kept, where=each.is_kept)
        # What came out is above 0 only where it was kept and the ReLU open.
        with _each_value(program, f"relu_dropout_back_{kind}", values, values) as each:
            each.give(each.given * each.kept, where=each.by.is_positive())
    return program


class _Each:
    """One value of each side; floats, but for random bits."""

    def __init__(
        self, sides: "tuple[Value, Value, Value]", place: "Value", least: "Value", kept: "Value", *bias: "Value"
    ) -> None:
        self._given_T, self._by_T, self._out_T = sides
        self._place, self._least, self.kept, self._bias = place, least, kept, bias

    @property
    def given(self) -> "Value":
        return self._given_T[self._place].from_half() if self._given_T.is_of_halves else self._given_T[self._place]

    @property
    def by(self) -> "Value":
        return self._by_T[self._place].from_half() if self._by_T.is_of_halves else self._by_T[self._place]

    @property
    def bias(self) -> "Value":
        """Of its row, of a function that has them."""
        (bias,) = self._bias
        return bias

    @property
    def is_kept(self) -> "Value":
        """By random bits."""
        return self._by_T[self._place].widened().at_least(self._least)

    def give(self, value: "Value", *, where: "Value | None" = None) -> None:
        found = value if where is None else value.or_zero_unless(where)
        self._out_T[self._place] = found.to_half() if self._out_T.is_of_halves else found


@contextmanager
def _each_value(program: "Program", name: str, values: Any, by: Any, *bias: Any) -> "Iterator[_Each]":
    """What the block writes is done for each value of three sides of (W, T), whose rows lie some stride apart.

    A function that takes a bias a row has it as its last argument.
    """
    from spectral_search.train.machine_code import F32, I32, I64

    types = values, by, values, I64, I64, I64, I64, I64, I32, F32, *bias
    with program.function(name, *types) as arguments:
        sides, strides, (rows, columns, least, kept, *biases) = arguments[:3], arguments[3:6], arguments[6:]
        with program.loop(rows) as row:
            given_T, by_T, out_T = (side.at(row * stride) for side, stride in zip(sides, strides, strict=True))
            with program.loop(columns) as column:
                yield _Each((given_T, by_T, out_T), column, least, kept, *(bias_W[row] for bias_W in biases))


def write_fill_words(program: "Program") -> None:
    """The function `fill_words`: the next words of a stream, by the address of its state."""
    from spectral_search.train.machine_code import I64, I64_P

    with program.function("fill_words", I64_P, I64_P, I64) as (state, words, count), program.loop(count) as j:
        words[j] = _next_word(state)


def _next_word(state: "Value") -> "Value":
    """A step of the generator SFC64 (C. Doty-Humphrey, PractRand)."""
    from spectral_search.train.machine_code import I64

    a, b, c, counter = (state[state.constant(I64, place)] for place in range(4))
    word = a + b + counter
    new = b ^ b.shifted_right(11), c + (c << 3), ((c << 24) | c.shifted_right(40)) + word, counter + 1
    for place, value in enumerate(new):
        state[state.constant(I64, place)] = value
    return word


_FUNCTIONS = CompiledOnce(_written)

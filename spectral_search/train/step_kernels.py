"""What a step of an MLP consists of, in machine code, and who calls it from a table without Python in between.

Each call of a torch operation takes Python's lock, for which two threads with small networks wait longer than they
compute. A record of a table is the address of a function and its arguments, in words of 64 bits.
All matrices are float32 and stored by rows.
Shape suffixes: T examples of a tile, W width of a layer.
"""

import ctypes
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from spectral_search.train.compiled_program import CompiledOnce
from spectral_search.train.dropout_kernel import write_fill_words

if TYPE_CHECKING:
    from spectral_search.train.machine_code import Program, Value

    Activation = Callable[[Value], tuple[Value, Value]]

RECORD_WORDS = 16
"""Of a record: an address and up to fifteen arguments."""
_ACTIVATIONS = "relu", "gelu", "silu", "elu", "tanh"
_LOSSES = "mse", "huber", "l1"
LANES = 16
"""Sums of squares that are formed side by side."""


def address(name: str) -> int:
    """Where a function lies that takes its arguments from words."""
    program = _APART.get(name.removesuffix("_dropped"), _FUNCTIONS)
    function: int | None = ctypes.cast(program.get()[f"{name}_of_words"], ctypes.c_void_p).value  # type: ignore[arg-type]
    assert function is not None
    return function


def float_word(value: float) -> int:
    """The word of a float argument."""
    return int(np.float32(value).view(np.uint32))


def run(records_NA: np.ndarray) -> None:
    """Carry out records, one after the other; Python's other threads go on meanwhile.

    Args:
        records_NA: int64 of shape (N, RECORD_WORDS), contiguous.
    """
    _FUNCTIONS.get()["run"](records_NA.ctypes.data, len(records_NA))


def _written() -> "Program":
    from spectral_search.train.machine_code import I64, I64_P, Program

    program = Program()
    write_fill_words(program)
    program.of_words("fill_words")
    _write_product(program)
    _write_head(program)
    _write_adamw(program)
    with program.function("run", I64_P, I64) as (table, count), program.loop(count) as index:
        words = table.at(index * RECORD_WORDS)
        program.call(words[words.constant(I64, 0)], words.at(words.constant(I64, 1)))
    return program


def _written_activation(name: str) -> "Program":
    from spectral_search.train.machine_code import Program

    program, activation = Program(), _activations()[name]
    _write_activation(program, name, activation, dropped=False)
    _write_activation(program, f"{name}_dropped", activation, dropped=True)
    return program


def _write_product(program: "Program") -> None:
    """C = A B + beta C, each factor as it is stored or turned (ord of N or T), by the sgemm at an address."""
    from spectral_search.train.machine_code import F32, I32, I64

    types = I64, I32, I32, I32, I32, I32, I64, I32, I64, I32, F32, I64, I32
    with program.function("product", *types) as (sgemm, turn_a, turn_b, m, n, k, a, lda, b, ldb, beta, c, ldc):
        # BLAS stores by columns, where C is turned, and so is the product.
        sizes = turn_b, turn_a, n, m, k, beta.constant(F32, 1.0)
        *first, one = (program.stored(value) for value in sizes)
        rest = b, program.stored(ldb), a, program.stored(lda), program.stored(beta), c, program.stored(ldc)
        program.call(sgemm, *first, one, *rest)
    program.of_words("product")


def _write_head(program: "Program") -> None:
    """The output of a network, what is added to it, and what its gradient is to the layers before."""
    from spectral_search.train.machine_code import F32_P, I64

    with program.function("head", F32_P, F32_P, F32_P, F32_P, I64, I64) as (weight, bias, h, out, rows, columns):
        with program.loop(columns) as j:
            out[j] = bias[bias.constant(I64, 0)]
        with program.loop(rows) as i:
            factor, h_T = weight[i], h.at(i * columns)
            with program.loop(columns) as j:
                out[j] = out[j] + factor * h_T[j]
    with (
        program.function("head_back", F32_P, F32_P, F32_P, I64, I64) as (weight, slope, derivative, rows, columns),
        program.loop(rows) as i,
    ):
        factor, derivative_T = weight[i], derivative.at(i * columns)
        with program.loop(columns) as j:
            derivative_T[j] = derivative_T[j] * (factor * slope[j])
    with program.function("back", F32_P, F32_P, I64) as (gradient, derivative, count), program.loop(count) as j:
        derivative[j] = derivative[j] * gradient[j]
    with program.function("add", F32_P, F32_P, I64) as (total, more, count), program.loop(count) as j:
        total[j] = total[j] + more[j]
    for name in ("head", "head_back", "back", "add"):
        program.of_words(name)


def _written_slope(name: str) -> "Program":
    """The gradient of the mean loss by each output, whose weight is that of an example in the mean."""
    from spectral_search.train.machine_code import F32, F32_P, I64, Program, Value

    def clamped(difference: Value) -> Value:
        return difference.clamped(-1.0, 1.0)

    def signed(difference: Value) -> Value:
        above, below = (difference * sign for sign in (1.0, -1.0))
        one = difference.constant(F32, 1.0)
        return one.or_zero_unless(above.is_positive()) - one.or_zero_unless(below.is_positive())

    slopes: dict[str, Callable[[Value], Value]] = {"mse": lambda x: x * 2.0, "huber": clamped, "l1": signed}
    program, slope, types = Program(), slopes[name], (F32_P, F32_P, F32_P, F32, I64)
    with (
        program.function(f"slope_{name}", *types) as (output, target, slope_T, weight, count),
        program.loop(count) as j,
    ):
        slope_T[j] = slope(output[j] - target[j]) * weight
    program.of_words(f"slope_{name}")
    return program


def _write_adamw(program: "Program") -> None:
    """A step of AdamW (I. Loshchilov and F. Hutter, arXiv:1711.05101), its gradients clipped to a norm."""
    from spectral_search.train.machine_code import F32, F32_P, I64

    with program.function("add_squares", F32_P, I64, F32_P) as (values, count, sums):
        lanes = count.constant(I64, LANES)
        with program.loop(count / lanes) as i:
            of_lane = values.at(i * LANES)
            with program.loop(lanes) as lane:
                sums[lane] = sums[lane] + of_lane[lane] * of_lane[lane]
        whole = count / lanes * lanes
        with program.loop(count - whole) as lane:
            sums[lane] = sums[lane] + values[whole + lane] * values[whole + lane]
    with program.function("clip_factor", F32_P, F32, F32_P) as (sums, largest, factor):
        first, lanes = (sums.constant(I64, number) for number in (0, LANES))
        factor[first] = sums.constant(F32, 0.0)
        with program.loop(lanes) as lane:
            factor[first] = factor[first] + sums[lane]
        # 1e-6 as torch's `clip_grad_norm_`, for a norm of 0; NaN goes on to the weights.
        factor[first] = (largest / (factor[first].sqrt() + 1e-6)).clamped(0.0, 1.0)
    types = F32_P, F32_P, F32_P, F32_P, F32_P, I64, F32_P, *[F32] * 6
    with program.function("adamw", *types) as arguments:
        (weight, grad, mean, square, steps, count, factor), (decay, first, second, size, root, tiny) = (
            arguments[:7],
            arguments[7:],
        )
        start = count.constant(I64, 0)
        steps[start] = steps[start] + 1.0
        clipped_by = factor[start]
        with program.loop(count) as j:
            clipped = grad[j] * clipped_by
            mean[j] = mean[j] + (clipped - mean[j]) * first
            square[j] = square[j] + (clipped * clipped - square[j]) * second
            weight[j] = weight[j] * decay - mean[j] * size / (square[j].sqrt() * root + tiny)
    for name in ("add_squares", "clip_factor", "adamw"):
        program.of_words(name)


def _write_activation(program: "Program", name: str, activation: "Activation", *, dropped: bool) -> None:
    """Of products z and a bias a row: the activation goes to h, its derivative to where z was, both after dropout."""
    from spectral_search.train.machine_code import F32, F32_P, I16_P, I32, I64

    types = F32_P, F32_P, F32_P, I16_P, I64, I64, I64, I32, F32
    with program.function(name, *types) as arguments:
        (z, bias, h, bits), (rows, columns, stride, least, kept) = arguments[:4], arguments[4:]
        with program.loop(rows) as i:
            z_T, h_T, bits_T, of_row = z.at(i * columns), h.at(i * columns), bits.at(i * stride), bias[i]
            with program.loop(columns) as j:
                value, derivative = activation(z_T[j] + of_row)
                if dropped:
                    is_kept = bits_T[j].widened().at_least(least)
                    value, derivative = ((side * kept).or_zero_unless(is_kept) for side in (value, derivative))
                h_T[j], z_T[j] = value, derivative
    program.of_words(name)


def _activations() -> "dict[str, Activation]":
    """Each gives value and derivative."""
    from spectral_search.train.elementary import exp, normal_cdf_and_density
    from spectral_search.train.machine_code import F32

    def relu(x: "Value") -> "tuple[Value, Value]":
        value = x.or_zero_if_negative()
        return value, x.constant(F32, 1.0).or_zero_unless(value.is_positive())

    def gelu(x: "Value") -> "tuple[Value, Value]":
        below, density = normal_cdf_and_density(x)
        return x * below, below + x * density

    def silu(x: "Value") -> "tuple[Value, Value]":
        one = x.constant(F32, 1.0)
        sigmoid = one / (exp(x * -1.0) + 1.0)
        return x * sigmoid, sigmoid * (one + x * (one - sigmoid))

    def elu(x: "Value") -> "tuple[Value, Value]":
        one, power = x.constant(F32, 1.0), exp(x)
        return x.where(x.is_positive(), power - 1.0), one.where(x.is_positive(), power)

    def tanh(x: "Value") -> "tuple[Value, Value]":
        one = x.constant(F32, 1.0)
        value = one - x.constant(F32, 2.0) / (exp(x * 2.0) + 1.0)
        return value, one - value * value

    return {"relu": relu, "gelu": gelu, "silu": silu, "elu": elu, "tanh": tanh}


_FUNCTIONS = CompiledOnce(_written)
# Each by itself, since few processes need more than one.
_APART = {name: CompiledOnce(partial(_written_activation, name)) for name in _ACTIVATIONS}
_APART |= {f"slope_{name}": CompiledOnce(partial(_written_slope, name)) for name in _LOSSES}

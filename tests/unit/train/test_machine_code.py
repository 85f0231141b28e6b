"""Programs give what numpy gives for the same operators."""

import ctypes
from collections.abc import Callable

import numpy as np
import pytest

from spectral_search.train.machine_code import F32, F32_P, I32, I64, I64_P, Program, Value

X_N = np.array([-2.5, -0.0, 0.3, 1.0, 7.25, 1e30, np.inf, np.nan], np.float32)


def mapped(written: Callable[[Value], Value], x_N: np.ndarray) -> np.ndarray:
    """What a program makes of each of some floats."""
    program = Program()
    with program.function("mapped", F32_P, F32_P, I64) as (source, target, count), program.loop(count) as i:
        target[i] = written(source[i])
    out_N = np.full(len(x_N) + 1, 99.0, np.float32)
    program.compiled()["mapped"](x_N.ctypes.data, out_N.ctypes.data, len(x_N))
    assert out_N[-1] == 99.0, "written past the end"
    return out_N[:-1]


@pytest.mark.parametrize("count", [0, 1, 15, 16, 1000])
def test_a_loop_does_each_once(count: int) -> None:
    x_N = np.arange(count, dtype=np.float32)
    np.testing.assert_array_equal(mapped(lambda x: x + 1.0, x_N), x_N + 1)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (lambda x: x - 0.5, lambda x: x - np.float32(0.5)),
        (lambda x: x * x, lambda x: x * x),
        (lambda x: x.sqrt(), np.sqrt),
        (lambda x: x.or_zero_if_negative(), lambda x: np.where(x < 0, np.float32(0), x)),
        (lambda x: x.clamped(-1.0, 0.5), lambda x: np.clip(x, np.float32(-1), np.float32(0.5))),
        (lambda x: (x + 1.0).where(x.is_positive(), x), lambda x: np.where(x <= 0, x, x + np.float32(1))),
        (lambda x: (x.as_bits() ^ 0x80000000).as_float(), lambda x: -x),
        (lambda x: (x.as_bits() & 0x7FFFFFFF).as_float(), np.abs),
        (lambda x: (x.as_bits() | 0x80000000).as_float(), lambda x: -np.abs(x)),
        (lambda x: ((x.as_bits() >> 23) - 127).to_float(), lambda x: (x.view(np.uint32) >> 23).astype("f4") - 127),
        (
            lambda x: ((x.as_bits() << 1) * 3 >> 8).to_float(),
            lambda x: (((x.view(np.uint32) << 1) * 3) >> 8).astype("f4"),
        ),
    ],
)
def test_operators_are_those_of_numpy(written: Callable[[Value], Value], expected: Callable[..., np.ndarray]) -> None:
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(mapped(written, X_N), expected(X_N))


def test_integers_of_64_bits_have_a_sign_and_count_through_nested_loops() -> None:
    program = Program()
    with (
        program.function("table", I64_P, I64, I64, I64) as (out, rows, columns, first),
        program.loop(rows) as r,
        program.loop(columns) as c,
    ):
        out[r * columns + c] = (first + r * 10 + c) >> 1
    out_RC = np.zeros((3, 4), np.int64)
    program.compiled()["table"](out_RC.ctypes.data, 3, 4, -7)
    np.testing.assert_array_equal(out_RC, (-7 + 10 * np.arange(3)[:, None] + np.arange(4)) >> 1)


def test_arguments_are_scalars_too_and_functions_do_not_mix() -> None:
    program = Program()
    with program.function("scaled", F32_P, F32, I32, I64) as (out, factor, bits, row):
        out[row] = factor * (bits ^ row.low_bits()).to_float()
    with program.function("other", F32_P, I64) as (out, row):
        out[row] = out[row] + 1.0
    functions = program.compiled()
    out_N = np.zeros(3, np.float32)
    functions["scaled"](out_N.ctypes.data, 0.5, 9, 2)
    functions["other"](out_N.ctypes.data, 0)
    np.testing.assert_array_equal(out_N, [1.0, 0.0, 0.5 * (9 ^ 2)])


def test_arguments_come_in_words_and_calls_go_by_address() -> None:
    program = Program()
    with program.function("add_scaled", F32_P, F32, I32, I64) as (out, factor, start, count), program.loop(count) as i:
        out[i] = out[i] + factor * start.to_float() / 4.0
    program.of_words("add_scaled")
    with program.function("twice", I64, I64_P) as (function, words), program.loop(words.constant(I64, 7) / 3):
        program.call(function, words)
    functions = program.compiled()
    out_N = np.arange(3, dtype=np.float32)
    words = np.array([out_N.ctypes.data, np.float32(0.5).view(np.uint32), -8, 3], np.int64)
    function = ctypes.cast(functions["add_scaled_of_words"], ctypes.c_void_p).value  # type: ignore[arg-type]
    functions["twice"](function, words.ctypes.data)
    np.testing.assert_array_equal(out_N, np.arange(3) - 2.0)


def test_calls_give_what_the_function_gives() -> None:
    strlen = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p).value
    assert strlen is not None
    program = Program()
    types = I64, I64, I64, I64_P, I64
    with program.function("lengths", *types) as (function, texts, each, out, count), program.loop(count) as i:
        out[i] = program.call(function, texts + i * each, gives=I64)
    texts, out_N = np.array([b"", b"abc", b"ab"], "S4"), np.zeros(3, np.int64)
    program.compiled()["lengths"](strlen, texts.ctypes.data, 4, out_N.ctypes.data, 3)
    np.testing.assert_array_equal(out_N, [0, 3, 2])

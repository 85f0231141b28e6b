"""A task of arrays: what it refuses, and that docs/extending.md shows the one that the tests search."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documented_code import code_of
from tiny_task import Cars

from spectral_search.errors import RequestError
from spectral_search.train.array_task import Arrays, Parts

TESTS = Path(__file__).parents[2]
X_NF, Y_N = np.ones((3, 2)), np.arange(3.0)


class Given(Cars):
    """Cars that are at hand."""

    def __init__(self, **parts: Arrays) -> None:
        self._parts = parts

    def load(self, data: Any) -> Parts:
        return self._parts


def test_the_docs_show_the_task_that_is_searched() -> None:
    shown = code_of("extending.md", "A task", "python")[0].removeprefix("# file: cars.py\n")
    assert shown.strip() == (TESTS / "tiny_task.py").read_text().strip()


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        (Arrays(X_NF[0], Y_N), r"must have features of shape \(N, F\)"),
        (Arrays(X_NF, Y_N[:2]), "must have features of shape"),
        (Arrays(X_NF[:0], Y_N[:0]), "train has no examples"),
        (Arrays(X_NF, np.array([1.0, np.nan, 2.0])), "values that are not finite"),
    ],
)
def test_arrays_that_are_none_are_refused(part: Arrays, fault: str) -> None:
    with pytest.raises(RequestError, match=fault):
        Given(train=part).parts(Cars.data_section())


def test_parts_are_float32_and_contiguous() -> None:
    (part,) = Given(train=Arrays(np.asfortranarray(X_NF), Y_N)).parts(Cars.data_section()).values()
    assert part.x_NF.dtype == part.y_N.dtype == np.float32 and part.x_NF.flags.c_contiguous

"""Seeds as libraries take them, since a spec may have any whole number of 64 bits, and as people name them."""

from spectral_search.errors import RequestError
from spectral_search.spec.base import SEEDS

_MOST = 1000
"""Seeds that are counted: a larger number is a seed, and was meant to be one of a list."""


def numpy_seed(seed: int) -> int:
    """As numpy takes it, which refuses what is below 0."""
    return seed % 2**64


def lightgbm_seed(seed: int) -> int:
    """As LightGBM takes it, which has room for 31 bits."""
    return seed % 2**31


def wanted_seeds(text: str, first: int) -> list[int]:
    """Seeds that a text names: 3 is so many from `first` on, 42,2023 are these two, and 42, is this one.

    Raises:
        RequestError: It names none.
    """
    parts = [part.strip() for part in text.split(",")]
    listed = parts[:-1] if len(parts) > 1 and not parts[-1] else parts
    # isdigit alone takes superscripts, which int() refuses.
    if not all(part.isascii() and part.isdigit() for part in listed):
        raise RequestError(f"--seeds must be how many seeds, such as 3, or which, such as 42,2023, found {text!r}.")
    numbers = [int(part) for part in listed]
    if len(parts) == 1:
        if not 1 <= numbers[0] <= _MOST:
            raise RequestError(
                f"--seeds {text} is not between 1 and {_MOST:,} seeds; write `{numbers[0]},` for the seed itself."
            )
        return [(first + number) % SEEDS for number in range(numbers[0])]
    if twice := sorted({number for number in numbers if numbers.count(number) > 1}):
        raise RequestError(f"--seeds names {', '.join(map(str, twice))} more than once: list each seed once.")
    if large := [number for number in numbers if number >= SEEDS]:
        raise RequestError(f"--seeds names {large[0]}, and the largest seed is {SEEDS - 1:,}.")
    return numbers

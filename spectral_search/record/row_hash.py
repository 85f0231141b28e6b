"""Hashes of examples: 64 bits for each row of an array, and digests of many rows.

What is hashed are the values as delivered, native float32 (bool for the mask), before anything is cleaned or scaled: a
shard that is written again with another storage has the same hashes, and one changed bit gives another. XXH3 is no
cryptographic hash: it tells accidents apart, not forgeries, at the speed of memory.

Shape suffixes: B rows of a block, N examples, L values of each.
"""

from collections.abc import Iterable

import numpy as np
from xxhash import xxh3_64_intdigest, xxh3_128_hexdigest

UNMARKED = np.uint64(0)
"""Hash of a mask that marks nothing, so that such a mask and none at all are the same."""


def row_hashes(values_BL: np.ndarray) -> np.ndarray:
    """Hash of each row, uint64 (B,), of a C-contiguous array."""
    return np.fromiter(map(xxh3_64_intdigest, values_BL), np.uint64, len(values_BL))


def mask_hashes(bad_BL: np.ndarray) -> np.ndarray:
    """Hash of each row of a mask (True = bad), uint64 (B,): `UNMARKED` where nothing is bad."""
    return np.where(bad_BL.any(axis=1), row_hashes(bad_BL), UNMARKED)


def digest_rows(hash_N: np.ndarray) -> str:
    """One digest (hex) of the hashes of rows in their order."""
    return xxh3_128_hexdigest(np.ascontiguousarray(hash_N, "<u8").data)


def digest_array(array: np.ndarray) -> str:
    """One digest (hex) of an array's values, with its type and shape."""
    values = np.ascontiguousarray(array)
    return f"{values.dtype.str} {values.shape} {xxh3_128_hexdigest(values.reshape(-1).view(np.uint8).data)}"


def digest_texts(texts: Iterable[str]) -> str:
    """One digest (hex) of texts in their order."""
    # A path may hold bytes that are no UTF-8, which Python keeps as lone surrogates.
    return xxh3_128_hexdigest("\n".join(texts).encode("utf-8", "surrogateescape"))

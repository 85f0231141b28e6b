"""One file of arrays that is whole or not there: written beside its name, mapped into memory, checked by a checksum.

It is a safetensors file, so that other programs can open it; among its metadata are facts, as JSON, and a checksum of
all the rest. Whoever uses the arrays holds a shared lock on the file for as long as any of them lives: who removes
files tries for the lock first.

    write_array_file(path, {"inputs": input_NL}, {"examples": 3})
    found = open_array_file(path)              # found.arrays["inputs"], found.facts["examples"]
"""

import json
import mmap
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from xxhash import xxh3_128

from spectral_search.places import partial_name, sync_folder
from spectral_search.record.file_lock import take_lock

_ALIGNMENT = 64
# Far above any header: the length in a damaged file is not taken for one and read.
_MOST_HEADER = 1 << 20
_DTYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "U64": "<u8", "BOOL": "|b1"}
_NAMES = {np.dtype(code): name for name, code in _DTYPES.items()}


class DamagedFileError(ValueError):
    """A file is not what was written."""


@dataclass(frozen=True)
class ArrayFile:
    """What a file holds.

    Attributes:
        arrays: By name; they cannot be written to.
        facts: Plain values.
        nbytes: Bytes of the file.
    """

    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]
    nbytes: int


def write_array_file(path: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write a file as a whole and durably; a process that dies on the way leaves at most a file that nobody reads.

    Args:
        path: Its name; an older file of that name is replaced.
        arrays: float32, float64, int64, uint64 or bool.
        facts: Plain values that JSON can hold.

    Raises:
        OSError: It cannot be written.
    """
    # The largest items first, so that each array begins at a multiple of its items' size.
    ordered = dict(sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0])))
    values = [np.ascontiguousarray(array, array.dtype.newbyteorder("<")) for array in ordered.values()]
    laid, offset = {}, 0
    for name, array in zip(ordered, values, strict=True):
        place = [offset, offset + array.nbytes]
        laid[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": place}
        offset = place[1]
    told = json.dumps(dict(facts), sort_keys=True, allow_nan=False)
    content = [array.reshape(-1).view(np.uint8).data for array in values]
    header = {"__metadata__": {"checksum": _checksum(laid, told, content), "facts": told}, **laid}
    temporary = partial_name(path)
    try:
        with open(temporary, "xb") as file:
            # A lock tells it from what a dead process has left.
            _lock(file, waits=True)
            file.write(_with_length(json.dumps(header).encode()))
            for part in content:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            # While the lock is held: a sweep takes an unlocked temporary for one that a dead process has left.
            os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def open_array_file(path: Path) -> ArrayFile:
    """Map a file into memory and check it.

    Raises:
        FileNotFoundError: There is none.
        DamagedFileError: It is not what was written.
        OSError: It cannot be read.
    """
    with open(path, "rb") as file:
        locked = _lock(file, shared=True, waits=True)
        status = os.fstat(file.fileno())
        # It was removed, or replaced, between the opening and the lock: such a file no longer counts to any bound.
        if not status.st_nlink:
            raise FileNotFoundError(f"{path} was removed")
        header, start = _header(file)
        if locked:
            # The map keeps a duplicate of the descriptor and so the lock, until the last array that is made of it goes.
            content: mmap.mmap | bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        else:
            # Where nothing says that the file is used it may be removed, and a map of it be lost.
            file.seek(0)
            content = file.read()
    metadata = header.pop("__metadata__")
    try:
        view = memoryview(content)[start:]
        if metadata["checksum"] != _checksum(header, metadata["facts"], [view]):
            raise DamagedFileError(f"{path} is not what was written")
        arrays = {name: _array(content, start, laid) for name, laid in header.items()}
        return ArrayFile(arrays, dict(json.loads(metadata["facts"])), status.st_size)
    except (KeyError, TypeError, ValueError) as fault:
        raise DamagedFileError(f"{path} is not what was written ({fault})") from None


def read_facts(path: Path) -> dict[str, Any]:
    """The facts of a file, from its header alone, unchecked.

    Raises:
        OSError: It cannot be read.
        DamagedFileError: Its header is none.
    """
    with open(path, "rb") as file:
        header, _ = _header(file)
    try:
        return dict(json.loads(header["__metadata__"]["facts"]))
    except (KeyError, TypeError, ValueError) as fault:
        raise DamagedFileError(f"{path} has no facts ({fault})") from None


@contextmanager
def unused(path: Path) -> Iterator[bool]:
    """Whether nobody uses a file, nor will while the block runs; False also where that cannot be known.

    Raises:
        OSError: It cannot be opened.
    """
    # To write, since NFS gives an exclusive lock on no other descriptor.
    with open(path, "rb+") as file:
        yield _lock(file)


def _lock(file: IO[bytes], **how: bool) -> bool:
    """Whether the lock is held: not where another has it, nor on a file system without locks."""
    try:
        return take_lock(file, **how) == "held"
    except OSError:
        return False


def _with_length(header: bytes) -> bytes:
    # Blanks at the end of a header are within the safetensors format, and align the arrays behind it.
    padded = header + b" " * (-(8 + len(header)) % _ALIGNMENT)
    return len(padded).to_bytes(8, "little") + padded


def _header(file: IO[bytes]) -> tuple[dict[str, Any], int]:
    """The header and where the data begin."""
    length = int.from_bytes(file.read(8), "little")
    if not 0 < length <= _MOST_HEADER:
        raise DamagedFileError(f"{file.name} has no header")
    try:
        header = json.loads(file.read(length))
        if isinstance(header["__metadata__"]["facts"], str):
            return header, 8 + length
    except (KeyError, TypeError, ValueError):
        pass
    raise DamagedFileError(f"{file.name} has no header")


def _array(content: mmap.mmap | bytes, start: int, laid: Mapping[str, Any]) -> np.ndarray:
    begin, end = laid["data_offsets"]
    dtype = np.dtype(_DTYPES[laid["dtype"]])
    if begin == end:
        return np.empty(laid["shape"], dtype)
    flat = np.frombuffer(content, dtype, (end - begin) // dtype.itemsize, start + begin)
    return flat.reshape(laid["shape"])


def _checksum(laid: Mapping[str, Any], facts: str, content: list[memoryview]) -> str:
    told = xxh3_128(json.dumps([laid, facts], sort_keys=True).encode())
    for part in content:
        told.update(part)
    return told.hexdigest()

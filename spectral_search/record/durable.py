"""Durable ways to write and read files of a run.

A reader may look at any moment and a writer may die at any moment, so a file is either replaced as a whole
(`write_atomic`, `replacing`) or grows by whole lines (`append_line`).

One rule holds for a last line that its writer did not finish, or that a power cut damaged: it was never durable.
Whoever reads leaves it out (`parse_lines`), and whoever writes next cuts it off.
"""

import hashlib
import json
import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spectral_search.errors import RequestError
from spectral_search.places import partial_name, sync_folder
from spectral_search.spec.yaml_io import parse_yaml

_BLOCK_BYTES = 1 << 12


def digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    return digest_of(path.read_bytes())


def digest_of(content: bytes | str) -> str:
    """SHA-256 of what a file holds or will hold."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on a clean exit it replaces `path` durably, else it is removed."""
    temporary = partial_name(path)
    try:
        yield temporary
        # The content before the name: were the rename on disk first, a power cut would leave a file without content.
        descriptor = os.open(temporary, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Replace a file as a whole: a reader, or a restart after a power cut, sees the old content or the new."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def plain(value: Any) -> Any:
    """The value as strict JSON can hold it: NaN and infinities become null, numpy scalars Python numbers."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        return plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_text(document: Mapping[str, Any]) -> str:
    """What a JSON file holds; non-finite numbers become null."""
    # Python would write NaN, which is no JSON: strict readers then refuse the whole file.
    return json.dumps(plain(document), indent=2, allow_nan=False) + "\n"


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Replace a JSON file as a whole; non-finite numbers become null."""
    write_atomic(path, json_text(document))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        RequestError: The file is missing, cut short, or holds no JSON object.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as fault:
        raise RequestError(f"{path} cannot be read ({fault.strerror}).") from None
    except ValueError:
        raise RequestError(f"{path} is not valid JSON; it was cut short or edited. Restore it or start anew.") from None
    if not isinstance(document, dict):
        raise RequestError(f"{path} holds a JSON {type(document).__name__}, not an object. Restore it or start anew.")
    return document


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read a file of numpy arrays, as np.savez writes it; pickled objects are refused.

    Raises:
        RequestError: The file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as fault:
        reason = str(fault).splitlines()[0] if str(fault) else "it is empty"
        raise RequestError(f"{path} cannot be read ({reason}); restore it or start anew.") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping by the rules of a spec (1e-3 is a number, `no` is text).

    Raises:
        RequestError: The file is missing, damaged, or holds no mapping.
    """
    try:
        document = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except OSError as fault:
        raise RequestError(f"{path} cannot be read ({fault.strerror}); restore it or start anew.") from None
    except UnicodeDecodeError:
        raise RequestError(f"{path} is not text; it was damaged. Restore it or start anew.") from None
    if document.faults:
        raise RequestError(*(f"{path}: {sentence}" for _, sentence in document.faults))
    if not isinstance(document.value, dict):
        raise RequestError(f"{path} is empty or holds no mapping; restore it or start anew.")
    return document.value


def read_end(path: Path, most: int = 1 << 16) -> str:
    """The end of a text file, at most so many bytes of it; empty where there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""


def append_line(path: Path, line: str | Mapping[str, Any]) -> None:
    """Append one line durably; a mapping is written as JSON with null for non-finite numbers.

    A last line that was never durable is cut off first: one without its newline, and where a mapping is written one
    that is no JSON object. There may be one writer a file, and any number of readers.
    """
    text = line if isinstance(line, str) else json.dumps(plain(line), allow_nan=False)
    if "\n" in text:
        raise ValueError("a line cannot hold a newline")
    is_new = not path.exists()
    with open(path, "a+b") as file:
        size = file.seek(0, os.SEEK_END)
        start, last = _last_line(file, size)
        is_whole = last.endswith(b"\n") and (isinstance(line, str) or _json_object(last) is not None)
        if size and not is_whole:
            # In append mode the write below goes to the end as it is after this cut.
            file.truncate(start)
        file.write(text.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    # Only a new name changes the folder; further lines need no more than the sync of the file.
    if is_new:
        sync_folder(path.parent)


def _last_line(file: BinaryIO, size: int) -> tuple[int, bytes]:
    """Where the last line of a file of such a size begins, and the line."""
    start, line = size, b""
    while start > 0:
        block = min(_BLOCK_BYTES, start)
        start = file.seek(start - block)
        line = file.read(block) + line
        # The newline that ends the line is not the one that ends the line before.
        if (before := line.rfind(b"\n", 0, -1)) >= 0:
            return start + before + 1, line[before + 1 :]
    return 0, line


def _json_object(line: bytes) -> dict[str, Any] | None:
    """What a line holds; None where that is no JSON object."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


class Lines(NamedTuple):
    """Records of a file of JSON lines.

    Attributes:
        records: An object a line.
        cut: Whether a last line that was never durable was left out.
        size: Bytes of the lines before that.
    """

    records: list[dict[str, Any]]
    cut: bool = False
    size: int = 0


def read_lines(path: Path) -> Lines:
    """Read a file of JSON lines that may be growing or whose writer may have died; an absent file has none.

    Raises:
        RequestError: A line other than the last is not a JSON object.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Lines([])
    return parse_lines(content, path)


def parse_lines(content: bytes, path: Path, before: int = 0) -> Lines:
    """Records of JSON lines as a file holds them.

    Args:
        content: The file, or what it grew by.
        path: The file, for what is said of it.
        before: Lines of the file that come before the content.

    Raises:
        RequestError: A line other than the last is not a JSON object.
    """
    *whole, rest = content.split(b"\n")
    records: list[dict[str, Any]] = []
    size = 0
    for number, line in enumerate(whole, start=before + 1):
        record = _json_object(line)
        if record is not None:
            records.append(record)
            size += len(line) + 1
        # A power cut may keep a line's newline and lose what stood before it, where the two lay in different blocks.
        elif number == before + len(whole) and not rest:
            return Lines(records, cut=True, size=size)
        else:
            raise RequestError(f"Line {number} of {path} is not a JSON object; restore the file or remove that line.")
    return Lines(records, cut=bool(rest), size=size)

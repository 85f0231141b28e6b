"""What is known of files that were read before: a small file in the user's cache, so that they need not be read again.

It may be lost, damaged or out of date at any time: an entry is found by all that changes with a file, and what cannot
be read or written is as good as absent.
"""

import json
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from spectral_search.errors import RequestError
from spectral_search.spec import home_folder as home

_FILE = "digests-1.json"
"""The number is raised with every change of what a digest is made of."""
MOST_ENTRIES = 2048
"""Those used last are kept: about 300 bytes each."""


def memo_file() -> Path:
    """Where it lies.

    Raises:
        FileNotFoundError: There is no folder for it.
    """
    try:
        return home.cache_folder() / _FILE
    except RequestError as fault:
        raise FileNotFoundError(str(fault)) from None


class DigestMemo:
    """The file as it was when this was made."""

    def __init__(self) -> None:
        self._entries = _read()

    def recall(self, stamp: str, rows: str) -> dict[str, str]:
        """Digest of each array that is known of some rows of a file; empty where nothing is known.

        Args:
            stamp: Names a file in one state.
            rows: Names the rows.
        """
        known = _mapping(_mapping(_mapping(self._entries.get(stamp)).get("digests")).get(rows))
        return {array: digest for array, digest in known.items() if isinstance(digest, str)}


def remember(news: Mapping[tuple[str, str], Mapping[str, str]]) -> None:
    """Add digests of arrays, by (stamp, rows)."""
    if not news:
        return
    # Read anew, since other processes add to the file; of two that write at once one loses its news, no more.
    entries = _read()
    for (stamp, rows), digests in news.items():
        held = _mapping(_mapping(entries.get(stamp)).get("digests"))
        entries[stamp] = {
            "digests": {**held, rows: {**_mapping(held.get(rows)), **digests}},
            "used": time.time(),
        }
    newest = sorted(entries, key=lambda stamp: _used(entries[stamp]))[-MOST_ENTRIES:]
    # A cache that cannot be written costs time only: what it would have told is read from the data again.
    with suppress(OSError):
        _replace(memo_file(), json.dumps({stamp: entries[stamp] for stamp in newest}))


def _read() -> dict[str, Any]:
    try:
        return _mapping(json.loads(memo_file().read_bytes()))
    except (OSError, ValueError):
        return {}


def _mapping(value: Any) -> dict[str, Any]:
    """A damaged file may hold anything anywhere."""
    return value if isinstance(value, dict) else {}


def _used(entry: Any) -> float:
    used = _mapping(entry).get("used")
    return float(used) if isinstance(used, int | float) else 0.0


def _replace(file: Path, text: str) -> None:
    """As a whole, for other processes read it; not durably, for nothing depends on it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_text(text)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)

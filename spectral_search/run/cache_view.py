"""What the cache holds of what tasks made of their data, as a document and for a terminal."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from spectral_search.record import array_cache, fetched_cache
from spectral_search.record.array_cache import ArrayCache, Entry
from spectral_search.record.fetched_cache import FetchedCache, FetchedEntry
from spectral_search.record.wording import aligned, amount

_AnyEntry = Entry | FetchedEntry


def cache_document(cache: ArrayCache | FetchedCache, removed: Sequence[_AnyEntry] = ()) -> dict[str, Any]:
    """A cache as JSON.

    Args:
        cache: The cache as it is now.
        removed: Entries that were removed before.
    """
    entries = [_entry(entry) for entry in cache.entries()]
    return {
        "folder": str(cache.folder),
        "limit_bytes": cache.limit_bytes,
        "bytes": sum(entry["bytes"] for entry in entries),
        "entries": entries,
        "removed": [entry.name for entry in removed],
        "removed_bytes": sum(entry.nbytes for entry in removed),
    }


def _entry(entry: _AnyEntry) -> dict[str, Any]:
    return {
        **entry.facts,  # whatever its writer said of it
        "name": entry.name,
        "kind": entry.kind,
        "bytes": entry.nbytes,
        "used_at": datetime.fromtimestamp(entry.used_at, UTC).isoformat(timespec="seconds"),
        "in_use": entry.in_use,
    }


def render_cache(document: dict[str, Any]) -> RenderableType:
    """What `service.cache` gives, for a terminal."""
    lines = _lines(document, array_cache.LIMIT_VARIABLE)
    fetched = document["fetched"]
    if fetched["entries"] or fetched["removed"]:
        lines += ["", "fetched from object stores:", *_lines(fetched, fetched_cache.LIMIT_VARIABLE)]
    return Group(*map(Text, lines))


def _lines(document: dict[str, Any], variable: str) -> list[str]:
    """One cache: what was removed, how much there is, and a table of it."""
    lines = []
    if document["removed"]:
        lines.append(f"removed {_entries(len(document['removed']))}, {amount(document['removed_bytes'])}")
    entries, limit = document["entries"], f"{document['limit_bytes'] / 1e9:g} GB"
    lines.append(
        f"{_entries(len(entries))}, {amount(document['bytes'])} of at most {limit} ({variable}), in "
        f"{document['folder']}"
    )
    counts = list(dict.fromkeys(name for entry in entries for name in entry if _is_count(entry, name)))
    rows = [["what", "size", *counts, "last used (UTC)", "", "from"]]
    for entry in entries:
        numbers = [f"{entry[name]:,}" if name in entry else "?" for name in counts]
        used, use = entry["used_at"][:16].replace("T", " "), "in use" if entry["in_use"] else ""
        shards = entry.get("shards") or [entry.get("url") or "?"]
        more = f" and {len(shards) - 1} more" if len(shards) > 1 else ""
        rows.append([entry["kind"], amount(entry["bytes"]), *numbers, used, use, f"{shards[0]}{more}"])
    table = aligned(rows, left=frozenset({0, *range(len(counts) + 2, len(counts) + 5)})) if entries else []
    return [*lines, *table]


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count:,} entries"


def _is_count(entry: dict[str, Any], name: str) -> bool:
    """Whether it is a whole number that the writer of an entry said."""
    return name != "bytes" and type(entry[name]) is int

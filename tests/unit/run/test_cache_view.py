"""The cache is shown by what each writer said of its entries, whatever task it belongs to."""

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from spectral_search.record.array_cache import ArrayCache, key_of
from spectral_search.record.fetched_cache import FetchedCache
from spectral_search.run.cache_view import cache_document, render_cache


@pytest.fixture
def cache(tmp_path: Path) -> ArrayCache:
    """Entries of two tasks, and one that nobody can read."""
    cache = ArrayCache(tmp_path, 10**9)
    array = {"values": np.zeros(3, np.float32)}
    cache.keep("pages", key_of("a"), array, {"texts": 1200, "tokens": 7, "share": 0.5, "shards": ["a.txt", "b.txt"]})
    cache.keep("hills", key_of("b"), array, {"places": 34})
    (tmp_path / f"odd-{key_of('c')}.safetensors").write_bytes(b"no header")
    return cache


def test_an_entry_says_what_its_writer_said(cache: ArrayCache) -> None:
    entries = {entry["kind"]: entry for entry in cache_document(cache)["entries"]}
    assert (entries["pages"]["texts"], entries["pages"]["share"]) == (1200, 0.5)
    assert entries["hills"]["places"] == 34 and "texts" not in entries["hills"]
    assert set(entries["odd"]) == {"name", "kind", "bytes", "used_at", "in_use"}


def test_what_is_counted_has_a_column(cache: ArrayCache, tmp_path: Path) -> None:
    console = Console(width=200)
    with console.capture() as captured:
        fetched = cache_document(FetchedCache(tmp_path / "fetched", 1))
        console.print(render_cache({**cache_document(cache), "fetched": fetched}))
    _, head, *rows = [line.split() for line in captured.get().splitlines()]
    assert set(head) >= {"texts", "tokens", "places"} and "share" not in head and "bytes" not in head
    told = {row[0]: row for row in rows}
    assert {"1,200", "7", "?", "a.txt"} <= set(told["pages"]) and "34" in told["hills"]
    assert told["odd"].count("?") == 4

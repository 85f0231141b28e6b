"""What is kept of data that were fetched, and of what tasks made of their data."""

from typing import Any

from spectral_search.errors import RequestError
from spectral_search.spec import home_folder as home


def cache(*, clear: bool = False) -> dict[str, Any]:
    """What is kept, as plain values: folder, limit_bytes, bytes, entries, removed; the same of fetched data in fetched.

    Args:
        clear: Remove every entry first but those that a process uses.

    Raises:
        RequestError: There is no folder for it, or its bound is no number.
    """
    from spectral_search.record.array_cache import ArrayCache
    from spectral_search.record.fetched_cache import FetchedCache
    from spectral_search.run.cache_view import cache_document

    found = ArrayCache.here()
    if found is None:
        raise RequestError(f"There is no home folder for a cache: set HOME, XDG_CACHE_HOME or {home.CACHE_VARIABLE}.")
    fetched = FetchedCache.here()
    return {
        **cache_document(found, found.clear() if clear else ()),
        "fetched": cache_document(fetched, fetched.clear() if clear else ()),
    }

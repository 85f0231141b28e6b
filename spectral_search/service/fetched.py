"""Data in an object store, fetched before they are read, with what is shown of it."""

from pathlib import Path

from spectral_search.places import given_path, is_store_url
from spectral_search.service.shown import Shown, silent
from spectral_search.spec.data_section import DataSection


def local_data(given: str, what: str, shown: Shown | None = None) -> Path:
    """Where data that somebody named lie on this machine.

    Args:
        given: A path or the URL of an object store.
        what: What gave it, such as "--data".
        shown: Where the progress of a fetch is shown.

    Raises:
        RequestError: It is neither, or the URL cannot be fetched from.
    """
    if not is_store_url(given):
        return given_path(given, what)
    from spectral_search.record.fetched_data import local_path

    return local_path(given, what, (shown or silent()).progress(f"fetching {given.partition('?')[0]} (MB)"))


def fetch_roots(data: DataSection, shown: Shown) -> None:
    """Fetch what a search reads from object stores; its task finds it then.

    Raises:
        RequestError: A URL cannot be fetched from.
    """
    for root in filter(is_store_url, data.roots):
        local_data(root, "data.root", shown)

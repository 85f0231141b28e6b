"""Where data are on this node: the one place where what a spec or an option names becomes a path to read from.

What a URL names is fetched once a node (`fetched_cache`), and is then a folder like any other. Records keep the URL.

    place = local_path("s3://bucket/folder", "--data-root")
"""

import os
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from spectral_search.places import given_path, is_store_url, store_place

# What fetches is imported where there is something to fetch.
if TYPE_CHECKING:
    from spectral_search.record.fetched_cache import Hear, KeptSet, StoredSet

_kept: "dict[str, KeptSet]" = {}
"""What this process reads, by key; it is in use as long as the process lives."""
_asked: "dict[str, StoredSet]" = {}
"""By URL: the data of a process do not change while it runs."""
_guard = Lock()


@dataclass(frozen=True)
class Origin:
    """Where a local file was fetched from, for processes on other nodes.

    Attributes:
        of: The set that it is one of.
        name: Bucket and key of its object.
    """

    of: "StoredSet"
    name: str

    def here(self) -> Path:
        """The file on this node, fetched if its set is not here.

        Raises:
            RequestError: It cannot be fetched, or is another one by now.
        """
        return _kept_here(self.of).folder / self.name


def local_path(text: str | os.PathLike[str], what: str, hear: "Hear" = lambda done, total: None) -> Path:
    """A path with ~ expanded, or where what a URL names lies on this node.

    Args:
        text: A path, or the URL of an object store.
        what: What gave it, such as "--data".
        hear: See `Hear`.

    Raises:
        RequestError: See `given_path`; or the URL cannot be fetched from, or not be kept here.
    """
    if not is_store_url(text):
        return given_path(text, what)
    from spectral_search.record.fetched_cache import StoredSet

    url = os.fspath(text)
    place = store_place(url, what)
    wanted = _asked.get(url) or StoredSet.at(url)
    kept = _kept_here(wanted, hear)
    _asked[url] = wanted
    return kept.folder / place


def origin_of(path: Path) -> Origin | None:
    """Where a file that this process reads was fetched from; None where it was not."""
    for kept in list(_kept.values()):
        if path.is_relative_to(kept.folder):
            return Origin(kept.of, path.relative_to(kept.folder).as_posix())
    return None


def told_path(path: Path) -> str:
    """A path for records: where it was fetched from, if it was."""
    origin = origin_of(path)
    return str(path) if origin is None else f"s3://{origin.name}"


def told_text(text: str) -> str:
    """A text for people, in which files that were fetched are called by their URLs."""
    for kept in list(_kept.values()):
        text = text.replace(f"{kept.folder}{os.sep}", "s3://")
    return text


def _kept_here(wanted: "StoredSet", hear: "Hear" = lambda done, total: None) -> "KeptSet":
    from spectral_search.record.fetched_cache import FetchedCache

    with _guard:
        kept = _kept.get(wanted.key)
        if kept is None:
            kept = _kept[wanted.key] = FetchedCache.here().keep(wanted, hear)
        return kept

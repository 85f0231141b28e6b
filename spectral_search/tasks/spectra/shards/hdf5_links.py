"""Follows links inside an HDF5 file and to others, and says where one leads to nothing."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.hdf5_file import first_line, open_hdf5

DEEPEST = 16
"""Sources that again have sources; HDF5 itself follows as many links."""
_LINKS_PREFIX = "HDF5_EXT_PREFIX"
"""Variable of the environment: further folders of the files that external links lead to."""


class Place(NamedTuple):
    """What messages begin with: the shard, and the name of the array in it."""

    shard: Path
    name: str

    def fault(self, found: str, cure: str) -> RequestError:
        """One sentence: what was found there, and what to do."""
        return RequestError(f"{self.shard}: {self.name} {found}; {cure}.")


def find_node(shard: Path, file: h5py.File, name: str) -> h5py.Group | h5py.Dataset | None:
    """Opens a group or dataset through any links.

    Args:
        shard: The file's path, for messages.
        file: The open file.
        name: Path within the file.

    Returns:
        The node; None when there is nothing of that name.

    Raises:
        RequestError: A link on the way leads to what is missing or cannot be opened, or the node is damaged.
    """
    return find(Place(shard, name), file, name, DEEPEST)


def find(place: Place, node: h5py.Group, name: str, depth: int) -> h5py.Group | h5py.Dataset | None:
    """As `find_node`, from any group and with so many links left to follow."""
    try:
        found = node[name]
    except (KeyError, OSError, RuntimeError):
        found = _walk(place, node, name, depth)
    if isinstance(found, h5py.Dataset):
        try:
            _ = found.dtype
        except (TypeError, ValueError) as error:
            raise place.fault(f"is of a type that cannot be read here ({error})", "write it as float32") from error
    return found if isinstance(found, h5py.Group | h5py.Dataset) else None


def _walk(place: Place, node: h5py.Group, name: str, depth: int) -> Any:
    """Follows a path to where it breaks, and says why; None if there simply is nothing of that name."""
    if depth == 0:
        raise place.fault("is a link that leads back to itself", "replace the link by the dataset it should lead to")
    current: Any = node.file if name.startswith("/") else node
    for part in filter(None, name.split("/")):
        link = current.get(part, getlink=True) if isinstance(current, h5py.Group) else None
        if link is None:
            return None
        if isinstance(link, h5py.ExternalLink):
            _explain_external(place, current, link, depth)
        elif isinstance(link, h5py.SoftLink) and find(place, current, link.path, depth - 1) is None:
            raise place.fault(
                f"is a link to {link.path}, which is not in {name_of(current.file)}",
                "write what it leads to, or remove the link",
            )
        try:
            current = current[part]
        except (KeyError, OSError, RuntimeError) as error:
            raise place.fault(
                f"cannot be opened ({first_line(error)})", "the file is damaged, copy or write it again"
            ) from error
    return current


def _explain_external(place: Place, node: h5py.Group, link: h5py.ExternalLink, depth: int) -> None:
    """Refuses an external link whose file or target is not there; returns if both are."""
    with open_beside(place, "is a link to", link.filename, node.file, _LINKS_PREFIX) as other:
        if find(place, other, link.path, depth - 1) is None:
            raise place.fault(
                f"is a link to {link.path} in {name_of(other)}, which holds no such dataset",
                "put it there, or mend the link",
            )


def open_beside(place: Place, relation: str, name: str, beside: h5py.File, variable: str) -> h5py.File:
    """Opens another file as HDF5 would: the first that is there of those it tries.

    Args:
        place: What refers to it.
        relation: What it is to the place, for messages: "is a link to".
        name: The name under which it is referred to.
        beside: The file that refers to it.
        variable: The variable of the environment in which HDF5 finds further folders.

    Raises:
        RequestError: None is there, or the first cannot be opened.
    """
    tried = list(_candidates(name, beside, variable))
    path = next((path for path in tried if _is_there(path)), None)
    if path is None:
        raise place.fault(f"{relation} {tried[0]}, and that file is missing", "copy it there, or mend the reference")
    try:
        return open_hdf5(path)
    except RequestError as error:
        raise RequestError(f"{place.shard}: {place.name} {relation} {error}") from error


def _is_there(path: Path) -> bool:
    """Whether there is something of that name; also where that may not be looked at, which is then the reason."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _candidates(name: str, beside: h5py.File, variable: str) -> Iterator[Path]:
    """Where HDF5 looks for another file, in its order: H5F_prefix_open_file."""
    if os.path.isabs(name):
        yield Path(name)
        name = os.path.basename(name)
    for prefix in filter(None, os.environ.get(variable, "").split(":")):
        # HDF5 knows ${ORIGIN} everywhere but here.
        yield Path(prefix if variable == _LINKS_PREFIX else expand_origin(prefix, beside), name)
    yield _folder(beside) / name
    yield Path(name)
    yield Path(os.path.realpath(name_of(beside))).parent / name


def expand_origin(prefix: str, file: h5py.File) -> str:
    """Puts a file's folder where HDF5 does: ${ORIGIN} at the start of a folder from the environment."""
    return prefix.replace("${ORIGIN}", str(_folder(file)), 1) if prefix.startswith("${ORIGIN}") else prefix


def _folder(file: h5py.File) -> Path:
    return Path(os.path.abspath(name_of(file))).parent


def name_of(file: h5py.File) -> str:
    """The path under which HDF5 opened a file."""
    return os.fsdecode(file.filename)

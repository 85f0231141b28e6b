"""Makes sure that what a dataset shows is really there, wherever HDF5 resolves it: links, virtual and raw sources.

HDF5 follows links to other files, puts datasets together from other files (virtual datasets) and keeps values in plain
files (external raw files). Of what is missing there it often says nothing and fills in: the fill value for the source
of a virtual dataset, zeros for the rest of a short raw file, the fill value for chunks that were never written. Here
each of these is refused, with the name of the file that is missing.
"""

import math
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from spectral_search.data.hdf5_file import first_line, open_hdf5, why_unreadable
from spectral_search.data.hdf5_filters import refuse_unknown_filters
from spectral_search.data.label_chunks import UNDONE_HERE
from spectral_search.data.packing import refuse_packed
from spectral_search.errors import RequestError

_DEEPEST = 16
"""Sources that again have sources; HDF5 itself follows as many links."""
_VIRTUAL = "is a virtual dataset with"


class _Place(NamedTuple):
    """What messages begin with: the shard, and the name of the array in it."""

    shard: Path
    name: str

    def fault(self, found: str, cure: str) -> RequestError:
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
    return _find(_Place(shard, name), file, name, _DEEPEST)


def check_values(shard: Path, name: str, data: h5py.Dataset) -> None:
    """Makes sure that all sources of a dataset are there, for good: HDF5 keeps those of a virtual one open from here.

    Args:
        shard: Path of the shard, for messages.
        name: The array's name, for messages.
        data: The dataset, to be read through this very object.

    Raises:
        RequestError: A source is missing, cannot be opened, or is too small; it names the source.
    """
    _check(_Place(shard, name), data, _DEEPEST)


def check_columns(shard: Path, name: str, node: h5py.Group | h5py.Dataset) -> None:
    """Makes sure that all labels of a dataset or a group are there, each written whole and as it is meant."""
    if isinstance(node, h5py.Dataset):
        refuse_unknown_filters(shard, name, node, UNDONE_HERE)
        check_values(shard, name, node)
        refuse_unwritten(shard, name, node)
        refuse_packed(shard, name, node)
        return
    for key in node:
        inner = _find(_Place(shard, f"{name}/{key}"), node, key, _DEEPEST)
        if isinstance(inner, h5py.Dataset):
            check_columns(shard, f"{name}/{key}", inner)


def nothing_written(data: h5py.Dataset) -> bool:
    """Whether no value was ever written, and no fill value chosen that could be meant."""
    written, pieces = _pieces_written(data)
    return written == 0 < pieces and not _has_chosen_fill(data)


def refuse_unwritten(shard: Path, name: str, data: h5py.Dataset) -> None:
    """Refuses a dataset of which a part was never written: its writer died, and what HDF5 gives there is made up.

    A fill value that was chosen, and that is a number other than 0, is taken as the value of all when nothing at all
    was written.

    Raises:
        RequestError: It says how much is missing.
    """
    written, pieces = _pieces_written(data)
    if written == pieces or (written == 0 and _has_chosen_fill(data)):
        return
    if written == 0:
        found = "was never written, only made"
    else:
        found = f"was not written to its end: {pieces - written:,} of {pieces:,} chunks are missing{_first_gap(data)}"
    raise _Place(shard, name).fault(
        found, "the process that wrote the file did not finish: write the file again, or only the rows that are there"
    )


def refuse_undefined_fill(shard: Path, name: str, data: h5py.Dataset) -> None:
    """Refuses a dataset whose unwritten values HDF5 would leave as whatever lies in memory."""
    written, pieces = _pieces_written(data)
    plist = data.id.get_create_plist()
    undefined = plist.get_layout() in (h5py.h5d.CHUNKED, h5py.h5d.CONTIGUOUS) and (
        plist.fill_value_defined() == h5py.h5d.FILL_VALUE_UNDEFINED or plist.get_fill_time() == h5py.h5d.FILL_TIME_NEVER
    )
    if written < pieces and undefined:
        raise _Place(shard, name).fault(
            "was not written to its end and has no fill value", "write the values, or make it with a fill value"
        )


def _pieces_written(data: h5py.Dataset) -> tuple[int, int]:
    """Chunks that were written and that there are; a dataset in one piece is one."""
    layout = data.id.get_create_plist().get_layout()
    if not data.size:
        return 0, 0
    if layout == h5py.h5d.CHUNKED:
        grid = [-(-size // chunk) for size, chunk in zip(data.shape, data.chunks, strict=True)]
        return int(data.id.get_num_chunks()), math.prod(grid)
    if layout == h5py.h5d.CONTIGUOUS and not data.external:
        return int(data.id.get_offset() is not None), 1
    return 1, 1


def _has_chosen_fill(data: h5py.Dataset) -> bool:
    if data.id.get_create_plist().fill_value_defined() != h5py.h5d.FILL_VALUE_USER_DEFINED:
        return False
    fill = np.asarray(data.fillvalue)
    return fill.dtype.kind in "iuf" and bool(np.isfinite(fill)) and bool(fill != 0)


def _first_gap(data: h5py.Dataset) -> str:
    """Rows of the first chunk that was never written."""
    there = set()
    data.id.chunk_iter(lambda chunk: there.add(chunk.chunk_offset))
    corners = np.ndindex(*(-(-size // chunk) for size, chunk in zip(data.shape, data.chunks, strict=True)))
    for corner in corners:
        offset = tuple(index * chunk for index, chunk in zip(corner, data.chunks, strict=True))
        if offset not in there:
            return f", the first at rows {offset[0]:,} to {min(offset[0] + data.chunks[0], data.shape[0]) - 1:,}"
    return ""


def _find(place: _Place, node: h5py.Group, name: str, depth: int) -> h5py.Group | h5py.Dataset | None:
    try:
        found = node[name]
    except (KeyError, OSError, RuntimeError) as error:
        _explain(place, node, name, depth, error)
        return None
    if isinstance(found, h5py.Dataset):
        try:
            _ = found.dtype
        except (TypeError, ValueError) as error:
            raise place.fault(f"is of a type that cannot be read here ({error})", "write it as float32") from error
    return found if isinstance(found, h5py.Group | h5py.Dataset) else None


def _explain(place: _Place, node: h5py.Group, name: str, depth: int, error: Exception) -> None:
    """Walks the path to where it breaks; returns if there simply is nothing of that name."""
    if depth == 0:
        raise place.fault("is a link that leads back to itself", "replace the link by the dataset it should lead to")
    current: Any = node.file if name.startswith("/") else node
    for part in filter(None, name.split("/")):
        if not isinstance(current, h5py.Group):
            return
        link = current.get(part, getlink=True)
        if link is None:
            return
        if isinstance(link, h5py.ExternalLink):
            _explain_external(place, current, link, depth)
        elif isinstance(link, h5py.SoftLink) and _find(place, current, link.path, depth - 1) is None:
            raise place.fault(
                f"is a link to {link.path}, which is not in {_name_of(current.file)}",
                "write what it leads to, or remove the link",
            )
        try:
            current = current[part]
        except (KeyError, OSError, RuntimeError) as inner:
            error = inner
            break
    raise place.fault(f"cannot be opened ({first_line(error)})", "the file is damaged, copy or write it again")


def _explain_external(place: _Place, node: h5py.Group, link: h5py.ExternalLink, depth: int) -> None:
    """Refuses an external link whose file or target is not there; returns if both are."""
    with _open_source(place, "is a link to", link.filename, node.file, "HDF5_EXT_PREFIX") as other:
        if _find(place, other, link.path, depth - 1) is None:
            raise place.fault(
                f"is a link to {link.path} in {_name_of(other)}, which holds no such dataset",
                "put it there, or mend the link",
            )


def _check(place: _Place, data: h5py.Dataset, depth: int) -> None:
    if depth == 0:
        raise place.fault("is virtual, and its sources lead back to itself", "write the values into the file")
    if data.external:
        _check_raw_files(place, data)
    elif data.is_virtual:
        _check_sources(place, data, depth)


def _check_raw_files(place: _Place, data: h5py.Dataset) -> None:
    """External raw files are read from their start to the dataset's size; HDF5 takes what is short for zeros."""
    rest = int(data.size) * int(data.id.get_type().get_size())
    prefix = _expand_origin(os.environ.get("HDF5_EXTFILE_PREFIX", ""), data.file)
    for name, offset, size in data.external:
        if rest <= 0:
            return
        path = Path(os.path.join(prefix, os.fsdecode(name)))
        wanted = min(rest, int(size))
        try:
            with path.open("rb") as file:
                there = os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            raise place.fault(
                f"keeps its values in the raw file {path}, which is missing",
                "copy it there (a relative name counts from the working folder), or set HDF5_EXTFILE_PREFIX to its "
                "folder",
            ) from None
        except OSError as error:
            raise RequestError(
                f"{place.shard}: {place.name} keeps its values in the raw file {path}: {why_unreadable(path, error)}"
            ) from error
        if there < offset + wanted:
            raise place.fault(
                f"keeps its values in the raw file {path}, which ends at byte {there:,} of {offset + wanted:,}",
                "copy or write that file again",
            )
        rest -= wanted


def _check_sources(place: _Place, data: h5py.Dataset, depth: int) -> None:
    """Opens every source of a virtual dataset, and lets HDF5 do so while they are open: it keeps them.

    A source that HDF5 cannot open when it comes to read it - gone, locked, one file too many - would be filled in.
    """
    mapped = 0
    files = {".": data.file}
    with ExitStack() as held:
        for vspace, file_name, dataset_name, src_space in data.virtual_sources():
            for number, first, count in _blocks(vspace, data.shape, "%b" in file_name + dataset_name):
                name, target = _numbered(file_name, number), _numbered(dataset_name, number)
                if name not in files:
                    opened = _open_source(place, f"{_VIRTUAL} the source", name, data.file, "HDF5_VDS_PREFIX")
                    files[name] = held.enter_context(opened)
                # HDF5 shares what is open: the source and its own sources stay so once it has read a value of them.
                source = _check_source(place, files[name], target, src_space, count, depth)
                _touch(place, data, first)
                del source
                mapped += count
    if mapped < data.size:
        raise place.fault(
            f"{_VIRTUAL} no source for {data.size - mapped:,} of its {data.size:,} values",
            "write it again with a source for every value",
        )


def _check_source(
    place: _Place, file: h5py.File, target: str, src_space: h5py.h5s.SpaceID, count: int, depth: int
) -> h5py.Dataset:
    """Opens one source in its file; it must hold all that is taken from it."""
    source = _find(place, file, target, depth - 1)
    where = f"{target} in {_name_of(file)}"
    if not isinstance(source, h5py.Dataset):
        raise place.fault(
            f"{_VIRTUAL} the source {where}, which holds no such dataset",
            "put it there, or write the virtual dataset again",
        )
    if not _is_large_enough(src_space, source.shape, count):
        raise place.fault(
            f"{_VIRTUAL} the source {where}, which is too small (shape {source.shape})",
            "write the source or the virtual dataset again",
        )
    inner = _Place(place.shard, f"{place.name} (source {where})")
    refuse_unknown_filters(*inner, source)
    _check(inner, source, depth - 1)
    refuse_unwritten(*inner, source)
    return source


def _touch(place: _Place, data: h5py.Dataset, element: tuple[int, ...]) -> None:
    try:
        data[element]
    except OSError as error:
        raise place.fault(f"cannot be read ({first_line(error)})", "copy or write its source again") from error


def _open_source(place: _Place, relation: str, name: str, beside: h5py.File, variable: str) -> h5py.File:
    """Opens the file that HDF5 would: the first that is there of those it tries."""
    tried = list(_candidates(name, beside, variable))
    path = next((path for path in tried if os.path.lexists(path)), None)
    if path is None:
        raise place.fault(f"{relation} {tried[0]}, and that file is missing", "copy it there, or mend the reference")
    try:
        return open_hdf5(path)
    except RequestError as error:
        raise RequestError(f"{place.shard}: {place.name} {relation} {error}") from error


def _candidates(name: str, beside: h5py.File, variable: str) -> Iterator[Path]:
    """Where HDF5 looks for another file, in its order: H5F_prefix_open_file."""
    if os.path.isabs(name):
        yield Path(name)
        name = os.path.basename(name)
    for prefix in filter(None, os.environ.get(variable, "").split(":")):
        yield Path(_expand_origin(prefix, beside), name)
    yield _folder(beside) / name
    yield Path(name)
    yield Path(os.path.realpath(_name_of(beside))).parent / name


def _expand_origin(prefix: str, file: h5py.File) -> str:
    return prefix.replace("${ORIGIN}", str(_folder(file)), 1) if prefix.startswith("${ORIGIN}") else prefix


def _folder(file: h5py.File) -> Path:
    return Path(os.path.abspath(_name_of(file))).parent


def _name_of(file: h5py.File) -> str:
    return os.fsdecode(file.filename)


def _numbered(pattern: str, number: int | None) -> str:
    """The name of a source that a pattern stands for: %b is its number, %% a percent sign."""
    if number is None:
        return pattern.replace("%%", "%")
    return "%".join(part.replace("%b", str(number)) for part in pattern.split("%%"))


def _blocks(
    vspace: h5py.h5s.SpaceID, shape: tuple[int, ...], numbered: bool
) -> Iterator[tuple[int | None, tuple[int, ...], int]]:
    """Parts of a virtual dataset with one source each: (number in the pattern or None, first element, elements)."""
    if vspace.get_select_type() != h5py.h5s.SEL_HYPERSLABS:
        if vspace.get_select_type() == h5py.h5s.SEL_ALL:
            yield None, (0,) * len(shape), math.prod(shape)
        return
    if not vspace.is_regular_hyperslab():
        corner, _ = vspace.get_select_hyper_blocklist(0, 1)[0]
        yield None, tuple(int(index) for index in corner), int(vspace.get_select_npoints())
        return
    start, stride, count, block = vspace.get_regular_hyperslab()
    reach = [_elements(*each) for each in zip(start, stride, count, block, shape, strict=True)]
    growing = [axis for axis, times in enumerate(count) if times == h5py.h5s.UNLIMITED]
    if not numbered or not growing:
        if math.prod(reach):
            yield None, tuple(map(int, start)), math.prod(reach)
        return
    axis = growing[0]
    others = math.prod(reach[:axis] + reach[axis + 1 :])
    number = 0
    while start[axis] + number * stride[axis] < shape[axis]:
        low = int(start[axis] + number * stride[axis])
        first = tuple(low if each == axis else int(value) for each, value in enumerate(start))
        yield number, first, others * min(int(block[axis]), shape[axis] - low)
        number += 1


def _elements(start: int, stride: int, count: int, block: int, size: int) -> int:
    """Elements along one axis of so many, of blocks that may go on without end."""
    if size <= start:
        return 0
    if block == h5py.h5s.UNLIMITED:
        return int(size - start)
    whole, part = divmod(size - start, stride)
    if count != h5py.h5s.UNLIMITED and whole >= count:
        return int(count * block)
    return int(whole * min(block, stride) + min(part, block))


def _is_large_enough(src_space: h5py.h5s.SpaceID, shape: tuple[int, ...], count: int) -> bool:
    """Whether a source holds all elements that are taken from it: HDF5 fills in those beyond its end."""
    if src_space.get_select_type() == h5py.h5s.SEL_ALL:
        return math.prod(shape) >= count
    if not src_space.is_regular_hyperslab():
        return all(int(last) < size for last, size in zip(src_space.get_select_bounds()[1], shape, strict=True))
    reach = [_elements(*each) for each in zip(*src_space.get_regular_hyperslab(), shape, strict=True)]
    return math.prod(reach) >= count

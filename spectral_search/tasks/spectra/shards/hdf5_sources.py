"""Makes sure that all values of a dataset are there, also where HDF5 takes them from other files.

HDF5 puts datasets together from other files (virtual datasets) and keeps values in plain files (external raw files). Of
what is missing there it often says nothing and fills in: the fill value for the source of a virtual dataset, zeros for
the rest of a short raw file. Here each of these is refused, with the name of the file.
"""

import math
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import h5py

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.hdf5_file import first_line, why_unreadable
from spectral_search.tasks.spectra.shards.hdf5_filters import refuse_unknown_filters
from spectral_search.tasks.spectra.shards.hdf5_links import DEEPEST, Place, expand_origin, find, name_of, open_beside
from spectral_search.tasks.spectra.shards.hdf5_written import refuse_unwritten
from spectral_search.tasks.spectra.shards.label_chunks import UNDONE_HERE
from spectral_search.tasks.spectra.shards.packing import refuse_packed

_VIRTUAL = "is a virtual dataset with"


def check_values(shard: Path, name: str, data: h5py.Dataset) -> None:
    """Makes sure that all sources of a dataset are there, for good: HDF5 keeps those of a virtual one open from here.

    Args:
        shard: Path of the shard, for messages.
        name: The array's name, for messages.
        data: The dataset, to be read through this very object.

    Raises:
        RequestError: A source is missing, cannot be opened, or is too small; it names the source.
    """
    _check(Place(shard, name), data, DEEPEST)


def check_columns(shard: Path, name: str, node: h5py.Group | h5py.Dataset) -> None:
    """Makes sure that all labels of a dataset or a group are there, each written whole and as it is meant."""
    if isinstance(node, h5py.Dataset):
        refuse_unknown_filters(shard, name, node, UNDONE_HERE)
        check_values(shard, name, node)
        refuse_unwritten(shard, name, node)
        refuse_packed(shard, name, node)
        return
    for key in node:
        inner = find(Place(shard, f"{name}/{key}"), node, key, DEEPEST)
        if isinstance(inner, h5py.Dataset):
            check_columns(shard, f"{name}/{key}", inner)


def _check(place: Place, data: h5py.Dataset, depth: int) -> None:
    if depth == 0:
        raise place.fault("is virtual, and its sources lead back to itself", "write the values into the file")
    if data.external:
        _check_raw_files(place, data)
    elif data.is_virtual:
        _check_sources(place, data, depth)


def _check_raw_files(place: Place, data: h5py.Dataset) -> None:
    """External raw files are read from their start to the dataset's size; HDF5 takes what is short for zeros."""
    rest = int(data.size) * int(data.id.get_type().get_size())
    prefix = expand_origin(os.environ.get("HDF5_EXTFILE_PREFIX", ""), data.file)
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


def _check_sources(place: Place, data: h5py.Dataset, depth: int) -> None:
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
                    opened = open_beside(place, f"{_VIRTUAL} the source", name, data.file, "HDF5_VDS_PREFIX")
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
    place: Place, file: h5py.File, target: str, src_space: h5py.h5s.SpaceID, count: int, depth: int
) -> h5py.Dataset:
    """Opens one source in its file; it must hold all that is taken from it."""
    source = find(place, file, target, depth - 1)
    where = f"{target} in {name_of(file)}"
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
    inner = Place(place.shard, f"{place.name} (source {where})")
    refuse_unknown_filters(*inner, source)
    _check(inner, source, depth - 1)
    refuse_unwritten(*inner, source)
    return source


def _touch(place: Place, data: h5py.Dataset, element: tuple[int, ...]) -> None:
    try:
        data[element]
    except OSError as error:
        raise place.fault(f"cannot be read ({first_line(error)})", "copy or write its source again") from error


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

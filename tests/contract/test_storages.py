"""However HDF5 stores an array, and in whatever file, a shard gives what h5py gives, on every fast path."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest

from spectral_search.tasks.spectra.shards.shard import Shard

ROWS, PIXELS = 24, 11
TYPES = (  # of flux, error and noisy, and of the mask
    ("<f4", "<i8"),
    (">f4", ">i2"),
    ("<f8", "bool"),
    (">f8", "|u1"),
    ("<f2", "<f4"),
    ("<i2", "bool"),
    (">u8", "<i8"),
)
RANGES = ((0, ROWS), (0, 0), (0, 1), (3, 17), (ROWS - 1, ROWS), (8, 16))


@dataclass(frozen=True)
class Place:
    """Where one array is to be stored: `value` in a group of a shard, with any other files in its folder."""

    holder: h5py.Group
    folder: Path
    name: str

    def other(self, number: int = 0, **options: object) -> h5py.File:
        """A further file of this array."""
        return h5py.File(self.folder / f"{self.name}_{number}.h5", "w", **options)

    def link(self, path: str, number: int = 0) -> None:
        """Makes the array an external link into a further file."""
        self.holder["value"] = h5py.ExternalLink(f"{self.name}_{number}.h5", path)


def _plain(**options: object) -> Callable[[Place, np.ndarray], None]:
    def store(place: Place, values: np.ndarray) -> None:
        place.holder.create_dataset("value", data=values, **options)

    return store


def _compact(place: Place, values: np.ndarray) -> None:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    kind, space = h5py.h5t.py_create(values.dtype, logical=True), h5py.h5s.create_simple(values.shape)
    h5py.h5d.create(place.holder.id, b"value", kind, space, plist).write(h5py.h5s.ALL, h5py.h5s.ALL, values)


def _linked(**options: object) -> Callable[[Place, np.ndarray], None]:
    def store(place: Place, values: np.ndarray) -> None:
        with place.other(userblock_size=options.get("userblock_size", 0)) as other:
            other["before"] = np.full(1000, 7.0)
            kept = {name: value for name, value in options.items() if name != "userblock_size"}
            other.create_dataset("flux", data=values, **kept)
        place.link("flux")

    return store


def _linked_twice(place: Place, values: np.ndarray) -> None:
    """An external link to a soft link to an external link."""
    with place.other(1) as last:
        last["deep/values"] = values
    with place.other(0) as middle:
        middle["there"] = h5py.ExternalLink(f"{place.name}_1.h5", "deep/values")
        middle["a/b"] = h5py.SoftLink("/there")
    place.link("a/b")


def _soft(place: Place, values: np.ndarray) -> None:
    place.holder.file[f"elsewhere/{place.name}"] = values
    place.holder["value"] = h5py.SoftLink(f"/elsewhere/{place.name}")


def _hard(place: Place, values: np.ndarray) -> None:
    place.holder["same"] = values
    place.holder["value"] = place.holder["same"]


def _virtual(place: Place, values: np.ndarray) -> None:
    """Rows of two files, as shards are joined."""
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    for number, (start, stop) in enumerate([(0, 9), (9, ROWS)]):
        with place.other(number) as other:
            other.create_dataset("flux", data=values[start:stop], chunks=(5, PIXELS) if number else None)
        layout[start:stop] = h5py.VirtualSource(f"{place.name}_{number}.h5", "flux", (stop - start, PIXELS))
    place.holder.create_virtual_dataset("value", layout)


def _virtual_pixels(place: Place, values: np.ndarray) -> None:
    """The even pixels from one part of the same file, the odd ones from another, and rows in reverse order of files."""
    file = place.holder.file
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    for first in (0, 1):
        file[f"parts/{place.name}/{first}"] = np.repeat(values[:, first::2], 2, axis=1)
        source = h5py.VirtualSource(file[f"parts/{place.name}/{first}"])
        layout[:, first::2] = source[:, ::2]
    place.holder.create_virtual_dataset("value", layout)


def _virtual_of_links(place: Place, values: np.ndarray) -> None:
    """A virtual dataset of a virtual dataset of a link to another file."""
    with place.other(2) as last:
        last.create_dataset("flux", data=values, chunks=(5, PIXELS), compression="gzip")
    with place.other(1) as middle:
        middle["link"] = h5py.ExternalLink(f"{place.name}_2.h5", "flux")
        inner = h5py.VirtualLayout(values.shape, values.dtype)
        inner[:] = h5py.VirtualSource(".", "link", values.shape)
        middle.create_virtual_dataset("inner", inner)
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[:] = h5py.VirtualSource(f"{place.name}_1.h5", "inner", values.shape)
    place.holder.create_virtual_dataset("value", layout)


def _virtual_numbered(place: Place, values: np.ndarray) -> None:
    """As many sources as there are, by a pattern of their names."""
    height = 8
    for number in range(ROWS // height):
        with place.other(number) as other:
            other["flux"] = values[number * height : (number + 1) * height]
    _create_growing(place, values, (height, PIXELS), height, f"{place.name}_%b.h5")


def _virtual_growing(place: Place, values: np.ndarray) -> None:
    """One source that may grow."""
    with place.other() as other:
        other.create_dataset("flux", data=values, maxshape=(None, PIXELS), chunks=(5, PIXELS))
    _create_growing(place, values, (h5py.h5s.UNLIMITED, PIXELS), None, f"{place.name}_0.h5")


def _create_growing(
    place: Place, values: np.ndarray, block: tuple[int, int], height: int | None, file_name: str
) -> None:
    space = h5py.h5s.create_simple(values.shape, (h5py.h5s.UNLIMITED, PIXELS))
    source = h5py.h5s.create_simple((height or ROWS, PIXELS), (height or h5py.h5s.UNLIMITED, PIXELS))
    if height is None:
        space.select_hyperslab((0, 0), (1, 1), (1, 1), block)
        source.select_hyperslab((0, 0), (1, 1), (1, 1), block)
    else:
        space.select_hyperslab((0, 0), (h5py.h5s.UNLIMITED, 1), (height, 1), block)
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_virtual(space, file_name.encode(), b"flux", source)
    kind = h5py.h5t.py_create(values.dtype, logical=True)
    h5py.h5d.create(place.holder.id, b"value", kind, space, plist)


def _raw(place: Place, values: np.ndarray) -> None:
    """Values in two plain files, in the second after a header."""
    data, cut = values.tobytes(), 9 * PIXELS * values.itemsize + 1
    first, second = (place.folder / f"{place.name}_{number}.raw" for number in range(2))
    first.write_bytes(data[:cut])
    second.write_bytes(b"header" + data[cut:])
    files = [(str(first), 0, cut), (str(second), 6, h5py.h5f.UNLIMITED)]
    place.holder.create_dataset("value", values.shape, values.dtype, external=files)


def _filled(place: Place, values: np.ndarray) -> None:
    """Never written, with a chosen fill value."""
    place.holder.create_dataset("value", values.shape, values.dtype, fillvalue=True if values.dtype == bool else 3)


def _filled_chunks(place: Place, values: np.ndarray) -> None:
    fill = True if values.dtype == bool else 3
    place.holder.create_dataset("value", values.shape, values.dtype, fillvalue=fill, chunks=(5, PIXELS))


STORAGES: dict[str, Callable[[Place, np.ndarray], None]] = {
    "contiguous": _plain(),
    "chunked": _plain(chunks=(5, PIXELS)),
    "chunked across pixels": _plain(chunks=(4, 5)),
    "one chunk, larger than the data": _plain(chunks=(64, PIXELS), maxshape=(None, PIXELS)),
    "one row a chunk": _plain(chunks=(1, PIXELS)),
    "growing": _plain(maxshape=(None, None)),
    "compact": _compact,
    "gzip": _plain(chunks=(5, PIXELS), compression="gzip"),
    "gzip, shuffle": _plain(chunks=(5, PIXELS), compression="gzip", shuffle=True),
    "lzf": _plain(chunks=(5, PIXELS), compression="lzf"),
    "checksums": _plain(chunks=(5, PIXELS), fletcher32=True),
    "a soft link": _soft,
    "a hard link": _hard,
    "an external link, contiguous": _linked(),
    "an external link, chunked": _linked(chunks=(5, PIXELS)),
    "an external link, gzip": _linked(chunks=(5, PIXELS), compression="gzip"),
    "an external link, user block": _linked(userblock_size=1024),
    "an external link to links": _linked_twice,
    "virtual, of two files": _virtual,
    "virtual, of pixels of the same file": _virtual_pixels,
    "virtual, of virtual, of links": _virtual_of_links,
    "virtual, numbered files": _virtual_numbered,
    "virtual, of a growing file": _virtual_growing,
    "raw files": _raw,
    "filled": _filled,
    "filled, chunks": _filled_chunks,
}
FILLED = ("filled", "filled, chunks")


def write_shard(path: Path, storage: str, dtype: str, mask: str = "<i8", **options: object) -> dict[str, np.ndarray]:
    """Writes a shard with all four arrays in one storage; returns what was stored, by name."""
    rng = np.random.default_rng(1)
    arrays = {name: rng.integers(1, 200, (ROWS, PIXELS)).astype(dtype) for name in ("flux", "error", "noisy")}
    arrays["mask"] = (rng.random((ROWS, PIXELS)) < 0.3).astype(mask)
    with h5py.File(path, "w", **options) as file:
        file["params_come_later"] = np.arange(100.0)
        file["dataset/params/log_g"] = np.linspace(1.0, 5.0, ROWS)
        for name, values in arrays.items():
            holder = file.create_group(f"dataset/arrays/{name}")
            STORAGES[storage](Place(holder, path.parent, name), values)
    return arrays


def expected(path: Path) -> dict[str, np.ndarray]:
    """What h5py gives, as the types that a shard gives."""
    with h5py.File(path) as file:
        plain = {name: file[f"dataset/arrays/{name}/value"][...] for name in ("flux", "error", "noisy", "mask")}
    return {
        name: values != (values.dtype == bool) if name == "mask" else values.astype(np.float32)
        for name, values in plain.items()
    }


def assert_read_as_h5py_does(path: Path) -> None:
    """Several row ranges, into fresh memory and into memory that holds other values."""
    known = expected(path)
    out = {name: np.full_like(values, 99) for name, values in known.items()}
    with Shard.open(path) as shard:
        for start, stop in RANGES:
            for buffers in (None, out):
                read = shard.read(start, stop, tuple(known), out=buffers)
                for name, values in known.items():
                    assert read[name].dtype == values.dtype and read[name].dtype.isnative
                    np.testing.assert_array_equal(read[name], values[start:stop], err_msg=f"{name} {start}:{stop}")


@pytest.mark.parametrize(("dtype", "mask"), TYPES)
@pytest.mark.parametrize("storage", STORAGES)
def test_every_storage_gives_what_h5py_gives(storage: str, dtype: str, mask: str, tmp_path: Path) -> None:
    stored = write_shard(tmp_path / "dataset.h5", storage, dtype, mask)
    if storage not in FILLED:  # h5py itself must have found the values, else nothing is compared
        np.testing.assert_array_equal(expected(tmp_path / "dataset.h5")["flux"], stored["flux"].astype(np.float32))
    assert_read_as_h5py_does(tmp_path / "dataset.h5")


@pytest.mark.parametrize("options", [{"userblock_size": 512}, {"libver": "latest", "fs_strategy": "page"}], ids=str)
@pytest.mark.parametrize("storage", STORAGES)
def test_every_storage_in_files_of_other_make(storage: str, options: dict[str, object], tmp_path: Path) -> None:
    write_shard(tmp_path / "dataset.h5", storage, "<f4", **options)
    assert_read_as_h5py_does(tmp_path / "dataset.h5")


@pytest.mark.parametrize("storage", STORAGES)
def test_from_another_working_folder_and_through_a_symbolic_link(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    write_shard(tmp_path / "data" / "dataset.h5", storage, "<f4")
    (tmp_path / "linked.h5").symlink_to(tmp_path / "data" / "dataset.h5")
    monkeypatch.chdir(tmp_path)
    assert_read_as_h5py_does(Path("data/dataset.h5"))
    assert_read_as_h5py_does(Path("linked.h5"))


def test_many_shards_open_at_once_leave_no_file_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number, storage in enumerate(STORAGES):
        (tmp_path / str(number)).mkdir()
        write_shard(tmp_path / str(number) / "dataset.h5", storage, "<f4")
    shards = [Shard.open(tmp_path / str(number) / "dataset.h5") for number in range(len(STORAGES))]
    for number, shard in enumerate(shards):
        read = shard.read(0, ROWS, ("flux", "mask"))
        np.testing.assert_array_equal(read["flux"], expected(tmp_path / str(number) / "dataset.h5")["flux"])
    for shard in shards:
        shard.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("storage", [name for name in STORAGES if "external" in name or "virtual" in name])
def test_shards_that_share_a_file_are_closed_one_by_one(storage: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first.h5", tmp_path / "second.h5"
    write_shard(first, storage, "<f4")
    write_shard(second, storage, "<f4")  # writes the other files again, with the same values
    known = expected(first)
    one, two = Shard.open(first), Shard.open(second)
    read = [shard.read(0, ROWS, ("flux", "mask")) for shard in (one, two)]
    one.close()
    with h5py.File(tmp_path / "flux_0.h5") if (tmp_path / "flux_0.h5").exists() else h5py.File(first):
        read.append(two.read(0, ROWS, ("flux", "mask")))
    read.append(two.read(0, ROWS, ("flux", "mask")))
    two.close()
    for arrays in read:
        np.testing.assert_array_equal(arrays["flux"], known["flux"])
        np.testing.assert_array_equal(arrays["mask"], known["mask"])


def test_a_shard_that_is_closed_reads_nothing(tmp_path: Path) -> None:
    for storage in ("contiguous", "chunked", "an external link, contiguous"):
        write_shard(tmp_path / "dataset.h5", storage, "<f4")
        shard = Shard.open(tmp_path / "dataset.h5")
        shard.close()
        with pytest.raises(ValueError):
            shard.read(0, ROWS)

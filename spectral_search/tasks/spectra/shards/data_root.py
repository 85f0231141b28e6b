"""A data root: which shards there are, and whether they belong together. Headers only, no spectra.

Shape suffixes: L pixels.
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spectral_search.errors import RequestError
from spectral_search.places import require_text
from spectral_search.record.fetched_data import Origin, local_path, origin_of
from spectral_search.record.row_hash import digest_texts
from spectral_search.tasks.spectra.shards.hdf5_file import open_hdf5
from spectral_search.tasks.spectra.shards.shard import ARRAYS, Shard
from spectral_search.tasks.spectra.shards.wavelength_grids import Grid, grid_faults
from spectral_search.tasks.spectra.shards.wavelengths import Wavelengths

SHARD_FILE = "dataset.h5"
_PARTS = ("train", "val", "test")
_SUFFIXES = (".h5", ".hdf5")
_LISTED_NAMES = 12
_STORED_KEYS = ("dtype", "byte_order", "shape", "chunks", "compression", "compression_level", "shuffle", "bytes")
"""Of `Shard.storage`, what a shard's layout is. Fixed, as are the eight rows of `sampled_sha256`: records hold it."""
_SAMPLED_ROWS = 8


@dataclass(frozen=True)
class ShardInfo:
    """What the header of one shard says.

    Attributes:
        path: Absolute path.
        name: Path below its data root, the same wherever the root lies: `train_200k_0/dataset.h5`.
        spectra: Number of spectra N.
        pixels: Pixels L of each.
        chunk_rows: Spectra that are read together at no extra cost.
        has_noisy: Whether spectra with the noise already added are there.
        has_mask: Whether a mask is there.
        is_compressed: Whether flux or error has to be decompressed.
        columns: Names of the params columns.
        bytes: Size of the file.
        mtime_ns: When the file was last written, ns since the epoch; None where that tells nothing of its spectra,
            since they lie in other files.
        layout: Digest of how its arrays are stored.
        stamp: Digest of what changes on this machine when the file does; None with `mtime_ns`.
        origin: Where it was fetched from, so that a reader on another node has it too; None where it was not.
    """

    path: Path
    name: str
    spectra: int
    pixels: int
    chunk_rows: int
    has_noisy: bool
    has_mask: bool
    is_compressed: bool
    columns: tuple[str, ...]
    bytes: int
    mtime_ns: int | None = None
    layout: str = ""
    stamp: str | None = None
    origin: Origin | None = None

    def open(self, *, need_labels: bool = False) -> Shard:
        """The shard, on whichever node this is.

        Args:
            need_labels: Whether a shard without log_g is a fault.

        Raises:
            RequestError: It cannot be opened, or not be fetched to this node.
        """
        path = self.path if self.origin is None or self.path.exists() else self.origin.here()
        return Shard.open(path, need_labels=need_labels)


@dataclass(frozen=True)
class DataRoot:
    """The shards of one or several data roots, which agree on pixels and wavelength.

    Attributes:
        train: Shards in folders train*.
        val: Shards in folders val*.
        test: Shards in folders test*.
        pixels: Pixels L of every spectrum.
        wave_angstrom_L: Wavelength of each pixel (float64); None when no shard says.
    """

    train: list[ShardInfo]
    val: list[ShardInfo]
    test: list[ShardInfo]
    pixels: int
    wave_angstrom_L: np.ndarray | None = field(repr=False)

    @classmethod
    def find(
        cls, roots: Sequence[str | Path] | str | Path, *, need_train: bool = True, need_labels: bool = True
    ) -> "DataRoot":
        """Finds the shards of data roots and checks that they belong together.

        Args:
            roots: Folders that hold train*/dataset.h5, optionally val*/ and test*/; a single shard's folder; or an
                .h5 file. Globs are expanded. A lone file trains whatever its folder is called.
            need_train: Whether a root without training spectra is a fault.
            need_labels: Whether a shard without log_g is a fault.

        Raises:
            RequestError: All faults at once: no such root, nothing to train on, files that are no shards, shards
                that disagree on pixels or wavelength.
        """
        faults: list[str] = []
        found = _find_files([roots] if isinstance(roots, str | Path) else roots, faults)
        infos: dict[str, list[ShardInfo]] = {part: [] for part in _PARTS}
        grids: dict[str, Grid] = {}
        for part, name, path in found:
            try:
                info, grids[name] = _read_header(require_text(path), name, need_labels)
            except RequestError as error:
                faults += error.faults
                continue
            infos[part].append(info)
        shards = [info for part in _PARTS for info in infos[part]]
        faults += grid_faults([grids[shard.name] for shard in shards])  # train before val before test
        if need_train and found and not any(part == "train" for part, _, _ in found):
            faults.append(
                f"There is nothing to train on: only {', '.join(name for _, name, _ in found)} were found, and no "
                f"train*/{SHARD_FILE}."
            )
        if faults:
            raise RequestError(*faults)
        return cls(**infos, pixels=shards[0].pixels, wave_angstrom_L=_first_wave(grids[shard.name] for shard in shards))

    @property
    def shards(self) -> list[ShardInfo]:
        """Every shard, train before val before test."""
        return [*self.train, *self.val, *self.test]

    def fingerprint(self) -> dict[str, dict[str, Any]]:
        """Says which data this is as far as that can be known without reading spectra, wherever the root lies.

        Shards of the same size, time of writing, layout and labels are taken as unchanged; others need not be other
        spectra, since files are moved, touched and written again: `content` compares them byte by byte.

        Returns:
            By relative name: spectra, pixels, bytes, mtime_ns (see `ShardInfo`), layout, and labels (sha256 of the
            whole params table and the wavelengths).
        """
        return {
            shard.name: {
                "spectra": shard.spectra,
                "pixels": shard.pixels,
                "bytes": shard.bytes,
                "mtime_ns": shard.mtime_ns,
                "layout": shard.layout,
                "labels": _labels_sha256(shard),
            }
            for shard in self.shards
        }


def is_there(path: Path) -> bool:
    """Whether a folder has an entry of that name, even one that cannot be opened: left out, it would not be missed."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError:  # the folder may not be looked into, which opening the shard tells
        return True
    return True


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that puts train_2 before train_10."""
    pieces = re.split(r"(\d+)", str(path))
    return [(0, int(piece), "") if piece.isdigit() else (1, 0, piece) for piece in pieces if piece]


def _expand(root: str | Path) -> list[Path]:
    """Expands ~ and globs; a path that exists as written is never taken for a pattern."""
    path = local_path(root, "The data root")
    if path.exists():
        return [path.resolve()]
    # Path.glob takes no absolute pattern, and a root usually is one: it is taken apart at its anchor.
    absolute = path.absolute()
    matches = Path(absolute.anchor).glob(str(absolute.relative_to(absolute.anchor)))
    return sorted({match.resolve() for match in matches}, key=_natural)


def _find_files(roots: Sequence[str | Path], faults: list[str]) -> list[tuple[str, str, Path]]:
    """Lists (part, relative name, path) of every shard file, each once."""
    found: list[tuple[str, Path, Path]] = []
    seen: set[Path] = set()
    if not roots:
        faults.append("No data root was given; give --data-root DIR or set DATA_ROOT.")
    given: list[Path] = []
    for root in roots:
        try:
            places = _expand(root)
            if not places:
                what = "file" if str(root).endswith(_SUFFIXES) else "data root"
                faults.append(f"There is no {what} {root}; give a folder that holds train*/{SHARD_FILE}.")
            for place in places:
                fresh = [entry for entry in _files_of(place, faults) if entry[2] not in seen]
                seen.update(path for _, _, path in fresh)
                found += fresh
            given += places
        except OSError as error:
            faults.append(f"The data root {root} cannot be read ({error.strerror}); give a folder that can be.")
    if len(found) == 1 and found[0][2] in given:
        found = [("train", *found[0][1:])]
    return _named(found)


def _files_of(place: Path, faults: list[str]) -> list[tuple[str, Path, Path]]:
    """Lists (part, root folder, path) of the shards that one existing path stands for."""
    if place.is_file():
        if place.suffix not in _SUFFIXES:
            faults.append(f"{place} is neither a folder nor an .h5 file; give a folder that holds train*/{SHARD_FILE}.")
            return []
        return [(_part_of(place.parent.name) or "train", place.parent.parent, place)]
    if is_there(place / SHARD_FILE):
        return [(_part_of(place.name) or "train", place.parent, place / SHARD_FILE)]
    entries = sorted(place.iterdir(), key=_natural)
    shards = [
        (part, place, entry / SHARD_FILE)
        for entry in entries
        if (part := _part_of(entry.name)) and is_there(entry / SHARD_FILE)
    ]
    if not shards:
        names = [entry.name + ("/" if entry.is_dir() else "") for entry in entries]
        listed = ", ".join(names[:_LISTED_NAMES]) + (f" and {len(names) - _LISTED_NAMES} more" * (len(names) > 12))
        faults.append(f"The data root {place} holds no train*/{SHARD_FILE}; it holds {listed or 'nothing'}.")
    return shards


def _part_of(folder: str) -> str | None:
    return next((part for part in _PARTS if folder.startswith(part)), None)


def _named(found: list[tuple[str, Path, Path]]) -> list[tuple[str, str, Path]]:
    """Names each file below its root; roots that hold files of the same name are told apart by their own name."""
    times = Counter(path.relative_to(base) for _, base, path in found)
    bases = list(dict.fromkeys(base for _, base, _ in found))
    same_folder = len({base.name for base in bases}) < len(bases)

    def name(base: Path, path: Path) -> str:
        relative = path.relative_to(base)
        if times[relative] == 1:
            return relative.as_posix()
        prefix = f"{bases.index(base)}-{base.name}" if same_folder else base.name
        return f"{prefix}/{relative.as_posix()}"

    return [(part, name(base, path), path) for part, base, path in found]


def _read_header(path: Path, name: str, need_labels: bool) -> tuple[ShardInfo, Grid]:
    with Shard.open(path, need_labels=need_labels) as shard:
        status = path.stat()
        mtime_ns = None if _lies_elsewhere(path) else status.st_mtime_ns
        layout = _layout(shard)
        # The time of a change can be set back, that of the change of its times cannot.
        state = (os.fspath(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, layout)
        info = ShardInfo(
            path=path,
            name=name,
            spectra=shard.spectra,
            pixels=shard.pixels,
            chunk_rows=shard.chunk_rows,
            has_noisy=shard.has_noisy,
            has_mask=shard.has_mask,
            is_compressed=any(shard.storage[name]["compression"] is not None for name in ("flux", "error")),
            columns=tuple(shard.columns),
            bytes=status.st_size,
            mtime_ns=mtime_ns,
            layout=layout,
            stamp=None if mtime_ns is None else digest_texts(map(str, state)),
            origin=origin_of(path),
        )
        return info, Grid.of(shard, name)


def _first_wave(grids: Iterable[Grid]) -> np.ndarray | None:
    waves = (grid.wave.centres_angstrom_L for grid in grids)
    return next((wave_L for wave_L in waves if wave_L is not None), None)


def shard_waves(shards: Iterable[ShardInfo]) -> dict[str, Wavelengths]:
    """Wavelengths by the shard's name; of those that say."""
    found = {}
    for info in shards:
        with info.open() as shard:
            if shard.wave.centres_angstrom_L is not None:
                found[info.name] = shard.wave
    return found


def _lies_elsewhere(path: Path) -> bool:
    """Whether spectra of a shard lie in other files, whose changes its own time of writing does not tell."""
    with open_hdf5(path) as file:
        for name in ARRAYS:
            array = file.get(f"dataset/arrays/{name}/value", file.get(f"dataset/arrays/{name}"))
            if isinstance(array, h5py.Dataset) and (
                array.file.filename != file.filename or array.is_virtual or array.external
            ):
                return True
    return False


def _layout(shard: Shard) -> str:
    return digest_texts(f"{name} {facts}" for name, facts in sorted(_stored(shard).items()))


def _stored(shard: Shard) -> dict[str, dict[str, Any]]:
    """What is recorded of how arrays are stored: these keys in this order."""
    return {name: {key: facts[key] for key in _STORED_KEYS} for name, facts in shard.storage.items()}


def _labels_sha256(info: ShardInfo) -> str:
    """Hashes the whole params table and the wavelengths."""
    content = hashlib.sha256()
    with info.open() as shard:
        _hash_labels(content, shard)
        if (ids_N := shard.ids()) is not None:
            content.update("\n".join(map(str, ids_N.tolist())).encode())
    return content.hexdigest()


def _hash_labels(content: "hashlib._Hash", shard: Shard) -> None:
    if shard.wave_angstrom_L is not None:
        content.update(np.ascontiguousarray(shard.wave_angstrom_L, dtype="<f8").tobytes())
    if not shard.columns:
        return
    params = shard.params()
    for column in params.columns:
        values_N = params[column].to_numpy()
        plain = values_N.dtype.kind in "biuf"
        content.update(f"{column}:{values_N.dtype.kind}:".encode())
        content.update(
            values_N.astype(values_N.dtype.newbyteorder("<")).tobytes()
            if plain
            else "\n".join(map(str, values_N)).encode()
        )


def sampled_sha256(info: ShardInfo) -> str:
    """What runs of earlier versions recorded of a shard: its header, its params table and eight of its spectra."""
    content = hashlib.sha256()
    with info.open(need_labels=True) as shard:
        content.update(repr((shard.spectra, shard.pixels, shard.has_noisy, shard.has_mask)).encode())
        content.update(repr(sorted((name, str(facts)) for name, facts in _stored(shard).items())).encode())
        _hash_labels(content, shard)
        for row in np.unique(np.linspace(0, shard.spectra - 1, _SAMPLED_ROWS).astype(np.int64)):
            for array in shard.read(int(row), int(row) + 1, ("flux", "error")).values():
                content.update(array.astype("<f4").tobytes())
    return content.hexdigest()

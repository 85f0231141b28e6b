"""Tables of readings in the formats that they come in, read without unpickling anything.

Readings are CSV (with or without a line of names and a column of times, compressed as pandas knows it), .npz (an array
`values`, or the only two-dimensional one; `times`, `sensors` and `adjacency` beside it) or HDF5 as pandas writes a
frame with `to_hdf` in the fixed format, which METR-LA comes in. An adjacency is a square CSV or .npz.
Shape suffixes: T steps of time, S sensors.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from spectral_search.errors import RequestError
from spectral_search.record.fetched_data import local_path
from spectral_search.tasks.traffic.readings import MONDAY, Readings
from spectral_search.tasks.traffic.section import TrafficData

_HDF5 = (".h5", ".hdf5", ".hdf")
_KINDS = "a table of readings is .csv (also .csv.gz, .csv.xz), .npz or .h5"
_SHOWN = 3


@dataclass(frozen=True)
class _Table:
    """What a file holds, before it is checked."""

    values_TS: np.ndarray
    times_T: np.ndarray | None = None
    sensors: tuple[str, ...] | None = None
    adjacency_SS: np.ndarray | None = None


def read_traffic(data: TrafficData) -> Readings:
    """The readings that a data section names.

    Raises:
        RequestError: They are not there, or are none; a sentence a fault.
    """
    if len(data.roots) != 1:
        raise RequestError(f"One table of readings is needed and {len(data.roots)} are named: give one --data-root.")
    path = local_path(data.roots[0], "data.root")
    table = _read(path, data.header)
    values_TS = _numbers(path, table.values_TS)
    missing_TS = ~np.isfinite(values_TS)
    if data.missing is not None:
        # Compared in float32, in which the readings are: 0.1 there is not the 0.1 of a Python float.
        missing_TS |= values_TS == np.float32(data.missing)
    if missing_TS.all():
        stand = "" if data.missing is None else f" or {data.missing:g}, which data.missing says stands for none"
        raise RequestError(f"{path}: all readings are missing (empty{stand}): give other data, or set data.missing.")
    values_TS[missing_TS] = np.nan
    start, step = _clock(path, table.times_T, data)
    sensors = table.sensors or tuple(str(place) for place in range(values_TS.shape[1]))
    adjacency_SS = table.adjacency_SS
    if data.adjacency is not None:
        path = local_path(data.adjacency, "data.adjacency")
        adjacency_SS = _read(path, data.header, square=True).values_TS
    if adjacency_SS is not None:
        adjacency_SS = _adjacency(path, adjacency_SS, len(sensors))
    timed = table.times_T is not None or data.start is not None
    return Readings(values_TS, sensors, start, step, adjacency_SS, timed)


def _read(path: Path, header: str, square: bool = False) -> _Table:
    if not path.is_file():
        what = "adjacency" if square else "table of readings"
        raise RequestError(f"{path} is no {what}: give the path of a file.")
    try:
        if path.suffix == ".npz":
            return _npz(path, square)
        if path.suffix in _HDF5 and not square:
            return _hdf5(path)
        if ".csv" in path.suffixes[-2:] or ".txt" in path.suffixes[-2:]:
            return _csv(path, header, square)
    except (OSError, EOFError, zipfile.BadZipFile, UnicodeDecodeError, pd.errors.ParserError) as fault:
        raise RequestError(f"{path} cannot be read ({_reason(fault)}): restore it.") from None
    except pd.errors.EmptyDataError:
        raise RequestError(f"{path} is empty.") from None
    raise RequestError(f"{path} is of no kind that is known: {_KINDS}.")


def _reason(fault: Exception) -> str:
    return str(fault).splitlines()[0].removeprefix("Error tokenizing data. C error: ") if str(fault) else "it is cut"


def _csv(path: Path, header: str, square: bool) -> _Table:
    """A table of text: with times where its first column holds them, with names where its first row is no readings."""
    first = pd.read_csv(path, header=None, nrows=2, dtype=str, skip_blank_lines=True)
    named = header == "yes" or (header == "auto" and _is_header(first, square))
    # low_memory reads in chunks, and one column may then be of several types.
    frame = pd.read_csv(path, header=0 if named else None, low_memory=False)
    names = tuple(map(str, frame.columns)) if named else None
    times_T = None
    if not square and not pd.api.types.is_numeric_dtype(frame.dtypes.iloc[0]):
        parsed = pd.to_datetime(frame.iloc[:, 0], errors="coerce", format="mixed")
        if parsed.notna().mean() > 0.5:
            if parsed.isna().any():
                row = int(np.flatnonzero(parsed.isna())[0])
                raise RequestError(f"{path}: row {row + 1 + named} has no time ({frame.iloc[row, 0]!r}): mend it.")
            times_T, frame = parsed.to_numpy("datetime64[m]"), frame.iloc[:, 1:]
            names = names[1:] if names is not None else None
    text = [place for place, kind in enumerate(frame.dtypes) if not pd.api.types.is_numeric_dtype(kind)]
    if text:
        raise RequestError(*(_text_fault(path, frame.iloc[:, place], place, named) for place in text[:_SHOWN]))
    return _Table(frame.to_numpy(np.float32), times_T, names)


def _is_header(first: pd.DataFrame, square: bool) -> bool:
    """Whether the first row names sensors: by words, or by whole numbers, all different and above those of the next."""
    cells, below = first.iloc[0], first.iloc[min(1, len(first) - 1)]
    names, readings = (pd.to_numeric(row, errors="coerce").to_numpy(np.float64) for row in (cells, below))
    words = cells.notna().to_numpy() & np.isnan(names)
    if words[1:].any():
        return True
    if words[0]:  # the name of a column of times, or a time
        return bool(pd.isna(pd.to_datetime(cells.iloc[0], errors="coerce")))
    if not square and pd.isna(cells.iloc[0]) and pd.notna(below.iloc[0]) and np.isnan(readings[0]):
        return True  # nothing above a column of times, as pandas writes an index
    whole = len(first) > 1 and len(names) > 1 and bool((names == np.round(names)).all())
    return whole and len(set(names)) == len(names) and bool(names.min() > np.nanmax(readings))


def _text_fault(path: Path, column: "pd.Series[Any]", place: int, named: bool) -> str:
    numbers = pd.to_numeric(column, errors="coerce")
    row = int(np.flatnonzero(numbers.isna() & column.notna())[0]) if (numbers.isna() & column.notna()).any() else 0
    name = f" ({column.name})" if named else ""
    return (
        f"{path}: row {row + 1 + named}, column {place + 1}{name} holds {str(column.iloc[row])!r}, which is no number: "
        "write a number, or leave the cell empty where there is no reading."
    )


def _npz(path: Path, square: bool) -> _Table:
    # A pickle runs whatever its author wished as it is opened.
    with np.load(path, allow_pickle=False) as held:
        arrays: dict[str, np.ndarray] = {}
        for name in held.files:
            try:
                arrays[name] = held[name]
            except ValueError:
                raise RequestError(
                    f"{path}: the array {name} holds pickled Python objects, which are never opened: save numbers."
                ) from None
    wanted = "adjacency" if square else "values"
    flat = [name for name, values in arrays.items() if values.ndim == 2]
    chosen = wanted if wanted in arrays else flat[0] if len(flat) == 1 else None
    if chosen is None:
        found = ", ".join(f"{name} {values.shape}" for name, values in arrays.items()) or "nothing"
        raise RequestError(f"{path}: holds no array {wanted}, of time x sensors (found: {found}): name it so.")
    times, sensors = arrays.get("times"), arrays.get("sensors")
    if times is not None and not np.issubdtype(times.dtype, np.datetime64):
        raise RequestError(f"{path}: times must be datetime64, found {times.dtype}.")
    names = None if sensors is None else tuple(map(str, sensors.ravel()))
    adjacency = None if square or chosen == "adjacency" else arrays.get("adjacency")
    return _Table(arrays[chosen], None if times is None else times.astype("datetime64[m]"), names, adjacency)


def _hdf5(path: Path) -> _Table:
    """A frame in the fixed format: one block of numbers, its columns in axis0, its times in axis1 as nanoseconds."""
    with h5py.File(path, "r") as file:
        groups: list[h5py.Group] = []

        def visit(name: str, node: Any) -> None:
            if isinstance(node, h5py.Group) and "block0_values" in node and "axis1" in node:
                groups.append(node)

        visit("/", file)
        # It follows neither soft nor external links, so that no other file is opened.
        file.visititems(visit)
        if len(groups) != 1:
            found = ", ".join(sorted(file)) or "nothing"
            raise RequestError(
                f"{path}: holds {len(groups)} frames of readings where one is expected (found: {found}): write it with "
                "DataFrame.to_hdf in the fixed format."
            )
        (frame,) = groups
        if "block1_values" in frame:
            raise RequestError(f"{path}: columns of several types: write all readings as numbers of one type.")
        block, index = frame["block0_values"], frame["axis1"]
        if block.ndim != 2 or block.dtype.kind not in "fiu":
            raise RequestError(
                f"{path}: block0_values is {block.dtype} of shape {block.shape}; expected T x S numbers."
            )
        kind = index.attrs.get("kind", b"")
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        times_T = None
        if kind.startswith("datetime") and index.dtype.kind in "iu":
            unit = kind.partition("[")[2].rstrip("]") or "ns"
            times_T = index[:].astype(f"datetime64[{unit}]").astype("datetime64[m]")
        names = frame["block0_items"][:] if "block0_items" in frame else frame["axis0"][:]
        sensors = tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)
        return _Table(block[:], times_T, sensors)


def _numbers(path: Path, values_TS: np.ndarray) -> np.ndarray:
    """The readings as float32 of their own.

    Raises:
        RequestError: They are of another type or shape, or infinite.
    """
    if values_TS.dtype.kind not in "fiu":
        raise RequestError(f"{path}: readings must be numbers, found {values_TS.dtype}.")
    if values_TS.ndim != 2:
        raise RequestError(f"{path}: readings must be of shape time x sensors, found {values_TS.shape}.")
    if 0 in values_TS.shape:
        raise RequestError(f"{path}: holds no readings, its shape is {values_TS.shape}.")
    numbers_TS = np.array(values_TS, np.float32)
    if np.isinf(numbers_TS).any():
        row, place = np.argwhere(np.isinf(numbers_TS))[0]
        raise RequestError(
            f"{path}: row {row + 1}, column {place + 1} is infinite: leave it empty where it is unknown."
        )
    return numbers_TS


def _clock(path: Path, times_T: np.ndarray | None, data: TrafficData) -> tuple[np.datetime64, int]:
    """Time of the first row, and minutes from one to the next.

    Raises:
        RequestError: Steps are unequal.
    """
    if times_T is None:
        return (MONDAY if data.start is None else np.datetime64(data.start, "m")), data.step_minutes
    if len(times_T) < 2:
        return times_T[0], data.step_minutes
    apart = np.diff(times_T).astype(np.int64)
    # The median, for one long gap must not pass for the usual step.
    step = int(np.median(apart))
    if step < 1:
        raise RequestError(f"{path}: times do not go up (the usual step is {step} minutes): sort the rows by time.")
    if (wrong := np.flatnonzero(apart != step)).size:
        row, found = int(wrong[0]), int(apart[wrong[0]])
        what = "the same time twice" if found == 0 else f"a step of {found:,} minutes"
        raise RequestError(
            f"{path}: {what} at {times_T[row]} (row {row + 1}) where steps are {step} minutes ({wrong.size} such): put "
            "in the rows that are missing, their cells empty, so that all are equally far apart."
        )
    return times_T[0], step


def _adjacency(path: Path, near_SS: np.ndarray, sensors: int) -> np.ndarray:
    near_SS = np.asarray(near_SS)
    if near_SS.dtype.kind not in "fiu" or near_SS.shape != (sensors, sensors):
        raise RequestError(
            f"{path}: an adjacency of {sensors} sensors must be {sensors} x {sensors} numbers, found "
            f"{near_SS.dtype} of shape {near_SS.shape}."
        )
    if not np.isfinite(near_SS).all() or (near_SS < 0).any():
        raise RequestError(f"{path}: an adjacency must hold finite numbers that are not negative.")
    return near_SS.astype(np.float32)


def readings_arrays(readings: Readings) -> Mapping[str, np.ndarray]:
    """Readings as the arrays of an .npz file."""
    arrays = {"values": np.nan_to_num(readings.values_TS, nan=0.0), "sensors": np.array(readings.sensors)}
    if readings.timed:
        arrays["times"] = readings.times_T
    if readings.adjacency_SS is not None:
        arrays["adjacency"] = readings.adjacency_SS
    return arrays

"""The wavelengths of a shard: read in whichever unit they are stored, used in Angstrom.

The unit is what an attribute (`unit`, `units`) of the dataset says, else what the range of the values says. The order
stays as stored, increasing or decreasing.

Shape suffixes: L pixels, L1 pixel edges (L + 1).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.hdf5_filters import refuse_unknown_filters
from spectral_search.tasks.spectra.shards.hdf5_links import find_node
from spectral_search.tasks.spectra.shards.hdf5_sources import check_values
from spectral_search.tasks.spectra.shards.hdf5_written import refuse_unwritten
from spectral_search.tasks.spectra.shards.packing import refuse_packed
from spectral_search.tasks.spectra.shards.wave_units import ANGSTROM, WaveUnit, guess_unit, parse_unit

WAVE = "spectrumdataset/wave"
WAVE_EDGES = "spectrumdataset/wave_edges"

Origin = Literal["attribute", "range", "unknown"]
Order = Literal["increasing", "decreasing", "mixed"]


_NO_UNIT = frozenset({"", "1", "none", "dimensionless", "-"})
_GROUP_ATTRIBUTES = ("wave_unit", "wavelength_unit", "waveunit", "cunit1")
_UNIT_ATTRIBUTES = ("unit", "units", *_GROUP_ATTRIBUTES)


@dataclass(frozen=True)
class Wavelengths:
    """The wavelengths of one shard.

    Attributes:
        centres_angstrom_L: Pixel centres in stored order, or None when the file has neither centres nor usable edges.
        edges_angstrom_L1: Pixel edges in the order of the centres, or None.
        unit: In which they are stored.
        unit_from: Whether an attribute says the unit, or the range of the values, or nothing (then Angstrom).
        ignored_edges: What the edges are instead, where they are there and cannot be used.
        rounding_angstrom: How far the stored centres may be from those that were meant: half a last digit of float32.
    """

    centres_angstrom_L: np.ndarray | None
    edges_angstrom_L1: np.ndarray | None
    unit: WaveUnit = ANGSTROM
    unit_from: Origin = "unknown"
    ignored_edges: str = ""
    rounding_angstrom: float = 0.0

    @property
    def order(self) -> Order:
        """Which way the wavelengths run."""
        return _wave_order(self.centres_angstrom_L)


def _wave_order(wave_L: np.ndarray | None) -> Order:
    """Which way wavelengths run from pixel to pixel; increasing where there are none or one."""
    steps = np.diff(np.zeros(0) if wave_L is None else wave_L)
    return "increasing" if (steps > 0).all() else "decreasing" if (steps < 0).all() else "mixed"


def read_wavelengths(path: Path, file: h5py.File, pixels: int) -> Wavelengths:
    """Reads pixel centres and edges.

    Edges are not needed: those of another type or shape than (L+1,) or (2, L) are left out, which the checker says.

    Raises:
        RequestError: The centres are no finite numbers, not one per pixel, or in a unit that is not known.
    """
    wave, edges = _dataset(path, file, WAVE), _dataset(path, file, WAVE_EDGES)
    wave_L = None if wave is None else _centres(path, wave, pixels)
    edges_L1 = None if edges is None else _edges(edges, pixels, wave_L)
    ignored = _described(edges) if edges is not None and edges_L1 is None else ""
    if wave is not None and wave_L is not None:
        unit, origin = _unit(path, wave, wave_L)
    elif edges is not None and edges_L1 is not None:
        unit, origin = _unit(path, edges, edges_L1)
    else:
        return Wavelengths(None, None, ignored_edges=ignored)
    if edges is not None and edges_L1 is not None:
        edge_unit = _unit(path, edges, edges_L1)[0] if _said_unit(edges) else unit
        edges_L1 = edge_unit.to_angstrom(edges_L1)
    rounding = 0.0
    if wave is not None and wave_L is not None:
        rounding = _rounding(wave.dtype, wave_L, unit)
        wave_L = unit.to_angstrom(wave_L)
    elif edges_L1 is not None:
        wave_L = 0.5 * (edges_L1[:-1] + edges_L1[1:])
    return Wavelengths(wave_L, edges_L1, unit, origin, ignored, rounding)


def _dataset(path: Path, file: h5py.File, place: str) -> h5py.Dataset | None:
    """One of the wavelength arrays, whose values must be there."""
    node = find_node(path, file, place)
    if isinstance(node, h5py.Group):
        place = f"{place}/value"  # as the arrays are kept
        node = find_node(path, file, place)
    if not isinstance(node, h5py.Dataset):
        return None
    if node.shape is not None:
        refuse_unknown_filters(path, place, node)
        check_values(path, place, node)
        refuse_unwritten(path, place, node)
        refuse_packed(path, place, node)
    return node


def _centres(path: Path, wave: h5py.Dataset, pixels: int) -> np.ndarray:
    fault = _type_fault(wave)
    if fault:
        raise RequestError(f"{path}: {WAVE} is stored as {fault}, expected numbers; write one wavelength per pixel.")
    if wave.size != pixels or max(wave.shape, default=1) != pixels:
        raise RequestError(
            f"{path}: {WAVE} has shape {wave.shape} but the spectra {pixels:,} pixels; write one per pixel."
        )
    wave_L = np.asarray(wave[()], dtype=np.float64).reshape(-1)
    bad = np.flatnonzero(~np.isfinite(wave_L))
    if len(bad):
        raise RequestError(
            f"{path}: {WAVE} is {wave_L[bad[0]]} at pixel {bad[0]:,} ({len(bad):,} of {pixels:,} are not finite); "
            "write the wavelength of every pixel, also of those without flux, or leave the wavelengths out."
        )
    return wave_L


def _edges(edges: h5py.Dataset, pixels: int, wave_L: np.ndarray | None) -> np.ndarray | None:
    """(L+1,) edges as stored, in the order of the centres; None for what is no such thing."""
    if _type_fault(edges) or edges.shape not in ((pixels + 1,), (2, pixels)):
        return None
    values = np.asarray(edges[()], dtype=np.float64)
    if not np.isfinite(values).all():
        return None
    if values.shape == (2, pixels):  # lower edges, upper edges
        low_L, high_L = values
        decreasing = _wave_order(low_L if wave_L is None else wave_L) == "decreasing"
        return np.append(high_L[0], low_L) if decreasing else np.append(low_L, high_L[-1])
    return values


def _described(data: h5py.Dataset) -> str:
    fault = _type_fault(data)
    return f"are stored as {fault}" if fault else f"have shape {data.shape}"


def _type_fault(data: h5py.Dataset) -> str:
    try:
        dtype = data.dtype
    except TypeError as error:
        return f"a type that cannot be read ({error})"
    if data.shape is None:
        return f"an empty dataset (h5py.Empty of {dtype})"
    plain = dtype.kind in "fiu" and h5py.check_enum_dtype(dtype) is None
    return "" if plain else "text" if h5py.check_string_dtype(dtype) is not None else str(dtype)


def _rounding(dtype: np.dtype, wave_L: np.ndarray, unit: WaveUnit) -> float:
    if dtype.kind != "f" or dtype.itemsize >= 8:
        return 0.0
    half_L = 0.5 * np.spacing(np.abs(wave_L).astype(dtype.newbyteorder("="))).astype(np.float64)
    return float(np.max(np.abs(unit.to_angstrom(wave_L + half_L) - unit.to_angstrom(wave_L)), initial=0.0))


def _unit(path: Path, data: h5py.Dataset, values: np.ndarray) -> tuple[WaveUnit, Origin]:
    said = _said_unit(data)
    if said:
        unit = parse_unit(said)
        if unit is None:
            raise RequestError(
                f"{path}: {data.name.lstrip('/')} is in {said!r}, which is no unit of wavelength that is known here; "
                "give Angstrom, nm, um, mm, cm, m, or log10 or ln of one of them, as its attribute `unit`."
            )
        return unit, "attribute"
    guess = guess_unit(values)
    return (ANGSTROM, "unknown") if guess is None else (guess, "range")


def _said_unit(data: h5py.Dataset) -> str:
    """The unit that the dataset's attributes name, or those of its group."""
    # What a group calls its `unit` may be that of the flux.
    for attributes, names in ((data.attrs, _UNIT_ATTRIBUTES), (data.parent.attrs, _GROUP_ATTRIBUTES)):
        said = {name.lower(): name for name in attributes}
        for name in names:
            text = _text(attributes, said[name]) if name in said else ""
            if text.strip().lower() not in _NO_UNIT:
                return text.strip()
    return ""


def _text(attributes: Mapping[str, Any], name: str) -> str:
    value = attributes[name]
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""

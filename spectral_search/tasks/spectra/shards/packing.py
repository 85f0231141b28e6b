"""Values stored in another unit than they are meant in: scale_factor, add_offset and values that stand for none.

netCDF's convention (CF): value = stored * scale_factor + add_offset, and what is stored equal to _FillValue or
missing_value is no value. Tools that write HDF5 with these attributes expect every reader to apply them.

Shape suffixes: R rows in memory, L pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from spectral_search.errors import RequestError

_SCALE, _OFFSET = "scale_factor", "add_offset"
_MISSING = ("_FillValue", "missing_value")


@dataclass(frozen=True)
class Packing:
    """How stored numbers become values.

    Attributes:
        scale, offset: value = stored * scale + offset.
        missing: Stored numbers that stand for no value, as stored; they become NaN.
    """

    scale: float = 1.0
    offset: float = 0.0
    missing: tuple[int | float, ...] = ()

    @classmethod
    def read(cls, path: Path, name: str, data: h5py.Dataset, holder: h5py.Group | None = None) -> Self:
        """Reads the attributes of a dataset.

        Args:
            path: The shard, for messages.
            name: The array's name, for messages.
            data: The dataset.
            holder: The array's own group around it, whose attributes count where the dataset has none.

        Raises:
            RequestError: An attribute is not a finite number, or the scale is 0.
        """
        nodes = [data.attrs] if holder is None else [data.attrs, holder.attrs]
        scale, offset = _unit(path, name, nodes)
        noted = [value for attribute in _MISSING for value in _numbers(path, name, nodes, attribute)]
        missing = dict.fromkeys(value for value in noted if not np.isnan(value))  # NaN is no value as it is
        return cls(scale, offset, tuple(value for value in missing if _can_hold(data.dtype, value)))

    def __bool__(self) -> bool:
        """Whether stored numbers differ from values."""
        return self != Packing()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"scale_factor": self.scale, "add_offset": self.offset, "missing_values": list(self.missing)}

    def unpack(self, stored_RL: np.ndarray, target_RL: np.ndarray) -> None:
        """Fills a float32 buffer with the values; the arithmetic is that of float64."""
        with np.errstate(over="ignore", invalid="ignore"):
            if (self.scale, self.offset) == (1.0, 0.0):
                np.copyto(target_RL, stored_RL, casting="unsafe")
            else:
                values_RL = np.multiply(stored_RL, self.scale, dtype=np.float64)
                values_RL += self.offset
                np.copyto(target_RL, values_RL, casting="unsafe")
            for value in self.missing:
                target_RL[stored_RL == stored_RL.dtype.type(value)] = np.nan


def refuse_packed(path: Path, name: str, data: h5py.Dataset) -> None:
    """Refuses a dataset of labels or wavelengths whose stored numbers are not its values.

    Raises:
        RequestError: There is a scale other than 1 or an offset other than 0.
    """
    scale, offset = _unit(path, name, [data.attrs])
    if (scale, offset) != (1.0, 0.0):
        raise RequestError(
            f"{path}: {name} has the attributes {_SCALE} {scale:g} and {_OFFSET} {offset:g}, which are "
            "applied to flux, error and noisy only; write its values themselves, without these attributes."
        )


def _unit(path: Path, name: str, nodes: list[Mapping[str, Any]]) -> tuple[float, float]:
    """Scale and offset: 1 and 0 where nothing is said."""
    scale = _numbers(path, name, nodes, _SCALE) or [1.0]
    offset = _numbers(path, name, nodes, _OFFSET) or [0.0]
    for attribute, found in ((_SCALE, scale), (_OFFSET, offset)):
        if len(found) != 1 or not np.isfinite(found[0]) or (attribute == _SCALE and found[0] == 0):
            raise _refusal(path, name, attribute, found)
    return scale[0], offset[0]


def _numbers(path: Path, name: str, nodes: list[Mapping[str, Any]], attribute: str) -> list[int | float]:
    """The numbers of an attribute of the first node that has it; none where no node has."""
    for node in nodes:
        if attribute not in node:
            continue
        found: Any = None
        try:
            found = node[attribute]
            values = np.atleast_1d(np.asarray(found))
        except (OSError, TypeError) as error:  # of a type that numpy does not have
            raise _refusal(path, name, attribute, error) from error
        if values.dtype.kind not in "iuf" or values.ndim != 1:
            raise _refusal(path, name, attribute, found)
        return list(values.tolist())
    return []


def _refusal(path: Path, name: str, attribute: str, found: object) -> RequestError:
    expected = {_SCALE: "one finite number other than 0", _OFFSET: "one finite number"}.get(attribute, "a number")
    return RequestError(
        f"{path}: the attribute {attribute} of {name} is {found}, where {expected} is expected; write it as a number, "
        "or remove it if the values need none."
    )


def _can_hold(dtype: np.dtype, value: int | float) -> bool:
    """Whether a stored number can be equal to it; a float attribute is often wider than the array."""
    if dtype.kind == "f":
        return True
    if dtype.kind not in "iu" or not np.isfinite(value):
        return False
    limits = np.iinfo(dtype)
    return value == int(value) and limits.min <= value <= limits.max

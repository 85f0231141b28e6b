"""Reads the labels of a shard (`dataset/params`) in every layout met, without unpickling anything.

pandas' `to_hdf(format="table")` stores several columns in one 2-D field (`values_block_0`, ...) and keeps their names
as a *pickled* list in an HDF5 attribute (`values_block_0_kind`). Unpickling runs whatever code the file holds, so
`pandas.read_hdf` and `pickle.loads` are never used on a shard: `decode_name_list` walks the opcodes of the pickle with
`pickletools.genops`, which decodes but never executes them, and refuses everything but a flat list of strings.

Shape suffixes: N spectra.
"""

import pickletools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from spectral_search.data.label_chunks import read_labels
from spectral_search.errors import RequestError

PARAMS = "dataset/params"
_LIST_OPCODES = frozenset({"LIST", "EMPTY_LIST"})
_STRING_OPCODES = frozenset(
    {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "STRING", "SHORT_BINSTRING", "BINSTRING"}
)
# Opcodes that only delimit or remember: ignoring them is safe because no opcode that recalls (GET) is accepted.
_NEUTRAL_OPCODES = frozenset(
    {"PROTO", "FRAME", "MARK", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "APPEND", "APPENDS", "STOP"}
)


def decode_name_list(raw: bytes) -> list[str]:
    """Decodes a pickled flat list of strings without a pickle machine.

    Args:
        raw: The bytes of the attribute; a pickle of any protocol.

    Returns:
        The strings in the order of the list.

    Raises:
        ValueError: The bytes are not a pickle, or hold anything but one flat list of strings.
    """
    names: list[str] = []
    lists = 0
    for opcode, argument, _ in pickletools.genops(raw):
        if opcode.name in _STRING_OPCODES:
            names.append(str(argument))
        elif opcode.name in _LIST_OPCODES:
            lists += 1
        elif opcode.name not in _NEUTRAL_OPCODES:
            raise ValueError(f"opcode {opcode.name} where only a list of strings is allowed")
    if lists != 1:
        raise ValueError(f"{lists} lists where one is allowed")
    return names


@dataclass(frozen=True)
class _Column:
    """Where one column lies: a field of a compound or a whole dataset, and the position within a 2-D block."""

    name: str
    source: h5py.Dataset
    field: str | None = None
    position: int | None = None
    kind: str = ""

    def pick(self, block: np.ndarray) -> np.ndarray:
        """The column's values out of its block, as the type that pandas noted."""
        values = block if self.position is None else block[:, self.position]
        if self.kind == "bool":
            return values.astype(bool)
        time = re.fullmatch(r"(datetime64|timedelta64)(\[(?:ns|us|ms|s)\])?", self.kind)
        if time:
            return values.astype(np.int64).view(f"{time[1]}{time[2] or '[ns]'}")
        return _native(values)


class ParamsTable:
    """The labels of one shard, whichever way they were stored.

    Args:
        node: `dataset/params` itself: a group (pandas table, plain compound `table`, one dataset per column, pandas
            "fixed") or a compound dataset.
        file_name: Used in messages.

    Raises:
        RequestError: The layout is none of those, or a column name is not a plain string.
    """

    def __init__(self, node: h5py.Group | h5py.Dataset, file_name: str) -> None:
        self._file_name = file_name
        table = node.get("table") if isinstance(node, h5py.Group) else node
        if isinstance(table, h5py.Dataset) and table.dtype.names is not None:
            self.layout = "pandas table" if _is_pandas_table(table) else "plain compound"
            self.rows = int(table.shape[0]) if table.ndim == 1 else -1
            columns = list(self._compound_columns(table))
        elif isinstance(node, h5py.Group) and "block0_items" in node:
            self.layout = "pandas fixed"
            columns, self.rows = self._fixed_columns(node)
        elif isinstance(node, h5py.Group):
            self.layout = "one dataset per column"
            columns, self.rows = self._group_columns(node)
        else:
            columns, self.rows = [], -1
        if not columns or self.rows < 0:
            found = ", ".join(sorted(node)) if isinstance(node, h5py.Group) else f"a dataset of {node.dtype}"
            raise RequestError(
                f"{file_name}: {PARAMS} holds no table of labels (found: {found or 'nothing'}); expected a pandas "
                "table, a compound table or one dataset per column."
            )
        self._columns = {column.name: column for column in columns}

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in stored order."""
        return tuple(self._columns)

    def read(self, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Reads columns as native arrays of length N: numbers, bool, or object arrays of str.

        Args:
            names: Which columns; all by default.
        """
        blocks: dict[tuple[int, str | None], np.ndarray] = {}  # several columns share a block: read it once
        result: dict[str, np.ndarray] = {}
        for name in self.columns if names is None else names:
            column = self._columns[name]
            key = (id(column.source), column.field)  # not its name: two links may lead to one name in two files
            if key not in blocks:
                blocks[key] = read_labels(self._file_name, column.source, column.field)
            result[name] = column.pick(blocks[key])
        return result

    def _compound_columns(self, table: h5py.Dataset) -> Iterator[_Column]:
        pandas_table = _is_pandas_table(table)
        for field in table.dtype.names:
            if pandas_table and field == "index":
                continue  # the frame's row index, not a label
            kind = _noted_type(table, field)
            if not table.dtype[field].shape:
                yield _Column(field, table, field, None, kind)
                continue
            for position, name in enumerate(self._block_names(table, field)):
                yield _Column(name, table, field, position, kind)

    def _block_names(self, table: h5py.Dataset, field: str) -> list[str]:
        raw = table.attrs.get(f"{field}_kind")
        width = int(table.dtype[field].shape[0])
        try:
            if raw is None:
                raise ValueError(f"the attribute {field}_kind is missing")
            names = decode_name_list(raw.encode("latin-1") if isinstance(raw, str) else bytes(raw))
            if len(names) != width:
                raise ValueError(f"{len(names)} names for {width} columns")
        except ValueError as error:
            raise RequestError(
                f"{self._file_name}: the column names of {PARAMS} ({field}) cannot be read as plain strings: {error}; "
                'write the labels again with pandas to_hdf(format="table") and string column names.'
            ) from error
        return names

    def _group_columns(self, node: h5py.Group) -> tuple[list[_Column], int]:
        found = {name: item for name, item in node.items() if isinstance(item, h5py.Dataset) and item.ndim == 1}
        lengths = {int(item.shape[0]) for item in found.values()}
        if len(lengths) > 1:
            listed = ", ".join(f"{name} {item.shape[0]}" for name, item in found.items())
            raise RequestError(f"{self._file_name}: the columns of {PARAMS} have different lengths ({listed}).")
        return [_Column(name, item) for name, item in found.items()], lengths.pop() if lengths else -1

    def _fixed_columns(self, node: h5py.Group) -> tuple[list[_Column], int]:
        columns: list[_Column] = []
        rows = -1
        for block in range(int(node.attrs.get("nblocks", 0))):
            items, values = node[f"block{block}_items"], node[f"block{block}_values"]
            if items.dtype.kind != "S" or values.dtype.kind not in "iufb":
                continue  # object columns of this layout are pickled: never opened
            rows = int(values.shape[0])
            for position, name in enumerate(read_labels(self._file_name, items)):
                columns.append(_Column(name.decode("utf-8", "replace"), values, None, position))
        return columns, rows


def _is_pandas_table(table: h5py.Dataset) -> bool:
    return "index_kind" in table.attrs or any(name.startswith("values_block_") for name in table.dtype.names)


def _noted_type(table: h5py.Dataset, field: str) -> str:
    """pandas stores bool as uint8 and dates as int64, and notes the real type in an attribute."""
    noted: Any = table.attrs.get(f"{field}_dtype", b"")
    return noted.decode("ascii", "replace") if isinstance(noted, bytes) else str(noted)


def _native(values: np.ndarray) -> np.ndarray:
    """Native byte order, own memory; byte strings become str."""
    if values.dtype.kind == "S" or values.dtype.kind == "O":
        text = [item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in values]
        return np.array(text, dtype=object)
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))

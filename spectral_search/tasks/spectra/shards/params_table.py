"""Reads the labels of a shard (`dataset/params`) in every layout met, without unpickling anything.

pandas' `to_hdf(format="table")` stores several columns in one 2-D field (`values_block_0`, ...) and keeps their names
as a *pickled* list in an HDF5 attribute (`values_block_0_kind`). Unpickling runs whatever code the file holds, so
`pandas.read_hdf` and `pickle.loads` are never used on a shard: `decode_name_list` walks the opcodes of the pickle with
`pickletools.genops`, which decodes but never executes them, and refuses everything but a flat list of strings.

Shape suffixes: N spectra.
"""

import pickletools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import h5py
import numpy as np

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.label_chunks import read_labels
from spectral_search.tasks.spectra.shards.stored_column import StoredColumn, categorised

PARAMS = "dataset/params"
_PICKLED = 'is stored as pickled Python objects, which are never opened; write the labels with to_hdf(format="table")'
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
        if isinstance(table, h5py.Dataset) and self._fields(table):
            self.layout = "pandas table" if _is_pandas_table(table) else "plain compound"
            self.rows = int(table.shape[0]) if len(table.shape or ()) == 1 else -1
            columns = list(self._compound_columns(node, table))
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
        self._columns: dict[str, StoredColumn] = {}
        for column in columns:
            twice = replace(column, fault="is there twice; leave one of the columns out")
            self._columns[column.name] = twice if column.name in self._columns else column
        index = self._index(node)
        if index is not None and index.name not in self._columns:  # pandas keeps one beside a column of its name
            self._columns[index.name] = index

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in stored order."""
        return tuple(self._columns)

    def require(self, name: str) -> None:
        """Refuses a table without a column that must be there.

        Raises:
            RequestError: With the columns there are, and the one that may be meant.
        """
        if name in self._columns:
            return
        alike = [column for column in self.columns if _letters(column) == _letters(name)]
        cure = f"rename {alike[0]} to {name}" if alike else "add the label"
        raise RequestError(
            f"{self._file_name}: {PARAMS} has no column {name} (found: {', '.join(self.columns)}); {cure}."
        )

    def read(self, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Reads columns as native arrays of length N: numbers, bool, times, or object arrays of str.

        Categories are put in the place of their codes, and the names of enumerations in that of their numbers.

        Args:
            names: Which columns; by default all that are numbers, bool, times or texts. Others come as they are stored,
                for a message.

        Raises:
            RequestError: A column that is asked for cannot be understood.
        """
        blocks: dict[tuple[int, str | None], np.ndarray] = {}  # several columns share a block: read it once
        chosen = [name for name, column in self._columns.items() if column.is_plain] if names is None else names
        return {name: self._values(self._columns[name], blocks) for name in chosen}

    def _values(self, column: StoredColumn, blocks: dict[tuple[int, str | None], np.ndarray]) -> np.ndarray:
        if column.complaint or column.source is None:
            raise RequestError(f"{self._file_name}: the label {column.name} {column.complaint}.")
        key = (id(column.source), column.field)  # not its name: two links may lead to one name in two files
        if key not in blocks:
            blocks[key] = read_labels(self._file_name, column.source, column.field)
        values = column.pick(blocks[key])
        if column.categories is None:
            return values
        if values.dtype.kind not in "iu":
            raise RequestError(
                f"{self._file_name}: the label {column.name} has categories and codes of {values.dtype}, which are no "
                "integers; write the label again as float64."
            )
        found, unknown = categorised(values, self._values(column.categories, blocks))
        if len(unknown):
            raise RequestError(
                f"{self._file_name}: the label {column.name} holds code {values[unknown[0]]} in row {unknown[0]:,} and "
                "there is no such category; write the label again as float64."
            )
        return found

    def _fields(self, table: h5py.Dataset) -> tuple[str, ...]:
        try:
            return table.dtype.names or ()
        except TypeError as error:  # h5py has no numpy type for it, as for HDF5's times
            raise RequestError(
                f"{self._file_name}: {PARAMS} holds a type that cannot be read ({error}); write the labels again as "
                "numbers."
            ) from error

    def _index(self, node: h5py.Group | h5py.Dataset) -> StoredColumn | None:
        """The index of a pandas frame, where it has a name."""
        if not isinstance(node, h5py.Group):
            return None
        if self.layout == "pandas table":
            name, table = _index_name(node.attrs.get("info")), node["table"]
            if name is not None and "index" in table.dtype.names:
                return StoredColumn(name, table, "index", None, _noted(table, "index_kind"))
        axis = node.get("axis1") if self.layout == "pandas fixed" else None
        if isinstance(axis, h5py.Dataset) and axis.shape == (self.rows,):
            name = _noted(axis, "name")
            if name not in ("", "N."):  # what pandas makes of None
                return StoredColumn(name, axis, None, None, _noted(axis, "kind"))
        return None

    def _compound_columns(self, node: h5py.Group | h5py.Dataset, table: h5py.Dataset) -> Iterator[StoredColumn]:
        pandas_table = _is_pandas_table(table)
        for field in table.dtype.names:
            if pandas_table and field == "index":
                continue  # the frame's row index, not a label
            shape = table.dtype[field].shape
            noted, categories = _noted(table, f"{field}_dtype"), self._categories(node, table, field)
            if not shape:
                yield StoredColumn(field, table, field, None, noted, categories)
            elif pandas_table and len(shape) == 1:
                for position, name in enumerate(self._block_names(table, field)):
                    yield StoredColumn(name, table, field, position, noted, categories)
            elif shape == (1,):
                yield StoredColumn(field, table, field, 0)
            else:
                yield StoredColumn(field, None, fault=_not_one_value(shape))

    def _categories(self, node: h5py.Group | h5py.Dataset, table: h5py.Dataset, field: str) -> StoredColumn | None:
        """What the codes of a pandas categorical stand for: a table of its own, beside the one of the codes."""
        if _noted(table, f"{field}_meta") != "category":
            return None
        place = f"meta/{field}/meta/table"
        found = node.get(place) if isinstance(node, h5py.Group) else None
        if not isinstance(found, h5py.Dataset) or "values" not in (found.dtype.names or ()):
            fault = f"is a pandas categorical whose categories ({PARAMS}/{place}) are missing; write it as float64"
            return StoredColumn(field, None, fault=fault)
        position = 0 if found.dtype["values"].shape else None
        return StoredColumn(field, found, "values", position, _noted(found, "values_dtype"))

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

    def _group_columns(self, node: h5py.Group) -> tuple[list[StoredColumn], int]:
        columns = [_member(name, item) for name, item in node.items()]
        lengths = {column.name: int(column.source.shape[0]) for column in columns if column.source is not None}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise RequestError(f"{self._file_name}: the columns of {PARAMS} have different lengths ({listed}).")
        return columns, next(iter(lengths.values()), -1)

    def _fixed_columns(self, node: h5py.Group) -> tuple[list[StoredColumn], int]:
        columns: list[StoredColumn] = []
        rows = -1
        for block in range(int(node.attrs.get("nblocks", 0))):
            items, values = node[f"block{block}_items"], node[f"block{block}_values"]
            if items.dtype.kind != "S":
                continue  # names that are no texts: pickled
            names = [name.decode("utf-8", "replace") for name in read_labels(self._file_name, items)]
            if values.dtype.kind == "O" or values.ndim != 2:  # never opened
                columns += [StoredColumn(name, None, fault=_PICKLED) for name in names]
                continue
            rows = int(values.shape[0])
            noted = _noted(values, "value_type")
            columns += [StoredColumn(name, values, None, position, noted) for position, name in enumerate(names)]
        return columns, rows


def _is_pandas_table(table: h5py.Dataset) -> bool:
    return "index_kind" in table.attrs or any(name.startswith("values_block_") for name in table.dtype.names)


def _member(name: str, item: h5py.Group | h5py.Dataset) -> StoredColumn:
    """A column that is a dataset of its own, or a group of codes and categories as AnnData writes it."""
    if isinstance(item, h5py.Group) and {"codes", "categories"} <= set(item):
        codes, categories = _member(name, item["codes"]), _member(name, item["categories"])
        return replace(codes, categories=categories)
    if not isinstance(item, h5py.Dataset):
        return StoredColumn(name, None, fault=f"is a group (of {', '.join(sorted(item)) or 'nothing'}), no dataset")
    try:
        shape = (item.shape or ()) + item.dtype.shape
    except TypeError as error:  # h5py has no numpy type for it, as for HDF5's times
        return StoredColumn(name, None, fault=f"has a type that cannot be read ({error})")
    if item.shape is None:
        return StoredColumn(name, None, fault=f"is an empty dataset (of {item.dtype}, no values); leave it out")
    if len(shape) == 1 or (len(shape) == 2 and shape[1] == 1):
        return StoredColumn(name, item, None, 0 if len(shape) == 2 else None)
    return StoredColumn(name, None, fault=_not_one_value(shape[1:]) if shape else "is one value, not one for each row")


def _not_one_value(shape: tuple[int, ...]) -> str:
    return f"holds {' x '.join(map(str, shape))} values in each row where one is expected; write one column for each"


def _noted(node: h5py.Dataset, attribute: str) -> str:
    """pandas stores bool as uint8 and dates as int64, and notes the real type in an attribute."""
    noted: Any = node.attrs.get(attribute, b"")
    return noted.decode("utf-8", "replace") if isinstance(noted, bytes) else str(noted)


def _index_name(info: Any) -> str | None:
    """The name of a frame's index, from the pickled dictionary in which pandas keeps it; None where it has none.

    The opcodes are read, not executed, as in `decode_name_list`: the name is the string after "index_name".
    """
    if not isinstance(info, bytes):  # numpy's are bytes too
        return None
    try:
        said = [(opcode.name, argument) for opcode, argument, _ in pickletools.genops(info)]
    except ValueError:
        return None
    told = [(name, value) for name, value in said if name not in _NEUTRAL_OPCODES]
    places = [place for place, (_, value) in enumerate(told) if value == "index_name"]
    if len(places) != 1 or places[0] + 1 >= len(told):
        return None
    name, value = told[places[0] + 1]
    return str(value) if name in _STRING_OPCODES else None


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())

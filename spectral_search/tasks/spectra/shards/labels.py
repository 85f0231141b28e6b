"""The labels of spectra: one table for any number of shards, with the same columns whatever the shards carry.

pandas is imported where it is used: processes that train import what splits spectra, and need no labels.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.data_root import ShardInfo
from spectral_search.tasks.spectra.shards.label_numbers import NUMBERS
from spectral_search.tasks.spectra.shards.spectrum_ids import joined

if TYPE_CHECKING:
    import pandas as pd


def read_labels(shards: list[ShardInfo], names: Sequence[str] = NUMBERS) -> "pd.DataFrame":
    """Reads the labels of all spectra.

    Args:
        shards: The shards, in order.
        names: Which columns of numbers.

    Returns:
        One row a spectrum in shard order, index 0 to N-1: the names (float64) and the spectra's own id (see
        `Shard.ids`) - int64 with -1 where absent, or text with "" where absent when any shard's ids are text.

    Raises:
        RequestError: A label that must be there cannot be used; the faults of all shards at once.
    """
    import pandas as pd

    tables: list[pd.DataFrame] = []
    ids: list[np.ndarray | None] = []
    faults: list[str] = []
    for info in shards:
        try:
            # Whether labels must be there was settled when the shard was found.
            with info.open() as shard:
                columns = [name for name in names if name in shard.columns]
                tables.append(shard.params(columns) if columns else pd.DataFrame(index=range(shard.spectra)))
                ids.append(shard.ids())
        except RequestError as error:
            faults += error.faults
    if faults:
        raise RequestError(*faults)
    if not tables:
        return pd.DataFrame({**{name: np.zeros(0) for name in names}, "id": np.zeros(0, dtype=np.int64)})
    labels = {name: np.concatenate([_numbers(table, name) for table in tables]) for name in names}
    return pd.DataFrame({**labels, "id": joined(ids, [len(table) for table in tables])})


def numeric_labels(shards: list[ShardInfo]) -> "pd.DataFrame":
    """Reads every column of numbers that all shards have, float64, whatever it is called.

    Args:
        shards: The shards, in order.

    Raises:
        RequestError: A label cannot be read; the faults of all shards at once.
    """
    import pandas as pd

    tables: list[pd.DataFrame] = []
    faults: list[str] = []
    for info in shards:
        try:
            with info.open() as shard:
                tables.append(shard.params().select_dtypes("number").astype(np.float64))
        except RequestError as error:
            faults += error.faults
    if faults:
        raise RequestError(*faults)
    shared = [name for name in tables[0].columns if all(name in table for table in tables)] if tables else []
    return pd.concat([table[shared] for table in tables], ignore_index=True) if tables else pd.DataFrame()


def _numbers(table: "pd.DataFrame", name: str) -> np.ndarray:
    return table[name].to_numpy(dtype=np.float64) if name in table else np.full(len(table), np.nan)

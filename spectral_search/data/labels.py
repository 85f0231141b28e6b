"""The labels of spectra: one table for any number of shards, with the same columns whatever the shards carry.

pandas is imported where it is used: processes that train import what splits spectra, and need no labels.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spectral_search.data.root import ShardInfo
from spectral_search.data.shard import Shard
from spectral_search.errors import RequestError

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = ("log_g", "T_eff", "M_H", "snr")
"""Label columns in dex, kelvin, dex and (median flux/error); NaN where a shard lacks one."""


def read_labels(shards: list[ShardInfo], names: Sequence[str] = NUMBERS) -> "pd.DataFrame":
    """Reads the labels of all spectra.

    Args:
        shards: The shards, in order.
        names: Which columns of numbers.

    Returns:
        One row a spectrum in shard order, index 0 to N-1: the names (float64) and id - int64 with -1 where absent, or
        text with "" where absent when any shard's ids are text.

    Raises:
        RequestError: A label that must be there cannot be used; the faults of all shards at once.
    """
    import pandas as pd

    tables: list[pd.DataFrame] = []
    faults: list[str] = []
    for info in shards:
        try:
            # Whether labels must be there was settled when the shard was found.
            with Shard.open(info.path, need_labels=False) as shard:
                columns = [name for name in (*names, "id") if name in shard.columns]
                tables.append(shard.params(columns) if columns else pd.DataFrame(index=range(shard.spectra)))
        except RequestError as error:
            faults += error.faults
    if faults:
        raise RequestError(*faults)
    if not tables:
        return pd.DataFrame({**{name: np.zeros(0) for name in names}, "id": np.zeros(0, dtype=np.int64)})
    labels = {name: np.concatenate([_numbers(table, name) for table in tables]) for name in names}
    return pd.DataFrame({**labels, "id": _ids(tables)})


def _numbers(table: "pd.DataFrame", name: str) -> np.ndarray:
    import pandas as pd

    if name not in table:
        return np.full(len(table), np.nan)
    numbers = pd.to_numeric(table[name], errors="coerce")
    return np.asarray(numbers.to_numpy(dtype=np.float64, na_value=np.nan))


def _ids(tables: "list[pd.DataFrame]") -> np.ndarray:
    import pandas as pd

    present = [table["id"] for table in tables if "id" in table]
    if all(pd.api.types.is_numeric_dtype(column) for column in present):
        return np.concatenate(
            [
                table["id"].fillna(-1).to_numpy(dtype=np.int64) if "id" in table else np.full(len(table), -1)
                for table in tables
            ]
        )
    texts = [table["id"].astype(str) if "id" in table else pd.Series([""] * len(table)) for table in tables]
    return np.concatenate([column.to_numpy(dtype=object) for column in texts])

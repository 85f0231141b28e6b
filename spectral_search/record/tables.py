"""Tables as files."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spectral_search.record.durable import replacing

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".csv", ".parquet")


def column(table: "pd.DataFrame", name: str) -> np.ndarray:
    """A column of numbers, (N,); of several outputs, which Parquet keeps as lists, (N, O)."""
    values = table[name].to_numpy()
    return np.stack(list(values)) if values.dtype == object and len(values) else values


def column_of(values: np.ndarray) -> "np.ndarray | list[np.ndarray]":
    """Numbers, (N,) or (N, O), as a column of a table."""
    return values if values.ndim == 1 else list(values)


def write_table(table: "pd.DataFrame", path: Path) -> None:
    """Write a table as a whole: as .csv where its name ends so, else as Parquet.

    Raises:
        OSError: It cannot be written.
    """
    with replacing(path) as temporary:
        if path.suffix.lower() == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)

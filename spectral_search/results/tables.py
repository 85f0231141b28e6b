"""Tables of predictions as files."""

from pathlib import Path
from typing import TYPE_CHECKING

from spectral_search.errors import RequestError
from spectral_search.places import require_output
from spectral_search.results.durable import replacing

if TYPE_CHECKING:
    import pandas as pd

TABLE_ENDINGS = (".csv", ".parquet")


def check_table_name(path: Path) -> None:
    """Refuse a table's name before any work.

    Raises:
        RequestError: The ending is neither .csv nor .parquet, or the file cannot be written.
        RunError: The disk is full.
    """
    if path.suffix.lower() not in TABLE_ENDINGS:
        raise RequestError(f"{path} must end in {' or '.join(TABLE_ENDINGS)}.")
    require_output(path)


def write_table(table: "pd.DataFrame", path: Path) -> None:
    """Write a table as a whole, by its ending.

    Raises:
        OSError: It cannot be written.
    """
    with replacing(path) as temporary:
        if path.suffix.lower() == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)

"""Tables as files."""

from pathlib import Path
from typing import TYPE_CHECKING

from spectral_search.record.durable import replacing

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".csv", ".parquet")


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

"""Tables of predictions as files: .csv, .parquet, and with units as astronomers exchange them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectral_search.errors import RequestError
from spectral_search.places import require_output
from spectral_search.record.durable import replacing
from spectral_search.record.tables import ENDINGS, write_table
from spectral_search.tasks.spectra.report.astro_tables import FORMATS, require_astropy, write_astro_table

if TYPE_CHECKING:
    import pandas as pd

TABLE_ENDINGS = (*ENDINGS, *FORMATS)


def check_table_name(path: Path) -> None:
    """Refuse a table's name before any work.

    Raises:
        RequestError: The ending is none of `TABLE_ENDINGS`, astropy is needed and absent, or the file cannot be
            written.
        RunError: The disk is full.
    """
    ending = path.suffix.lower()
    if ending not in TABLE_ENDINGS:
        raise RequestError(f"{path} must end in {', '.join(TABLE_ENDINGS[:-1])} or {TABLE_ENDINGS[-1]}.")
    if ending in FORMATS:
        require_astropy(path)
    require_output(path)


def write_prediction_table(table: "pd.DataFrame", path: Path, provenance: Mapping[str, Any] | None = None) -> None:
    """Write a table as a whole, by its ending; .fits and .ecsv also keep units and where it comes from.

    Raises:
        OSError: It cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        write_table(table, path)
        return
    with replacing(path) as temporary:
        write_astro_table(table, temporary, ending, provenance)

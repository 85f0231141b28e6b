"""Tables of predictions: their names, and disks that get full."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from full_disks import ODD_NAMES, file_limit

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.report.prediction_tables import check_table_name, write_prediction_table

TABLE = pd.DataFrame({"log_g": np.arange(4000.0), "log_g_predicted": np.random.default_rng(1).normal(size=4000)})


@pytest.mark.parametrize("ending", [".csv", ".CSV", ".parquet", ".Parquet"])
@pytest.mark.parametrize("name", [*ODD_NAMES, "s3://bucket", "~"])
def test_tables_of_any_name(tmp_path: Path, name: str, ending: str) -> None:
    path = tmp_path / (name.replace("/", "_") + ending)
    check_table_name(path)
    write_prediction_table(TABLE.head(3), path)
    read = pd.read_csv if ending.lower() == ".csv" else pd.read_parquet
    assert read(path)["log_g"].tolist() == [0, 1, 2]
    assert list(tmp_path.iterdir()) == [path]


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="must end in"):
        check_table_name(tmp_path / "x.txt")


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_full_disk_leaves_the_older_table(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x{ending}"
    path.write_text("older")
    with file_limit(4096), pytest.raises(OSError, match="too large"):
        write_prediction_table(TABLE, path)
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]

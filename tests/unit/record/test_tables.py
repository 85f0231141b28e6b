"""Columns of tables, of one number an example and of several."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spectral_search.record.tables import column, column_of, write_table


@pytest.mark.parametrize("shape", [(5,), (5, 3)])
def test_a_column_comes_back_from_its_file_as_it_was(shape: tuple[int, ...], tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    values[2] = np.nan
    write_table(pd.DataFrame({"id": range(5), "given": column_of(values)}), tmp_path / "table.parquet")
    again = column(pd.read_parquet(tmp_path / "table.parquet"), "given")
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, values)

"""Predictions of baselines, one by one: read as they were written, or refused with what mends them."""

from pathlib import Path

import pandas as pd
import pytest

from spectral_search.errors import RequestError
from spectral_search.record.kept_predictions import read_baseline
from spectral_search.record.paths import BaselineSettingPaths


def test_what_was_written_is_read(tmp_path: Path) -> None:
    paths = BaselineSettingPaths(tmp_path)
    pd.DataFrame({"row": [0, 1], "predicted": [0.5, 1.5]}).to_parquet(paths.predictions("ridge"))
    assert read_baseline(paths, "ridge")["predicted"].tolist() == [0.5, 1.5]


@pytest.mark.parametrize("content", [None, b"", b"no table"])
def test_what_cannot_be_read_is_told_with_its_cure(tmp_path: Path, content: bytes | None) -> None:
    paths = BaselineSettingPaths(tmp_path)
    if content is not None:
        paths.predictions("ridge").write_bytes(content)
    with pytest.raises(RequestError, match=r"ridge.parquet cannot be read .*; fit it again, `baselines --only ridge"):
        read_baseline(paths, "ridge")

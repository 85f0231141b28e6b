"""Epochs of a trial: its log, what a study of the version before adds, and what is refused."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from spectral_search.errors import RequestError
from spectral_search.record.epoch_log import read_epochs

NAME = "val_score"


def written(path: Path, *rows: dict[str, Any], end: str = "") -> Path:
    file = path / "progress.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) + end)
    return file


def row(epoch: int, value: float | None, **more: Any) -> dict[str, Any]:
    return {"epoch": epoch, NAME: value, **more}


def test_lines_are_the_record(tmp_path: Path) -> None:
    epochs = read_epochs(written(tmp_path, row(1, 0.1), row(2, 0.2)), NAME, {})
    assert epochs == ([row(1, 0.1), row(2, 0.2)], True)


def test_an_absent_file_has_no_epochs(tmp_path: Path) -> None:
    assert read_epochs(tmp_path / "progress.jsonl", NAME, {}) == ([], True)


@pytest.mark.parametrize("end", ['{"epoch": 2', '{"epoch": 2\n'])
def test_a_cut_last_line_is_no_epoch(tmp_path: Path, end: str) -> None:
    assert read_epochs(written(tmp_path, row(1, 0.1), end=end), NAME, {}) == ([row(1, 0.1)], False)


def test_an_epoch_told_again_counts_once(tmp_path: Path) -> None:
    assert read_epochs(written(tmp_path, row(1, 0.1), row(1, 0.2)), NAME, {}) == ([row(1, 0.2)], False)


def test_what_is_no_number_is_nan(tmp_path: Path) -> None:
    (first, second), _ = read_epochs(written(tmp_path, row(1, None), {"epoch": 2}), NAME, {})
    assert math.isnan(first[NAME]) and math.isnan(second[NAME])


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [([row(2, 0.1)], "lacks epoch 1: restore"), ([row(1, 0.1), row(3, 0.3)], "lacks epoch 2: restore")],
)
def test_a_gap_is_refused(tmp_path: Path, rows: list[dict[str, Any]], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        read_epochs(written(tmp_path, *rows), NAME, {})


def test_damage_before_the_end_is_refused_but_where_a_study_tells(tmp_path: Path) -> None:
    file = written(tmp_path, row(1, 0.1))
    file.write_bytes(b"\0\n" + file.read_bytes())
    with pytest.raises(RequestError, match="Line 1 of"):
        read_epochs(file, NAME, {})
    assert read_epochs(file, NAME, {1: 0.1}) == ([row(1, 0.1)], False)


def test_a_study_of_the_version_before_counts_and_the_log_adds_the_rest(tmp_path: Path) -> None:
    file = written(tmp_path, row(1, None, seconds=2.0), row(3, 0.3))
    records, as_written = read_epochs(file, NAME, {1: -math.inf, 2: 0.2})
    assert records == [row(1, -math.inf, seconds=2.0), row(2, 0.2), row(3, 0.3)] and not as_written

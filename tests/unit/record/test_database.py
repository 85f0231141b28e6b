"""SQLite files of any name, as SQLAlchemy and Optuna take them."""

from pathlib import Path

import optuna
import pytest
from full_disks import ODD_NAMES

from spectral_search.errors import RequestError
from spectral_search.record.database import sqlite_file, sqlite_url
from spectral_search.record.stored_trials import read_study


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_study_lies_in_the_file_that_was_named(tmp_path: Path, name: str) -> None:
    file = tmp_path / name / "study.db"
    file.parent.mkdir()
    url = sqlite_url(file)
    optuna.create_study(study_name="s", storage=url).add_trial(optuna.create_trial(value=1.0))
    assert sqlite_file(url) == file
    assert len(read_study(url, "s") or []) == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert [path.name for path in file.parent.iterdir()] == ["study.db"]


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:////a/b c.db", "/a/b c.db"),
        ("sqlite:///x.db", "x.db"),
        ("sqlite:///file:/a%20b.db?mode=ro&uri=true", "/a b.db"),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("sqlite:///file:x?mode=memory&uri=true", None),
        ("postgresql://user:word@host/study", None),
    ],
)
def test_the_file_of_other_urls(url: str, file: str | None) -> None:
    assert sqlite_file(url) == (None if file is None else Path(file))


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(RequestError, match="database URL"):
        sqlite_file("study.db")

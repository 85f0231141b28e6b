"""How the database of a study is opened."""

from typing import Any

import pytest
from optuna.storages import RDBStorage
from sqlalchemy.exc import IntegrityError, ProgrammingError

from spectral_search.errors import RequestError
from spectral_search.run import study_storage
from spectral_search.run.study_storage import open_storage


@pytest.mark.parametrize("fault", [IntegrityError, ProgrammingError])
def test_tables_that_another_process_makes_at_this_moment_are_found_the_next_time(
    fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [fault("CREATE TABLE studies", {}, Exception("it is there")), None]

    def opened(*given: Any, **options: Any) -> RDBStorage:
        if (answer := answers.pop(0)) is not None:
            raise answer
        return RDBStorage("sqlite://")

    monkeypatch.setattr(study_storage, "RDBStorage", opened)
    monkeypatch.setattr(study_storage, "_ATTEMPT_SECONDS", 0.0)
    with open_storage("postgresql+psycopg://host/database"):
        pass
    assert not answers
    answers += [fault("CREATE TABLE studies", {}, Exception("no right to"))] * 100
    with (
        pytest.raises(RequestError, match="database cannot be opened"),
        open_storage("postgresql+psycopg://host/database"),
    ):
        pass

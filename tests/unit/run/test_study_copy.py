"""Copies of a study in which trials run again."""

from pathlib import Path

import optuna
import pytest
from optuna.storages import BaseStorage
from optuna.trial import TrialState, create_trial

from spectral_search.run.study_copy import copy_study
from spectral_search.run.study_storage import open_storage


def states(storage: BaseStorage, name: str) -> list[TrialState]:
    return [trial.state for trial in optuna.load_study(study_name=name, storage=storage).trials]


@pytest.mark.parametrize("first", ["run", "run-1f2e3d4c"])
def test_however_often_a_run_is_retried_its_database_holds_two_studies_of_it(tmp_path: Path, first: str) -> None:
    with open_storage(f"sqlite:///{tmp_path / 'study.db'}") as storage:
        for name in (first, "other", "runs", "other+1f2e3d4c"):
            study = optuna.create_study(study_name=name, storage=storage)
            study.add_trial(create_trial(state=TrialState.FAIL))
        names = [first]
        for _ in range(4):
            names.append(copy_study(storage, names[-1], [0]))
            assert states(storage, names[-1]) == [TrialState.RUNNING]
        left = set(optuna.get_all_study_names(storage))
        assert {names[-2], names[-1]} <= left and not left & set(names[:-2])
        assert {"other", "runs", "other+1f2e3d4c"} <= left

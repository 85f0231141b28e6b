"""A copy of a study in which some trials that were over run again: Optuna's finished trials are final.

The copy lies in the same database, and the manifest of the run then names it. A trial that runs again keeps its number,
its parameters and its epochs, and goes on from the checkpoint that was kept for this. The study that was copied stays,
for whoever has just read an older manifest, until the next copy: a run has two studies at most.
"""

import copy
import secrets
from collections.abc import Collection

import optuna
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from spectral_search.run.study import DEATHS, ERROR, NOTES
from spectral_search.run.taken_up import CAUSE
from spectral_search.strategy.collapse import COLLAPSED

_OF_ITS_END = (COLLAPSED, ERROR, DEATHS, CAUSE)
"""User attributes that say how a trial ended: it may end otherwise now."""


def copy_study(storage: BaseStorage, name: str, reopened: Collection[int], note: str | None = None) -> str:
    """Copy a study, and remove older ones of its run; the copy's name.

    Args:
        storage: Where it lies, and the copy.
        name: Its name, which the run's manifest holds.
        reopened: Numbers of the trials that run again.
        note: What is noted of each of them; what it had failed of follows.
    """
    old = optuna.load_study(study_name=name, storage=storage, sampler=RandomSampler())
    # Named after the first study, also a copy of a copy; its end is random, since a death may have left one there.
    first = name.partition("+")[0]
    made = f"{first}+{secrets.token_hex(4)}"
    for other in optuna.get_all_study_names(storage):
        if other.partition("+")[0] == first and other != name:
            optuna.delete_study(study_name=other, storage=storage)
    new = optuna.create_study(study_name=made, storage=storage, directions=old.directions, sampler=RandomSampler())
    for key, value in old.user_attrs.items():
        new.set_user_attr(key, value)
    new.add_trials([_running(t, note) if t.number in reopened else t for t in old.get_trials(deepcopy=False)])
    return made


def _running(trial: FrozenTrial, note: str | None) -> FrozenTrial:
    # What is handed in is Optuna's own cached object.
    reopened = copy.deepcopy(trial)
    reopened.state, reopened.values, reopened.datetime_complete = TrialState.RUNNING, None, None
    reopened.user_attrs = {name: value for name, value in trial.user_attrs.items() if name not in _OF_ITS_END}
    if note is not None:
        told = f"{note}: {trial.user_attrs.get(ERROR, 'no reason given')}"
        reopened.user_attrs[NOTES] = [*trial.user_attrs.get(NOTES, []), told]
    return reopened

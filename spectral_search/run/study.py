"""The durable record of a search: an Optuna study that holds every trial, its state and its val R2 at each epoch.

A trial is written with its parameters before it is launched and at every epoch after. The process may die between any
two writes, so each has one meaning by itself, and opening the study takes up what the dead process had begun:

    params.yaml     then the trial    a folder without a trial is given to the next one
    progress line   then the value    a line without a value is dropped: that epoch is reported again
    value at a rung then the verdict  a rung without a verdict is told again, and judged then; one that waits waits on
    state           then clean-up     files that a trial no longer needs are removed again
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import optuna
import yaml
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from spectral_search.errors import RequestError
from spectral_search.record.durable import append_line, plain, read_lines, write_atomic
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import RunPaths
from spectral_search.spec.load import expand
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.asha import rung_epochs, survives
from spectral_search.strategy.collapse import (
    COLLAPSED,
    has_collapsed,
    learnt,
    likely_cause,
    others_learnt,
    shows_nothing,
    verdict,
)
from spectral_search.strategy.halving import survivors
from spectral_search.strategy.promotion import leaders, promoted
from spectral_search.strategy.proposals import Params, Proposals, best_of

EpochRecord = dict[str, Any]
Outcome = Literal["complete", "stopped", "failed"]
STATES: dict[Outcome, TrialState] = {
    "complete": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
OUTCOMES: dict[TrialState, Outcome] = {state: outcome for outcome, state in STATES.items()}
PASSED, HELD, NOTES, ERROR = "passed_rung", "held_rung", "notes", "error"
"""User attributes of a trial: the last rung it survived, the one it waits at, what befell it, why it failed."""
DEATHS = "deaths"
"""Likewise: the last epoch before a process died of which this trial was the last work, and how often it has by now."""
DATABASE_WAIT_S = 60


@dataclass
class LiveTrial:
    """A trial of this process.

    Attributes:
        number: Its number.
        params: Its searched values.
        epochs: The epochs recorded so far.
        passed: The last rung it survived.
        error: Why it failed, if it did.
        collapsed: What was seen and why that is likely, if it learnt nothing to its end.
    """

    number: int
    params: Params
    epochs: list[EpochRecord] = field(default_factory=list)
    passed: int = 0
    error: str | None = None
    collapsed: str | None = None

    @property
    def last_epoch(self) -> int:
        return self.epochs[-1]["epoch"] if self.epochs else 0

    @property
    def settled(self) -> int:
        """Epochs that need not be told again: whoever died after the last may have died before it was judged."""
        return max(0, self.last_epoch - 1)


@contextmanager
def open_storage(url: str) -> Iterator[BaseStorage]:
    """The database of a study, with its connections closed at the end.

    Raises:
        RequestError: It cannot be reached.
    """
    waits = {"connect_args": {"timeout": DATABASE_WAIT_S}} if url.startswith("sqlite") else None
    try:
        storage = RDBStorage(url, engine_kwargs=waits)
    except ImportError as error:
        raise RequestError(
            "The Python driver of the study's database is missing: for PostgreSQL, `pip install 'psycopg[binary]'` and "
            "let search.storage begin with postgresql+psycopg://."
        ) from error
    except Exception as error:
        raise RequestError(
            f"The study's database cannot be opened ({type(error).__name__}): check search.storage and that the "
            "server runs."
        ) from error
    try:
        yield storage
    finally:
        _close(storage)


def _close(storage: RDBStorage) -> None:
    storage.remove_session()
    storage.engine.dispose()


def storage_url(manifest: Manifest, paths: RunPaths) -> str:
    """Where a run's study lies; a password comes from the environment and is nowhere else."""
    return expand(manifest.storage) if manifest.storage else paths.study_url


def create_study(url: str, name: str) -> None:
    """Make the tables of a study that has no trial yet."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = RDBStorage(url)
    optuna.create_study(study_name=name, storage=storage, direction="maximize", sampler=RandomSampler())
    _close(storage)


class Study:
    """Asks, records and ends trials. One process at a time may hold it.

    Args:
        spec: The search.
        paths: The run's folder.
        storage: Where the study lies.
        name: Its name there.
        listener: Told of every change: ("started" | "epoch" | "waiting" at a rung | a trial's outcome, trial).
    """

    def __init__(
        self,
        spec: RunSpec,
        paths: RunPaths,
        storage: BaseStorage,
        name: str,
        listener: Callable[[str, LiveTrial], None] = lambda event, trial: None,
    ) -> None:
        self.spec, self.paths = spec, paths
        self.listener = listener
        self._storage = storage
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(
            study_name=name,
            storage=storage,
            direction="maximize",
            sampler=RandomSampler(),  # never asked: proposals come from a shadow study
            pruner=NopPruner(),  # never asked either: see `promotion`, `halving` and `asha`
            load_if_exists=True,
        )
        self._proposals = Proposals(spec, self.trials())
        self._live: dict[int, tuple[LiveTrial, Trial]] = {}
        self._held: dict[int, LiveTrial] = {}
        self._ids: dict[int, int] = {}
        # Reading all trials takes the longer the more of them wait: what does not change is remembered.
        self._count = len(self.trials())
        self._all_proposed = False
        self._halted: BaseException | None = None
        self._unfinished = self._take_up()

    @property
    def planned(self) -> int:
        """Trials of the search in all."""
        return self._proposals.planned

    @property
    def waiting(self) -> int:
        """Trials that `next_trial` has yet to hand out; fewer if the space holds fewer points."""
        return len(self._unfinished) + (0 if self._all_proposed else max(0, self.planned - self._count))

    @property
    def over(self) -> bool:
        """Whether no trial is left to be trained."""
        return self.exhausted and not self._live and self._proposed() is None

    @property
    def exhausted(self) -> bool:
        """Whether no trial will be handed out any more, once `next_trial` has given None."""
        may_be_held = self.spec.search.waits and bool(self._live)
        return not self._unfinished and not self._held and not may_be_held

    def trials(self) -> list[FrozenTrial]:
        """All trials so far, by number."""
        return self._study.get_trials(deepcopy=False)

    def halt(self, reason: BaseException) -> None:
        """Record nothing from now on: whoever tries is given the reason instead. The first reason stays."""
        self._halted = self._halted or reason

    def check(self) -> None:
        """Raise the reason if the search was halted, also where somebody in between had swallowed it."""
        if self._halted is not None:
            raise self._halted

    def next_trial(self) -> LiveTrial | None:
        """An unfinished trial to go on with, else a promoted or a new one, else one of those that waited at a rung.

        None when there is none, or none as long as others train: see `exhausted`.
        """
        with self._writing():
            if self._unfinished:
                trial: LiveTrial | None = self._unfinished.pop(0)
            else:
                trial = self._promoted() or self._new_trial() or self._survivor()
            if trial is not None:
                self._live[trial.number] = (trial, self._handle(trial.number))
                self.listener("started", trial)
            return trial

    def _proposed(self) -> Params | None:
        params = None if self._all_proposed else self._proposals.propose(self.trials())
        self._all_proposed = params is None
        return params

    def _new_trial(self) -> LiveTrial | None:
        params = self._proposed()
        if params is None:
            return None
        trial = LiveTrial(self._count, params)
        self._record_new(trial)
        self._count += 1
        return trial

    def _promoted(self) -> LiveTrial | None:
        """A trial that waits at a rung and may go on by now, the highest rung first."""
        if self.spec.search.pruner != "promote" or not self._held:
            return None
        trials = self.trials()
        for rung in sorted({trial.last_epoch for trial in self._held.values()}, reverse=True):
            waiting = [number for number, trial in self._held.items() if trial.last_epoch == rung]
            number = promoted(_reached(trials, rung), waiting, self._factor_at(rung))
            if number is not None:
                trial = self._held.pop(number)
                self._pass(trial, self._handle(number))
                return trial
        return None

    def _survivor(self) -> LiveTrial | None:
        while self._held and not self._unfinished and self._all_came():
            self._judge_held()
        return self._unfinished.pop(0) if self._unfinished else None

    def _all_came(self) -> bool:
        """Whether no trial is still on its way to the lowest rung at which one waits."""
        rung = min(trial.last_epoch for trial in self._held.values())
        on_the_way = [trial for trial, _ in self._live.values() if trial.passed < rung]
        return not on_the_way if self.spec.search.pruner == "promote" else not self._live

    def _judge_held(self) -> None:
        """Judge the trials that wait at the lowest rung, all trials having come to it or ended before.

        Which go on follows from what the study holds, so that a process that died in between is followed by one that
        decides the same.
        """
        rung = min(trial.last_epoch for trial in self._held.values())
        go_on = survivors(_reached(self.trials(), rung), self.spec.search, self._factor_at(rung))
        for trial in [self._held[number] for number in sorted(self._held)]:
            if trial.last_epoch != rung:
                continue
            del self._held[trial.number]
            if trial.number in go_on:
                self._pass(trial, self._handle(trial.number))
                self._unfinished.append(trial)
            else:
                self._end(trial, self._handle(trial.number), "stopped")
                self.listener("stopped", trial)

    def _factor_at(self, rung: int) -> int:
        return self.spec.search.factor_at(rung, self.spec.fit.epochs)

    def report(self, number: int, record: EpochRecord) -> bool:
        """Record an epoch of one trial and judge it: whether the trial must stop.

        Where later epochs are recorded already, the trial is judged when it tells of the last of them itself.
        """
        self.record(number, record)
        if number in self._live and record["epoch"] < self._live[number][0].last_epoch:
            return False
        return self.judge(number)

    def record(self, number: int, record: EpochRecord) -> None:
        """Record an epoch. One that is recorded already, or of a trial that is over, changes nothing."""
        with self._writing():
            if number not in self._live:
                return
            trial, handle = self._live[number]
            if record["epoch"] <= trial.last_epoch:
                return
            if record["epoch"] != trial.last_epoch + 1:
                raise ValueError(f"trial {number} reports epoch {record['epoch']} after epoch {trial.last_epoch}")
            # When it was recorded tells later how good the search was at any time; nothing is computed from it.
            record = {**record, "at_unix_seconds": round(time.time(), 2)}
            append_line(self.paths.trial(number).progress_jsonl, record)
            handle.report(record["val_r2"], record["epoch"])
            trial.epochs.append(record)
            self.listener("epoch", trial)

    def judge(self, number: int) -> bool:
        """Whether a trial must stop after its last epoch, judged against all that have reported that epoch so far.

        Trials that reach a rung together are all recorded before the first of them is judged.
        """
        with self._writing():
            if number not in self._live:  # told again of a trial that is over
                return True
            return self._is_to_stop(*self._live[number])

    def note(self, number: int, text: str) -> None:
        """Keep what befell a trial, in the study and in the trial's log."""
        with self._writing():
            frozen = self.trials()[number]
            if not frozen.state.is_finished():
                append_line(self.paths.trial(number).create().log_txt, text)
                self._handle(number).set_user_attr(NOTES, [*frozen.user_attrs.get(NOTES, []), text])

    def mourn(self, number: int, about: str, most: int) -> str | None:
        """Record that a process of an earlier session died while it trained a trial that is to go on.

        Args:
            number: The trial.
            about: What is known of it.
            most: Deaths without an epoch between them after which the trial goes on; after one more it has failed.

        Returns:
            What became of it, a sentence; None where it was over already.
        """
        with self._writing():
            trial = next((trial for trial in self._unfinished if trial.number == number), None)
            if trial is None:
                return None
            handle, (epoch, count) = self._handle(number), self.trials()[number].user_attrs.get(DEATHS, (0, 0))
            count = count + 1 if epoch == trial.last_epoch else 1
            handle.set_user_attr(DEATHS, [trial.last_epoch, count])
            told = f"The process that trained trial {number} died in its epoch {trial.last_epoch + 1}: {about}"
            self.note(number, told)
            if count <= most:
                return f"{told} It is tried again."
            self._unfinished.remove(trial)
            log = "/".join(self.paths.trial(number).log_txt.parts[-3:])
            reason = f"Its process died {count} times in epoch {epoch + 1} (see {log}); {about}"
            self._end(trial, handle, "failed", reason)
            self.listener("failed", trial)
            return f"{told} That was {count} times in a row, so the trial has failed."

    def stop(self, number: int) -> None:
        """Take a trial that must stop from training: for good, or until it may go on from the rung where it waits."""
        dead = number in self._live and self._has_collapsed(self._live[number][0])
        if dead or not self.spec.search.waits:
            self.finish(number, "stopped")
            return
        with self._writing():
            if number in self._live:
                trial, handle = self._live.pop(number)
                handle.set_user_attr(HELD, trial.last_epoch)
                self._held[number] = trial
                self.listener("waiting", trial)

    def finish(self, number: int, outcome: Outcome, error: str | None = None) -> None:
        """End a trial: complete with the val R2 of its best epoch, stopped at its last, or failed with the reason."""
        with self._writing():
            if number not in self._live:
                return
            trial, handle = self._live.pop(number)
            self._end(trial, handle, outcome, error)
            self.listener(outcome, trial)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A failed write halts the search: what comes after it would leave a gap in the record."""
        self.check()
        try:
            yield
        except BaseException as error:
            self.halt(error)
            raise

    def _handle(self, number: int) -> Trial:
        if number not in self._ids:
            study_id = self._storage.get_study_id_from_name(self._study.study_name)
            self._ids[number] = self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
        return Trial(self._study, self._ids[number])

    def _is_to_stop(self, trial: LiveTrial, handle: Trial) -> bool:
        search, epoch, fit = self.spec.search, trial.last_epoch, self.spec.with_params(trial.params).fit
        if has_collapsed(trial.epochs, fit, search.collapse_epochs):
            return True
        rungs = rung_epochs(search, fit.epochs)
        if epoch <= trial.passed or epoch not in rungs:
            return False
        if search.pruner == "halving":
            must_stop = self.planned > search.survivors_of(self.planned)  # for now, unless all go on anyway
        elif search.pruner == "promote":
            all_go_on = self.planned <= search.survivors_of(self.planned, self._factor_at(epoch))
            first = leaders(_reached(self.trials(), epoch), self._factor_at(epoch))
            must_stop = not all_go_on and trial.number not in first
        else:
            reported = [v for other in self.trials() if (v := other.intermediate_values.get(epoch)) is not None]
            must_stop = not survives(trial.epochs[-1]["val_r2"], reported, search.factor)
        if not must_stop:
            self._pass(trial, handle)
        return must_stop

    def _has_collapsed(self, trial: LiveTrial) -> bool:
        fit = self.spec.with_params(trial.params).fit
        return has_collapsed(trial.epochs, fit, self.spec.search.collapse_epochs)

    def _why_collapsed(self, trial: LiveTrial) -> str | None:
        """What is told of a trial that ends without having learnt anything; None where it has, or nobody can say."""
        if not shows_nothing(trial.epochs):
            return None
        config = self.spec.with_params(trial.params)
        others = [other for other in self.trials() if other.number != trial.number]
        values = [other.intermediate_values for other in others]
        if not (self._has_collapsed(trial) or others_learnt(trial.epochs, config.fit, values)):
            return None
        trained = [other for other in others if learnt(other.intermediate_values)]
        configs = [self.spec.with_params(other.user_attrs["params"]) for other in trained]
        return verdict(trial.epochs, likely_cause(config, configs))

    def _keep_collapsed(self, trial: LiveTrial, handle: Trial) -> None:
        """Write down that a trial collapsed, in its log too, before its end is."""
        trial.collapsed = self._why_collapsed(trial)
        if trial.collapsed is not None:
            append_line(self.paths.trial(trial.number).create().log_txt, f"Collapsed: {trial.collapsed}")
            handle.set_user_attr(COLLAPSED, trial.collapsed)

    def _pass(self, trial: LiveTrial, handle: Trial) -> None:
        handle.set_user_attr(PASSED, trial.last_epoch)
        trial.passed = trial.last_epoch

    def _end(self, trial: LiveTrial, handle: Trial, outcome: Outcome, error: str | None = None) -> None:
        best = best_of({record["epoch"]: record["val_r2"] for record in trial.epochs})
        if outcome == "complete" and not math.isfinite(best):
            outcome, error = "failed", error or "The trial ended without a finite val R2."
        if error is not None:
            trial.error = error
            handle.set_user_attr(ERROR, error)
        if outcome != "failed":
            self._keep_collapsed(trial, handle)
        self._study.tell(handle, best if outcome == "complete" else None, STATES[outcome])
        self._clean_up(trial.number, STATES[outcome])

    def _clean_up(self, number: int, state: TrialState) -> None:
        # Only a complete trial may ever be trained further, by `resume --epochs`; of the others export needs the best.
        if state != TrialState.COMPLETE:
            self.paths.trial(number).last_safetensors.unlink(missing_ok=True)

    def _record_new(self, trial: LiveTrial) -> None:
        params, distributions = self._proposals.frozen(trial.params)
        folder = self.paths.trial(trial.number).create()
        write_atomic(folder.params_yaml, yaml.safe_dump(trial.params, sort_keys=False))
        self._study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=params,
                distributions=distributions,
                user_attrs={"params": trial.params},
            )
        )

    def _take_up(self) -> list[LiveTrial]:
        """The trials that a process that died left unfinished; what it had begun to write is put in order.

        Nothing is judged here: a trial tells its last epoch again, together with those that reached it with it.
        """
        unfinished = []
        for frozen in self.trials():
            if frozen.state.is_finished():
                self._clean_up(frozen.number, frozen.state)
            else:
                trial, handle = self._restored(frozen), self._handle(frozen.number)
                if not self._waited(frozen, trial, handle):
                    unfinished.append(trial)
                else:
                    handle.set_user_attr(HELD, trial.last_epoch)
                    self._held[trial.number] = trial
        return unfinished

    def _waited(self, frozen: FrozenTrial, trial: LiveTrial, handle: Trial) -> bool:
        """Whether a trial waits at a rung: by halving all do that have come to one, by promote those that were told."""
        if self.spec.search.pruner == "promote":
            return trial.passed < trial.last_epoch == frozen.user_attrs.get(HELD)
        waits = self.spec.search.pruner == "halving" and not self._has_collapsed(trial)
        return waits and self._is_to_stop(trial, handle)

    def _restored(self, frozen: FrozenTrial) -> LiveTrial:
        """A trial with the epochs that the study holds, and its progress file brought in line with them."""
        path = self.paths.trial(frozen.number).create().progress_jsonl
        try:
            lines = read_lines(path)
            written, whole = lines.records, not lines.cut
        except RequestError:  # damaged in the middle; the study has what matters
            written, whole = [], False
        by_epoch = {record.get("epoch"): record for record in written}
        values = sorted(frozen.intermediate_values.items())
        epochs = [{**by_epoch.get(epoch, {"epoch": epoch}), "val_r2": value} for epoch, value in values]
        if epochs != written or not whole:
            write_atomic(path, "".join(json.dumps(plain(record)) + "\n" for record in epochs))
        return LiveTrial(frozen.number, frozen.user_attrs["params"], epochs, frozen.user_attrs.get(PASSED, 0))


def _reached(trials: Iterable[FrozenTrial], rung: int) -> dict[int, float]:
    """Best val R2 up to a rung of all trials that reached it, by number."""
    return {
        trial.number: best_of(trial.intermediate_values, rung)
        for trial in trials
        # One that failed further on had passed this rung, and counts as it did then.
        if rung in trial.intermediate_values
        and (trial.state != TrialState.FAIL or trial.user_attrs.get(PASSED, 0) >= rung)
    }

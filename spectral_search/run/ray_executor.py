"""The executor on Ray: every trial an ordinary Ray Tune trial, proposed, stopped and recorded by the study.

Ray Tune schedules processes, retries what died and spreads trials over nodes. What a trial is, when it stops and what
is remembered is the study's: Tune's own snapshots are neither needed nor read.
"""

import os
import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from spectral_search.record.paths import RunPaths
from spectral_search.record.wording import cropped, params_text
from spectral_search.run.killed_processes import Watch, need_told
from spectral_search.run.pass_assignment import Desk
from spectral_search.run.pass_server import PassServer
from spectral_search.run.pass_trial import LOST, PassTrial, RetryError, measured
from spectral_search.run.ray_job import Job, TrialGauges
from spectral_search.run.shared_pass import SharedPass
from spectral_search.run.study import LiveTrial, Study
from spectral_search.run.trial_session import Step, log_name, trial_course
from spectral_search.run.under_way import RETRIES
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.collapse import earliest
from spectral_search.strategy.rule import rule_of
from spectral_search.strategy.space_points import Params
from spectral_search.task.registry import task_of
from spectral_search.task.training import TrainingSet
from spectral_search.train.devices import Slots

_TITLE_LENGTH = 100
# A hundred such trials fit into what one pass leaves.
_TRIAL_CPU = 0.005
_PASS_SPARES_CPU = 0.5
"""What the process of a trial in a shared pass asks of Ray, since it only waits, and what a pass leaves to them."""


class SpectralTrial(tune.Trainable):
    """A trial in a process that Ray gave it; the process and its data serve further trials when this one ends."""

    def setup(self, config: dict[str, Any], job: Job | None = None) -> None:
        if job is None:
            raise ValueError("SpectralTrial is started with a job")
        # A pass of one, and no second attempt here: it is to be one of a fresh process.
        self._job, self._gauges, self._pass = job, TrialGauges(job), SharedPass(job.trainer, retries=0)
        self._join(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial; called by Ray Tune to reuse the process."""
        self._pass.leave(self._number)
        self._join(new_config)
        return True

    def _join(self, config: dict[str, Any]) -> None:
        self._number, self._title = int(config["number"]), str(config["title"])
        course = trial_course(self._job.spec, self._job.paths, self._number, config["params"])
        self._pass.join(self._number, course, int(config["settled"]))

    def __repr__(self) -> str:
        """What Ray calls the process from its start on: its first trial."""
        return self._title

    def step(self) -> dict[str, Any]:
        """One epoch.

        Raises:
            RetryError: The trial failed in a way that a fresh process may not; Ray Tune starts one.
        """
        while not (steps := self._pass.advance()):
            pass  # an epoch that had been told before is trained again
        step = steps[self._number]
        if step.retry:
            raise RetryError(step.failure)
        if step.record is None:
            return asdict(step)
        best = self._pass.best_value(self._number, self._gauges.objective.val_name)
        self._gauges.show(self._number, step.record, best, step.members)
        return asdict(step) | measured(step.record)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: checkpoints are written into the run's folder at their own time."""

    def load_checkpoint(self, checkpoint: object) -> None:
        """Nothing: a trial looks for its checkpoint when it begins."""


def _step(flat_result: dict[str, Any]) -> Step:
    """What an epoch came to, in a result, which Ray Tune hands on flattened."""
    record = {key.removeprefix("record/"): v for key, v in flat_result.items() if key.startswith("record/")}
    told: dict[str, Any] = {name: flat_result.get(name) for name in ("failure", "full", "note")}
    return Step(record or None, done=bool(flat_result.get("done")), members=flat_result.get("members") or 0, **told)


def _objective(study: Study) -> dict[str, str]:
    """What Ray Tune is told of the objective."""
    objective = task_of(study.spec.task).objective
    return {"metric": objective.val_name, "mode": "max" if objective.higher_is_better else "min"}


def trial_title(stage: str, number: int, params: Params) -> str:
    """What Ray's dashboard calls a trial: its stage, its number and as many of its parameters as fit on a line."""
    return cropped(" ".join(f"{stage} trial {number} {params_text(params)}".split()), _TITLE_LENGTH)


class StudySearcher(Searcher):
    """Hands Ray Tune the study's trials and tells the study how they ended.

    Args:
        study: The durable record.
        desk: Gives the trials their places in shared passes; none where each trains in a process of its own.
    """

    def __init__(self, study: Study, desk: Desk | None = None) -> None:
        super().__init__(**_objective(study))
        self._study: Study | None = study
        self._desk = desk
        self._ahead: deque[dict[str, Any]] = deque()
        self.numbers: dict[str, int] = {}
        # Of trials that had to stop: by then the study may have handed out the same one again, under another id.
        self._left: set[str] = set()

    def seat_ahead(self, most: int) -> list[dict[str, Any]]:
        """Hand out trials now, to be given to Ray Tune as it asks: they train before their processes are there.

        Args:
            most: How many, if there are that many.

        Returns:
            Their configs.
        """
        while len(self._ahead) < most and (config := self._next_config()) is not None:
            self._ahead.append(config)
        return list(self._ahead)

    # Ray's own annotation of `suggest` forgets FINISHED, which is a text.
    def suggest(self, trial_id: str) -> Any:
        config = self._ahead.popleft() if self._ahead else self._next_config()
        if config is None:
            # None only puts it off, and Ray Tune asks again; FINISHED is for good. What trains may be handed back.
            return Searcher.FINISHED if self.study.exhausted and not self.study.training else None
        self.numbers[trial_id] = config["number"]
        return config

    def _next_config(self) -> dict[str, Any] | None:
        trial = self.study.next_trial()
        if trial is None:
            return None
        seat = {} if self._desk is None else self._desk.seat(trial)
        title = trial_title(self.study.spec.stage, trial.number, trial.params)
        return {"number": trial.number, "params": trial.params, "settled": trial.settled, "title": title, **seat}

    def take(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Record what a trial sent; whether it must stop."""
        if trial_id in self._left:
            return True
        number, step = self.numbers[trial_id], _step(result)
        if self._desk is not None and "place" in result:
            # Before the trial may leave its pass.
            self._desk.note(number, int(result["place"]), step)
        # Trials that reach a rung together are all recorded before the first of them is judged.
        for other, epochs in result.get("mates", ()):
            for epoch in epochs:
                self.study.record(other, epoch)
        if self.study.take(number, step):
            self._left.add(trial_id)
            return True
        return False

    def hand_back(self, trial_id: str) -> None:
        """Have a trial that Ray Tune gives up handed out to it again, under another id."""
        self._left.add(trial_id)
        self.study.hand_back(self.numbers[trial_id])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        try:
            if result is not None and not error:
                self.take(trial_id, {**result, "done": True})
        except Exception:
            # Ray Tune would log it with its traceback and go on. What could not be written has halted the study, which
            # is told once Ray Tune has ended.
            if not self.study.halted:
                raise

    @property
    def study(self) -> Study:
        if self._study is None:
            raise RuntimeError("this searcher was unpickled; only the driver's own can be asked")
        return self._study

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its searcher into a snapshot. The study, and its database password, stay out of it.
        return {**self.__dict__, "_study": None, "_desk": None, "_ahead": deque()}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the study is durable by itself."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: a resumed run opens its study."""


class StudyScheduler(FIFOScheduler):
    """Records each epoch in the study, stops a trial when the study says so, and tells why one failed for good.

    Args:
        searcher: Hands out the trials.
        concurrent: Trials at a time.
        one_by_one: Whether processes of trials start one after the other until one of them has told something.
        about_death: What else is known of a process that died while it trained a trial of these parameters.
    """

    def __init__(
        self,
        searcher: StudySearcher,
        concurrent: int,
        one_by_one: bool,
        about_death: Callable[[Params], str] = lambda params: "",
    ) -> None:
        super().__init__()
        self._about_death = about_death
        self._searcher, self._concurrent = searcher, concurrent
        self._widen_to = concurrent if one_by_one else None

    def on_trial_add(self, tune_controller: object, trial: TuneTrial) -> None:
        """Let the process of every trial that stops wait for the next one.

        Ray Tune keeps a single idle process: where ASHA stops several trials at a rung it would end the other ones, and
        start as many anew at seconds of CPU time each. It has no setting for that; should the attribute ever be called
        otherwise, its own way remains.
        """
        cache = _inner(tune_controller, "_actor_cache")
        if self._concurrent and cache is not None:
            cache.increase_max(trial.placement_group_factory, self._concurrent)
            self._concurrent = 0

    def on_trial_result(self, tune_controller: object, trial: TuneTrial, result: dict[str, Any]) -> str:
        self._widen(tune_controller)
        must_stop = self._searcher.take(trial.trial_id, result)
        return str(TrialScheduler.STOP if must_stop else TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: object, trial: TuneTrial, result: dict[str, Any]) -> None:
        """Called with a trial's last result, of which `on_trial_result` is not told, and where one was stopped."""
        self._widen(tune_controller)
        # Ray Tune keeps every trial to its end, with averages over the last epochs of each number: 40 kB that nobody
        # reads, and that its snapshots would hold again and again.
        trial.metric_analysis.clear()
        trial.metric_n_steps.clear()
        trial.run_metadata.invalidate_cache()

    def on_trial_error(self, tune_controller: object, trial: TuneTrial) -> None:
        """Called for every attempt that failed, also where Ray Tune will make another."""
        self._widen(tune_controller)
        study, number = self._searcher.study, self._searcher.numbers[trial.trial_id]
        reason, is_death = _reason(trial)
        about = f"; {self._about_death(trial.config['params'])}" if is_death else ""
        if trial.should_recover():
            study.note(number, f"Tried again: {reason}{about}")
            # The death of a process that was just being given its next trial reaches Ray Tune twice, as the actor's and
            # as the call's. By the second it gives up a trial that is to recover, whose state is then no ERROR yet.
            if trial.status != TuneTrial.ERROR:
                self._searcher.hand_back(trial.trial_id)
            return
        study.note(number, f"Given up after {RETRIES + 1} attempts: {reason}{about}")
        log = log_name(study.paths.trial(number))
        study.finish(number, "failed", f"{reason} after {RETRIES + 1} attempts (see {log}){about}")

    def _widen(self, tune_controller: object) -> None:
        """Let the processes of all trials start at a time from now on."""
        widen = _inner(tune_controller, "update_max_pending_trials")
        if self._widen_to is not None and widen is not None:
            widen(self._widen_to)
            self._widen_to = None


def _inner(tune_controller: object, name: str) -> Any:
    """What Ray Tune's controller holds, of which schedulers are given a part or all; None if it is there no more."""
    return getattr(getattr(tune_controller, "_tune_controller", tune_controller), name, None)


def _reason(trial: TuneTrial) -> tuple[str, bool]:
    """The real error of a trial's last attempt in one line, and whether it is that a process died.

    It is found in the text that Ray Tune keeps of each attempt.
    """
    text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace") if trial.error_file else ""
    *_, last = text.split("Failure # ")
    lines = [line.strip() for line in last.splitlines()[1:] if line.strip()]
    told = [line.partition("RetryError: ")[2] for line in lines if "RetryError: " in line]
    if told:
        return told[-1], told[-1] == LOST
    return f"its process died ({lines[0] if lines else 'no reason given'})", True


def run_separate(spec: RunSpec, paths: RunPaths, study: Study, dataset: TrainingSet, slots: Slots) -> None:
    """Run a search to its end on the Ray cluster that this process is connected to, a process a trial."""
    job = _job(spec, paths, dataset, slots)
    asked = {"cpu": slots.cpus_per_trial, "gpu": slots.gpus_per_trial, "memory": slots.memory_bytes}
    trainable = tune.with_resources(tune.with_parameters(SpectralTrial, job=job), asked)
    _fit(trainable, StudySearcher(study), paths.name, slots, _about_deaths(spec, dataset, slots), one_by_one=False)


def start_passes(slots: Slots) -> list[Any]:
    """The processes of the shared passes, as handles; they import what they need while the examples are read."""
    server = ray.remote(PassServer).options(
        num_cpus=max(0.0, slots.cpus_per_trial - _PASS_SPARES_CPU),
        num_gpus=slots.gpus_per_trial,
        memory=slots.memory_bytes or None,
        max_restarts=-1,  # it is trials whose attempts are counted
        scheduling_strategy="SPREAD",
    )
    return [server.remote() for _ in range(slots.passes)]


def run_shared(
    passes: list[Any], spec: RunSpec, paths: RunPaths, study: Study, dataset: TrainingSet, slots: Slots
) -> None:
    """Run a search to its end on the Ray cluster that this process is connected to, its trials in shared passes."""
    # In a list, since Ray replaces a bare reference among the arguments of a call by what it refers to.
    stored = [ray.put(_job(spec, paths, dataset, slots))]
    desk = Desk(passes, stored, study, slots.concurrent)
    told = study.listener

    def tell(event: str, trial: LiveTrial) -> None:
        desk.hear(event, trial)
        told(event, trial)

    study.listener = tell
    told_each: dict[str, Any] = {"passes": passes, "stored": stored, "on_cluster": slots.address is not None}
    trainable = tune.with_resources(tune.with_parameters(PassTrial, **told_each), {"cpu": _TRIAL_CPU})
    searcher = StudySearcher(study, desk)
    seated = searcher.seat_ahead(slots.concurrent)
    # A pass trains them without their processes, whose imports only slow it, and one of these tells of all. But before
    # a rung or an end is told all have to be there.
    one_by_one = not any(_decides(spec, config["params"], config["settled"] + 1) for config in seated)
    _fit(trainable, searcher, paths.name, slots, _about_deaths(spec, dataset, slots), one_by_one=one_by_one)


def _decides(spec: RunSpec, params: Params, epoch: int) -> bool:
    """Whether a trial may be over, or judged, after an epoch."""
    fit = spec.with_params(params).fit
    last = min(fit.epochs, earliest(fit, spec.search.collapse_epochs))
    return epoch >= last or epoch in rule_of(spec).rungs(fit.epochs)


def _job(spec: RunSpec, paths: RunPaths, dataset: TrainingSet, slots: Slots) -> Job:
    threads, share = max(1, int(slots.cpus_per_trial)), min(1.0, slots.gpus_per_trial)
    # Absolute, since a process of Ray may work in another directory.
    return Job(spec, RunPaths(paths.root.absolute(), paths.name), dataset, threads, share, slots.members)


def _about_deaths(spec: RunSpec, dataset: TrainingSet, slots: Slots) -> Callable[[Params], str]:
    """Tells why a process may have died that trained a trial, by the kernel's count and by what the trial needs."""
    watch = Watch(here=slots.address is None)
    pixels, examples, gpu = dataset.values, dataset.examples, slots.gpus_per_trial > 0

    def about(params: Params) -> str:
        return f"{watch.verdict()}. {need_told(spec.with_params(params), pixels, examples, gpu=gpu)}."

    return about


def _fit(
    trainable: Any,
    searcher: StudySearcher,
    name: str,
    slots: Slots,
    about_death: Callable[[Params], str],
    *,
    one_by_one: bool,
) -> None:
    study, concurrent = searcher.study, slots.concurrent
    if slots.address is None:
        # Ray Tune hands some variables on to each trial's process, for which Ray then starts one process to start
        # another. On this machine they inherit them, and can be those that Ray keeps ready.
        class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE = {}, set()
    # Left to itself, Ray Tune starts the process of one trial only when that of the one before is there.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "1" if one_by_one else str(concurrent)
    # Ray Tune must keep its snapshots somewhere. Nobody reads them, so they go with the search.
    with tempfile.TemporaryDirectory(prefix="spectral-search-") as scratch:
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                metric=_objective(study)["metric"],
                mode=_objective(study)["mode"],
                search_alg=searcher,
                scheduler=StudyScheduler(searcher, concurrent, one_by_one, about_death),
                num_samples=-1,  # the searcher knows its end; a trial that waited at a rung comes a second time
                max_concurrent_trials=concurrent,
                # A process costs a second or two of CPU time at its start, most of it for imports.
                reuse_actors=True,
                # With Ray Tune's id, since a trial that waited at a rung comes a second time under another one.
                trial_dirname_creator=lambda trial: f"{trial.config['number']:04d}-{trial.trial_id}",
            ),
            run_config=tune.RunConfig(
                name=name,
                storage_path=str(Path(scratch).absolute()),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=RETRIES),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        try:
            tuner.fit()
        except tune.TuneError:
            study.check()  # Ray Tune wraps in its own words what the study raised
            raise
    # Some errors of callbacks are only logged by Ray Tune: that it returned proves nothing of the record.
    study.check()

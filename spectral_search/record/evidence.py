"""Everything that reports and comparisons rest on, read from a results root: runs, their winners, baselines."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.record.durable import read_arrays
from spectral_search.record.finding import Finding
from spectral_search.record.kept_predictions import read_test_predictions
from spectral_search.record.methods import SAMPLED, Method
from spectral_search.record.paths import RunPaths
from spectral_search.record.reporting import Reporting, reporting_of
from spectral_search.record.run_records import RunRecord, RunSummary, list_runs
from spectral_search.record.tables import column
from spectral_search.spec.families import family_of
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.task.metric import Metric
from spectral_search.task.task import Task


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run with its winner as a method.

    Attributes:
        record: All that the run's folder says.
        config: The winner's configuration.
        method: Its winner; None where there was no test set.
        test_set: As of `Method`.
        train_size: Training examples.
    """

    record: RunRecord
    config: TrialConfig
    method: Method | None
    test_set: str
    train_size: int

    @property
    def name(self) -> str:
        return self.record.paths.name

    @property
    def family(self) -> str:
        """The label of its family of networks."""
        return family_of(self.config.model.kind).label

    @property
    def curve(self) -> list[tuple[int, float]]:
        """Epoch and value of its winner on val."""
        best = self.record.best
        return [] if best is None else sorted(best.values.items())

    @property
    def still_rising(self) -> str:
        """A clause for a winner whose best epoch is its last: it was not trained to its plateau."""
        best = self.record.best
        rising = best is not None and best.best_epoch == self.config.fit.epochs
        way = "rising" if self.record.objective.higher_is_better else "falling"
        return f", its last: it was still {way}" if rising else ""


def plateau_epoch(values: Sequence[tuple[int, float]], objective: Metric) -> int | None:
    """The first epoch of a curve of (epoch, value) that is within the objective's tolerance of its best."""
    if not values:
        return None
    # For a metric that falls the gain of the tolerance is negative, which puts the goal above the best value.
    goal = objective.best(value for _, value in values) - objective.gain(objective.tolerance)
    return next(epoch for epoch, value in values if objective.reaches(value, goal))


@dataclass(frozen=True)
class Evidence:
    """What is known in a results root of runs of one task.

    Attributes:
        task: Their task.
        reporting: What it adds.
        named: The runs that were asked for, in that order.
        others: Every other finished run of the task in the root.
        baselines: Of the data sets of the named runs, at any number of training examples.
        notes: What could not be read or compared, a sentence each.
    """

    task: Task
    reporting: Reporting
    named: list[Run]
    others: list[Run]
    baselines: list[Method]
    notes: list[str]

    @cached_property
    def test_set(self) -> str:
        """The test set that most of the named runs have, the first of equals."""
        return Counter(run.test_set for run in self.named).most_common(1)[0][0]

    @cached_property
    def shown(self) -> list[Method]:
        """Winners of the named runs, and baselines, on that test set."""
        winners = [run.method for run in self.named if run.method is not None]
        return [method for method in [*winners, *self.baselines] if method.test_set == self.test_set]

    @cached_property
    def side_by_side(self) -> list[Method]:
        """As `shown`, each baseline once: at the training size nearest to that of the largest network."""
        networks = [method for method in self.shown if not method.is_baseline]
        size = max((method.train_size for method in networks), default=0)
        nearest: dict[str, Method] = {}
        for method in sorted(self.shown, key=lambda method: abs(method.train_size - size)):
            if method.is_baseline:
                nearest.setdefault(method.family, method)
        return [*networks, *nearest.values()]

    @cached_property
    def runs(self) -> list[Run]:
        """Every finished run of the root, the named ones first."""
        return [*self.named, *self.others]

    @cached_property
    def everything(self) -> list[Method]:
        """All that verdicts may rest on: the winners of all runs, and the baselines."""
        return [*(run.method for run in self.runs if run.method is not None), *self.baselines]

    @cached_property
    def numbers(self) -> list[Finding]:
        """What is measured of the whole."""
        return self.reporting.numbers(self)

    @cached_property
    def verdicts(self) -> list[Finding]:
        """What is decided by it."""
        return self.reporting.verdicts(self)

    @cached_property
    def stops(self) -> list[str]:
        """What is not worth more work, in plain words."""
        return self.reporting.stops(self)


def _load_run(record: RunRecord) -> Run | None:
    """A run's winner as a method; None where the run has no winner yet.

    Raises:
        RequestError: A file of the run is damaged.
    """
    best, task = record.best, record.task
    if best is None or best.best_epoch is None:
        return None
    config, reporting = RunSpec.from_dict(record.spec).with_params(best.params), reporting_of(task)
    test_set, method = reporting.test_set(record.manifest.data, config), None
    train_size = len(read_arrays(record.paths.split_npz)["train_rows"])
    if record.test is not None:
        table, reads = read_test_predictions(record.paths, best.number, best.best_epoch), reporting.reads(config)
        # Runs of earlier versions kept the scores of the test set but no predictions.
        nothing_N = np.zeros(0)
        method = Method(
            name=record.paths.name,
            family=family_of(config.model.kind).label,
            objective=task.objective,
            input=reads.input,
            train_size=train_size,
            test_set=test_set,
            scores=record.test,
            labels=table,
            target_N=nothing_N if table is None else column(table, task.target).astype(np.float64),
            predicted_N=nothing_N if table is None else column(table, task.predicted).astype(np.float64),
            train_seconds=best.seconds,
            fair=reads.fair,
            facts={
                task.objective.val_name: best.best_value,
                "trial": best.number,
                "epoch": best.best_epoch,
                **reads.facts,
            },
        )
    return Run(record, config, method, test_set, train_size)


def load_evidence(root: Path, names: Sequence[str] = ()) -> Evidence:
    """Read runs and baselines.

    Args:
        root: The results root.
        names: Runs; all finished ones of the oldest one's task, oldest first, when empty.

    Raises:
        RequestError: There is no such run, none is named and none is finished, a named one has no result yet, or they
            are of several tasks.
    """
    finished = [run for run in reversed(list_runs(root)) if run.state == "finished"]
    # A run that is named twice counts once. `finished[0]` is only looked at where there is one.
    wanted = list(dict.fromkeys(names)) or [run.name for run in finished if run.task == finished[0].task]
    if not wanted:
        raise RequestError(f"{root} holds no finished run: `spectral-search run step1` makes one.")
    named, notes = [], [] if names else _left_out(finished)
    for name in wanted:
        run = _load_run(RunRecord.load(RunPaths(root, name)))
        if run is None:
            raise RequestError(f"Run {name} has no result yet: `spectral-search status {name}` follows it.")
        named.append(run)
        if run.record.state != "finished":
            notes.append(f"{name} is {run.record.state}: `spectral-search resume {name}` goes on with it.")
        notes.extend(f"{name}: data parts do not match: {text}" for text in run.record.mismatches)
    task = _one_task(named)
    others = []
    for name in (run.name for run in finished if run.task == named[0].record.manifest.task):
        if name not in wanted:
            # A damaged run that nobody asked for must not keep the others from being reported.
            try:
                run = _load_run(RunRecord.load(RunPaths(root, name)))
            except RequestError as fault:
                notes.extend(f"Left out of the verdicts: {text}" for text in fault.faults)
            else:
                others += [run] if run is not None else []
    reporting = reporting_of(task)
    baselines = reporting.baselines(root, [run.record.manifest.data for run in named])
    return Evidence(task, reporting, named, others, baselines, notes + _apart(named, task, reporting))


def _left_out(finished: Sequence[RunSummary]) -> list[str]:
    """A sentence on the finished runs of other tasks than the oldest one's, where no run is named."""
    others = [run for run in finished if run.task != finished[0].task]
    if not others:
        return []
    told = ", ".join(f"{run.name} of {run.task}" for run in others)
    task = others[0].task
    alike = " ".join(run.name for run in others if run.task == task)
    told = f"A report is of one task, here {finished[0].task}, that of the oldest run; left out: {told}."
    return [f"{told} For {task}: `spectral-search report {alike}`."]


def _one_task(runs: Sequence[Run]) -> Task:
    by_task = {run.record.task.name: run for run in runs}
    if len(by_task) > 1:
        told = ", ".join(f"{run.name} of {name}" for name, run in by_task.items())
        raise RequestError(f"Runs of different tasks do not compare ({told}): name runs of one task.")
    return runs[0].record.task


def _apart(runs: Sequence[Run], task: Task, reporting: Reporting) -> list[str]:
    """Which runs cannot be compared with the others, since they were tested on other examples."""
    common = Counter(run.test_set for run in runs).most_common(1)[0][0]
    apart = [run.name for run in runs if run.test_set != common]
    other = f"tested on other {task.examples}{reporting.otherwise[0]}"
    said = [f"{', '.join(apart)}: {other}, so not compared with the others."]
    sampled = [run.name for run in runs if run.test_set.startswith(SAMPLED)]
    older = (
        f"{', '.join(sampled)}: begun by an earlier version, which knew its test {task.examples} by eight of each "
        "shard: whether the others are the same as elsewhere cannot be told."
    )
    untested = [f"{run.name}: no test set, so no test number." for run in runs if run.method is None]
    return [*(said if apart else []), *([older] if sampled else []), *untested]

"""Tables of runs and of stages for a terminal, and what to do next."""

import shlex
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spectral_search.record.gate_verdict import gate_verdict
from spectral_search.record.run_records import RunRecord, RunSummary
from spectral_search.record.wording import amount, duration, fitted_table
from spectral_search.spec.load import StageInfo, stages_after
from spectral_search.task.metric import Metric

TAKES = "    (takes this run's best values)"
FIRST_RUN = "spectral-search run cnn_stage1a --quick"
"""What makes a first run: minutes on two cores, without any data at hand."""


def summary_document(run: RunSummary) -> dict[str, Any]:
    """One run as JSON."""
    objective, named = run.objective, vars(run) | {"path": str(run.path)}
    keys = {"best_value": f"best_{objective.val_name}", "retest_value": f"retest_{objective.name}"}
    return {keys.get(key, key): value for key, value in named.items() if key != "task"}


def render_runs(runs: Sequence[RunSummary]) -> RenderableType:
    """All runs, newest first."""
    if not runs:
        return Text(f"No runs yet: `{FIRST_RUN}` makes one.")
    labels = {run.objective.label for run in runs}
    # Where runs of several objectives stand below each other, each value says what it is of.
    ending, alone = (f" {next(iter(labels))}", True) if len(labels) == 1 else ("", False)
    rows = [["name", "state", "stage", f"best val{ending}", f"re-test{ending}", "trials", "time"]]
    for run in runs:
        values = [_value(run.objective, value, alone) for value in (run.best_value, run.retest_value)]
        values += [str(run.planned_trials or "-"), duration(run.wall_seconds)]
        rows.append([run.name, run.state, run.stage or "-", *values])
    # Names are typed again, so that they stay whole; a stage that begins the name is said twice.
    named = all(run.name.startswith(run.stage or "-") for run in runs)
    spare = (5, 6, 2) if named else (2, 5, 6)
    faults = [Text(f"{run.name}: {run.fault}", style="red") for run in runs if run.fault]
    return Group(fitted_table(rows, spare, frozenset({0, 1, 2})), *faults)


def render_specs(stages: Sequence[StageInfo]) -> RenderableType:
    """The stages that can be run."""
    table = _table("stage", "task", "trials", "grid", "what it searches", right=(2, 3))
    for stage in stages:
        what = stage.description.strip() if not stage.faults else f"faulty: {stage.faults[0]}"
        table.add_row(Text(stage.name), stage.task or "-", str(stage.trials), str(stage.grid_size or "-"), Text(what))
    return table


def next_steps(record: RunRecord, results: str | None = None) -> list[str]:
    """Commands that make sense after a run.

    Args:
        record: The run.
        results: The results folder as it was given, without which the commands would look in another; None for the
            usual one.
    """
    name, place = record.paths.name, f" --results {shlex.quote(results)}" if results else ""
    again = f"spectral-search retry {name}{place}"
    if record.state != "finished":
        return [
            f"Every trial failed; the first reason is above. Look into {record.paths.trials_dir}.",
            f"Mend it, then: {again}",
        ]
    lines = [
        disk_line(record),
        f"best config: {record.paths.best_dir / 'config.yaml'}",
        f"next: spectral-search export {name} -o best.yaml --top 3{place}",
        f"      spectral-search train {shlex.quote(str(record.paths.best_dir))} --seeds 3{place}",
    ]
    if record.failures:
        lines.append(f"      {again}    (runs what failed again, once its cause is mended)")
    for stage, takes in _next_stages(record):
        lines.append(f"      spectral-search run {stage}{place}{TAKES if takes else ''}")
    return lines


def _next_stages(record: RunRecord) -> list[tuple[str, bool]]:
    """The stages that come after this run's, and whether each takes over its best values; none that its gate bars."""
    gate, stage = gate_verdict(record), record.manifest.stage
    if gate is not None and gate.answer != "go_on":
        return []
    taking = stages_after(stage) if stage else []
    onward = (record.spec.get("gate") or {}).get("next")
    return [(name, name in taking) for name in ([onward] if onward else taking)]


def progress_line(record: RunRecord) -> str:
    """How far a run has come, on one line."""
    best, objective, told = record.best, record.objective, ""
    if best is not None:
        told = f", best val {objective.label} {objective.told(best.best_value)} (trial {best.number})"
    return (
        f"{record.paths.name}: {record.state}, {record.counts or 'no trials yet'}, {record.epochs_trained} epochs{told}"
    )


def disk_line(record: RunRecord) -> str:
    """What a run takes on disk, on one line."""
    return f"on disk: {amount(record.paths.bytes_on_disk())} in {record.paths.folder}"


def _table(*names: str, right: tuple[int, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, name in enumerate(names):
        table.add_column(name, justify="right" if index in right else "left", overflow="fold")
    return table


def _value(objective: Metric, value: float | None, alone: bool) -> str:
    return objective.number(value) if alone or value is None else f"{objective.label} {objective.told(value)}"

"""Writes the report of runs: a page, its figures as files, and a table of results. Reads records, trains nothing."""

import csv
import io
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectral_search.drawing.figure import Chapter, Figure
from spectral_search.drawing.plotting import Drawing, rendered
from spectral_search.errors import RequestError
from spectral_search.places import require_output, writing
from spectral_search.record.durable import write_atomic
from spectral_search.record.evidence import Evidence, Run
from spectral_search.record.gate_verdict import gate_verdict
from spectral_search.record.manifest import utc_now
from spectral_search.record.retest_verdict import tied
from spectral_search.record.wording import duration
from spectral_search.report.figures_methods import comparison_figure, size_figure
from spectral_search.report.figures_params import params_figure
from spectral_search.report.figures_runs import cost_figure, curves_figure, finalists_figure, timeline_figure
from spectral_search.report.page import Page, render
from spectral_search.task.task import Task


@dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
        page: The HTML file.
        table: The CSV file.
        files: The figures' files.
        figures: What it shows, also what is not there yet.
        evidence: What it rests on.
    """

    page: Path
    table: Path
    files: list[Path]
    figures: list[Figure]
    evidence: Evidence

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        evidence = self.evidence
        return {
            "page": str(self.page),
            "table": str(self.table),
            "figures": [
                {
                    "key": f.key,
                    "title": f.title,
                    "caption": f.caption,
                    "drawn": f.draw is not None,
                    "command": f.command,
                }
                for f in self.figures
            ],
            "files": [str(file) for file in self.files],
            "results": _csv_rows(evidence),
            "numbers": [finding.to_dict() for finding in evidence.numbers],
            "verdicts": [finding.to_dict() for finding in evidence.verdicts],
            "stop": evidence.stops,
            "notes": evidence.notes,
        }


def write_report(
    evidence: Evidence, page: Path, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Report:
    """Write FILE.html, FILE.csv and FILE_figures/.

    Args:
        evidence: What is known.
        page: The HTML file.
        progress: Told of figures written, and of how many there are.

    Raises:
        RequestError: The page's name does not end in .html, or it cannot be written there.
        RunError: The disk is full.
    """
    if page.suffix.lower() not in (".html", ".htm"):
        raise RequestError(f"{page} must end in .html.")
    require_output(page, makes_folders=True)
    chapters = _chapters(evidence)
    figures = [figure for chapter in chapters for figure in chapter.figures]
    drawn = [figure for figure in figures if figure.draw is not None]
    folder, table, files = page.with_name(f"{page.stem}_figures"), page.with_suffix(".csv"), []
    drawings: dict[str, Drawing] = {}
    with writing(page):
        folder.mkdir(parents=True, exist_ok=True)
        for done, figure in enumerate(drawn):
            progress(done, len(drawn))
            drawings[figure.key] = rendered(figure)
            for ending, content in drawings[figure.key].files.items():
                files.append(folder / f"{figure.key}.{ending}")
                write_atomic(files[-1], content)
        write_atomic(table, _csv_text(evidence))
        write_atomic(page, render(_page(evidence, chapters), drawings))
    progress(len(drawn), len(drawn))
    return Report(page, table, files, figures, evidence)


def csv_columns(task: Task) -> list[str]:
    """The columns of the table; train_time is the winner's training in seconds."""
    scores = [f"test_{metric.name}" for metric in task.metrics]
    return ["experiment_id", "model", "input", "train_size", *scores, "train_time"]


def _csv_rows(evidence: Evidence) -> list[dict[str, Any]]:
    """A row for each named run that was tested, and for each baseline."""
    methods = [run.method for run in evidence.named if run.method is not None] + evidence.baselines
    rows = []
    for method in methods:
        scores = [method.scores.get(metric.name) for metric in evidence.task.metrics]
        values = [method.name, method.family, method.input, method.train_size, *scores, method.train_seconds]
        rows.append(dict(zip(csv_columns(evidence.task), values, strict=True)))
    return rows


def _csv_text(evidence: Evidence) -> str:
    """`_csv_rows` as a file's content."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, csv_columns(evidence.task), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_csv_rows(evidence))
    return buffer.getvalue()


def _chapters(evidence: Evidence) -> list[Chapter]:
    runs, reporting = evidence.named, evidence.reporting
    baselines = [method for method in evidence.side_by_side if method.is_baseline]
    families = dict.fromkeys([*reporting.expected, *(run.family for run in runs)])
    curves = [curves_figure(runs, family, reporting.expected.get(family)) for family in families]
    return [
        Chapter("Methods", "", [comparison_figure(evidence), size_figure(evidence)]),
        *reporting.chapters(evidence),
        Chapter("Training", "", [*curves, cost_figure(runs, baselines, reporting.stage)]),
        *(_run_chapter(run, reporting.stage) for run in runs),
    ]


def _run_chapter(run: Run, stage: str) -> Chapter:
    figures = [finalists_figure(run), params_figure(run, stage), timeline_figure(run)]
    return Chapter(f"Run {run.name}", _run_text(run), figures)


def _run_text(run: Run) -> str:
    record = run.record
    description = str(record.spec.get("description", "")).strip().rstrip(".")
    trials = f"{len(record.trials)} trials, {record.epochs_trained} epochs in {duration(record.wall_seconds)}"
    stage = f"Stage {record.manifest.stage}{f': {description}' if description else ''}. "
    collapsed = "".join(f" Trial {trial.number} collapsed: {trial.collapsed}" for trial in record.collapsed)
    failed = "".join(f" {group.told[0].upper()}{group.told[1:]}." for group in record.failures)
    return f"{stage}{run.train_size:,} training {record.task.examples}; {trials}.{failed}{collapsed}"


def _page(evidence: Evidence, chapters: Sequence[Chapter]) -> Page:
    names = ", ".join(run.name for run in evidence.named)
    return Page(
        title=f"spectral-search: {names if len(names) < 60 else f'{len(evidence.named)} runs'}",
        subtitle=f"{evidence.reporting.subtitle or evidence.task.name}; written {utc_now()[:16].replace('T', ' ')} UTC",
        summary=_summary(evidence, chapters),
        stops=evidence.stops,
        verdicts=evidence.verdicts,
        numbers=evidence.numbers,
        chapters=chapters,
        records=_records(evidence),
        notes=evidence.notes,
    )


def _summary(evidence: Evidence, chapters: Sequence[Chapter]) -> list[str]:
    sentences = [chapters[0].figures[0].caption]
    for run in evidence.named:
        ties = tied(run.record.retest or {})
        if ties:
            told = f"trial{'s' if len(ties) > 1 else ''} {', '.join(map(str, ties))}"
            sentences.append(
                f"{run.name}: its winner ties with {told}; the difference is within the noise and the seeds."
            )
        if (gate := gate_verdict(run.record)) is not None:
            sentences.append(f"{run.name}: {gate.text}.")
        sentences += [f"{run.name}: {group.told}." for group in run.record.failures]
        if dead := len(run.record.collapsed):
            trials = f"{dead} of {len(run.record.trials)} trials"
            sentences.append(f"{run.name}: {trials} collapsed, that is learnt nothing to their end; see its chapter.")
    task, closing = evidence.task, f" {evidence.reporting.closing}".rstrip()
    used = f"used {task.retested_on} on the same val {task.examples}" if task.redraws else "measured it once more"
    sentences.append(
        f"val {task.objective.shown} selected the winners and is a little too good for that; the re-test {used}; "
        f"only the test numbers have seen no choice at all.{closing}"
    )
    return sentences


def _records(evidence: Evidence) -> list[list[str]]:
    rows = [["run", "stage", "begun", "data", "device", "versions", "command"]]
    for run in evidence.named:
        manifest = run.record.manifest
        shards = manifest.data.get("shards", {})
        examples = evidence.task.examples
        count = sum(shard.get(examples, 0) for shard in shards.values())
        hardware = manifest.hardware
        device = f"{hardware.get('gpus') or 'no'} GPU, {hardware.get('cores', '?')} cores"
        versions = ", ".join(
            f"{name} {manifest.versions[name]}" for name in ("torch", "optuna") if name in manifest.versions
        )
        command = manifest.command if isinstance(manifest.command, str) else shlex.join(manifest.command)
        rows.append(
            [
                run.name,
                manifest.stage,
                manifest.created_at[:16],
                f"{len(shards)} shards, {count:,} {examples}" if shards else f"{run.train_size:,} training {examples}",
                device,
                versions,
                command,
            ]
        )
    return rows

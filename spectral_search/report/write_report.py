"""Writes the report of runs: a page, its figures as files, and a table of results. Reads records, trains nothing."""

import csv
import io
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectral_search.errors import RequestError
from spectral_search.places import require_output, writing
from spectral_search.record.durable import write_atomic
from spectral_search.record.manifest import utc_now
from spectral_search.record.method_scores import Run
from spectral_search.record.retest_verdict import tied
from spectral_search.record.wording import duration
from spectral_search.report.evidence import Standing
from spectral_search.report.figures import Drawing, Figure, rendered
from spectral_search.report.figures_methods import comparison_figure, size_figure
from spectral_search.report.figures_params import params_figure
from spectral_search.report.figures_runs import cost_figure, curves_figure, finalists_figure, timeline_figure
from spectral_search.report.figures_spectra import bins_figure, predicted_figure, snr_figure
from spectral_search.report.page import Chapter, Page, render

CSV_COLUMNS = (
    *("experiment_id", "model", "input", "train_size", "test_r2", "test_mae_dex", "test_rmse_dex", "train_time"),
)
"""train_time is the winner's training in seconds."""


@dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
        page: The HTML file.
        table: The CSV file.
        files: The figures' files.
        figures: What it shows, also what is not there yet.
        standing: What it rests on.
    """

    page: Path
    table: Path
    files: list[Path]
    figures: list[Figure]
    standing: Standing

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        standing = self.standing
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
            "results": csv_rows(standing),
            "numbers": [finding.to_dict() for finding in standing.numbers],
            "verdicts": [finding.to_dict() for finding in standing.verdicts],
            "stop": standing.stops,
            "notes": standing.notes,
        }


def write_report(
    standing: Standing, page: Path, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Report:
    """Write FILE.html, FILE.csv and FILE_figures/.

    Args:
        standing: What is known.
        page: The HTML file.
        progress: Told of figures written, and of how many there are.

    Raises:
        RequestError: The page's name does not end in .html, or it cannot be written there.
        RunError: The disk is full.
    """
    if page.suffix.lower() not in (".html", ".htm"):
        raise RequestError(f"{page} must end in .html.")
    require_output(page, makes_folders=True)
    chapters = _chapters(standing)
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
        write_atomic(table, csv_text(standing))
        write_atomic(page, render(_page(standing, chapters), drawings))
    progress(len(drawn), len(drawn))
    return Report(page, table, files, figures, standing)


def csv_rows(standing: Standing) -> list[dict[str, Any]]:
    """A row for each named run that was tested, and for each baseline."""
    methods = [run.method for run in standing.named if run.method is not None] + standing.baselines
    rows = []
    for method in methods:
        scores = [method.scores.get(key) for key in ("r2", "mae_dex", "rmse_dex")]
        values = [method.name, method.family, method.input, method.train_size, *scores, method.train_seconds]
        rows.append(dict(zip(CSV_COLUMNS, values, strict=True)))
    return rows


def csv_text(standing: Standing) -> str:
    """`csv_rows` as a file's content."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(csv_rows(standing))
    return buffer.getvalue()


def _chapters(standing: Standing) -> list[Chapter]:
    runs, methods = standing.named, standing.side_by_side
    families = dict.fromkeys(["MLP", "CNN", *(run.family for run in runs)])
    chapters = [
        Chapter("Methods", "", [comparison_figure(methods), size_figure(standing.shown)]),
        Chapter("Spectra", "", [snr_figure(methods), bins_figure(methods), predicted_figure(methods)]),
        Chapter("Training", "", [*(curves_figure(runs, family) for family in families), _cost(standing)]),
    ]
    return chapters + [
        Chapter(f"Run {run.name}", _run_text(run), [finalists_figure(run), params_figure(run), timeline_figure(run)])
        for run in runs
    ]


def _cost(standing: Standing) -> Figure:
    return cost_figure(standing.named, [method for method in standing.side_by_side if method.is_baseline])


def _run_text(run: Run) -> str:
    record = run.record
    description = str(record.spec.get("description", "")).strip().rstrip(".")
    trials = f"{len(record.trials)} trials, {record.epochs_trained} epochs in {duration(record.wall_seconds)}"
    stage = f"Stage {record.manifest.stage}{f': {description}' if description else ''}. "
    collapsed = "".join(f" Trial {trial.number} collapsed: {trial.collapsed}" for trial in record.collapsed)
    return f"{stage}{run.train_size:,} training spectra; {trials}.{collapsed}"


def _page(standing: Standing, chapters: Sequence[Chapter]) -> Page:
    names = ", ".join(run.name for run in standing.named)
    return Page(
        title=f"spectral-search: {names if len(names) < 60 else f'{len(standing.named)} runs'}",
        subtitle=f"log g from noisy spectra; written {utc_now()[:16].replace('T', ' ')} UTC",
        summary=_summary(standing, chapters),
        stops=standing.stops,
        verdicts=standing.verdicts,
        numbers=standing.numbers,
        chapters=chapters,
        records=_records(standing),
        notes=standing.notes,
    )


def _summary(standing: Standing, chapters: Sequence[Chapter]) -> list[str]:
    sentences = [chapters[0].figures[0].caption]
    for run in standing.named:
        ties = tied(run.record.retest or {})
        if ties:
            told = f"trial{'s' if len(ties) > 1 else ''} {', '.join(map(str, ties))}"
            sentences.append(
                f"{run.name}: its winner ties with {told}; the difference is within the noise and the seeds."
            )
        if dead := len(run.record.collapsed):
            trials = f"{dead} of {len(run.record.trials)} trials"
            sentences.append(f"{run.name}: {trials} collapsed, that is learnt nothing to their end; see its chapter.")
    sentences.append(
        "val R² selected the winners and is a little too good for that; the re-test used fresh noise on the same val "
        "spectra; only the test numbers have seen no choice at all. All errors are in dex."
    )
    return sentences


def _records(standing: Standing) -> list[list[str]]:
    rows = [["run", "stage", "begun", "data", "device", "versions", "command"]]
    for run in standing.named:
        manifest = run.record.manifest
        shards = manifest.data.get("shards", {})
        spectra = f"{len(shards)} shards, {sum(shard.get('spectra', 0) for shard in shards.values()):,} spectra"
        hardware = manifest.hardware
        device = f"{hardware.get('gpus') or 'no'} GPU, {hardware.get('cores', '?')} cores"
        versions = ", ".join(
            f"{name} {manifest.versions[name]}" for name in ("torch", "optuna") if name in manifest.versions
        )
        command = manifest.command if isinstance(manifest.command, str) else shlex.join(manifest.command)
        rows.append([run.name, manifest.stage, manifest.created_at[:16], spectra, device, versions, command])
    return rows

"""The list of all runs as the page gets it."""

from typing import Any

from spectral_search.cluster.live_page.metric_values import metric_document
from spectral_search.cluster.live_page.results_folder import Glance, ResultsFolder
from spectral_search.record.overview import FIRST_RUN
from spectral_search.record.run_records import RunSummary
from spectral_search.spec.task_modules import DEFAULT_TASK


def runs_document(folder: ResultsFolder) -> dict[str, Any]:
    """All runs, newest first, and what to do where there is none.

    Raises:
        RequestError: The folder cannot be listed.
    """
    runs = [_run(summary, glance) for summary, glance in folder.runs()]
    return {"root": str(folder.root.absolute()), "exists": folder.root.is_dir(), "runs": runs, "begin": FIRST_RUN}


def _run(run: RunSummary, glance: Glance | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": run.name,
        "state": run.state,
        "stage": run.stage,
        "created_at": run.created_at,
        "planned": run.planned_trials,
        "wall_seconds": run.wall_seconds,
        "fault": run.fault,
    }
    if run.state == "unreadable":
        return document
    best = run.best_value if glance is None else glance.best_value
    document |= {
        "task": run.task,
        "is_default_task": run.task == DEFAULT_TASK,
        "metric": metric_document(run.objective),
        "best": best,
        "retest": run.retest_value,
    }
    if glance is not None:
        document |= {"counts": glance.counts, "epochs": glance.epochs}
    return document

"""Several runs side by side: their best so far against what it cost, and what the test set says of each two."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from spectral_search.cluster.live_page.metric_values import metric_document, retest_document
from spectral_search.cluster.live_page.outlook import AT
from spectral_search.cluster.live_page.results_folder import ResultsFolder, WatchedRun
from spectral_search.errors import RequestError
from spectral_search.record.comparison import compare
from spectral_search.record.evidence import load_evidence
from spectral_search.record.run_records import RunRecord

_MOST_COMPARED = 12


def comparison_document(folder: ResultsFolder, names: Sequence[str]) -> dict[str, Any]:
    """Runs side by side, each finished one against the first finished one of the same task.

    Raises:
        RequestError: There is no such run, it cannot be read, or too many are named.
    """
    names = list(dict.fromkeys(names))
    if not 0 < len(names) <= _MOST_COMPARED:
        raise RequestError(f"{len(names)} runs were named: compare between 1 and {_MOST_COMPARED}.")
    runs = []
    firsts: dict[str, RunRecord] = {}
    for name in names:
        watched = folder.watched(name)
        with watched.lock:
            record = watched.read(folder.now())
            document = _run(record, watched.made("best so far", record.trials, partial(best_so_far, record)))
            if record.state == "finished":
                first = firsts.setdefault(record.manifest.task, record)
                document["first"] = first.paths.name
                if first is not record:
                    document["against_first"] = _against(folder, first, record, watched)
        runs.append(document)
    return {"runs": runs}


def _against(folder: ResultsFolder, first: RunRecord, other: RunRecord, watched: WatchedRun) -> dict[str, Any]:
    """The difference on the same test examples with its interval, or why there is none; worked out once."""
    names = first.paths.name, other.paths.name
    of = first.manifest.model_dump(), other.manifest.model_dump()
    return watched.made(f"against {names[0]}", of, partial(_paired, folder, *names))


def best_so_far(record: RunRecord) -> list[tuple[int, float]]:
    """Epochs trained by all trials together, and the best value by then: each that was better, and the last.

    Epochs come in the order in which they were written down; those of earlier versions, which did not say when, by
    trial.
    """
    objective = record.objective
    # A trial that failed is none that a search would choose.
    rows = [
        (row.get(AT) or 0.0, trial.number, row["epoch"], trial.values.get(row["epoch"]), trial.state)
        for trial in record.trials
        for row in trial.epochs
    ]
    rows.sort(key=lambda row: row[:3])
    best, steps = objective.nothing, []
    for count, (_, _, _, value, state) in enumerate(rows, start=1):
        if value is not None and state != "failed" and objective.better(value, best):
            best = value
            steps.append((count, best))
    if steps and steps[-1][0] < len(rows):
        steps.append((len(rows), best))
    return steps


def _run(record: RunRecord, curve: Sequence[tuple[int, float]]) -> dict[str, Any]:
    best, objective = record.best, record.objective
    return {
        "name": record.paths.name,
        "state": record.state,
        "task": record.manifest.task,
        "stage": record.manifest.stage,
        "metric": metric_document(objective),
        "best": None if best is None else best.best_value,
        "retest": retest_document(record),
        "test": (record.test or {}).get(objective.name),
        "trials": len(record.trials),
        "epochs": record.epochs_trained,
        "wall_seconds": record.wall_seconds,
        "params": {} if best is None else best.params,
        "curve": curve,
        "first": None,
        "against_first": None,
    }


def _paired(folder: ResultsFolder, first: str, other: str) -> dict[str, Any]:
    try:
        one, two = load_evidence(folder.root, [first, other]).named
        found = compare(one, two)
    except RequestError as fault:
        return {"gain": None, "verdict": " ".join(fault.faults)}
    return {"gain": None if found.gain is None else found.gain.to_dict(), "verdict": found.verdict}

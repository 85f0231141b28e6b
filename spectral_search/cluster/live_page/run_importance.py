"""Which parameters mattered in a run, as the page gets it."""

from typing import Any

from spectral_search.cluster.live_page.results_folder import WatchedRun
from spectral_search.record.importance import MIN_TRIALS, importance, judged_trials
from spectral_search.record.wording import short_keys


def importance_document(run: WatchedRun, now: float) -> dict[str, Any]:
    """Parts of one by parameter, the largest first; none while too few trials are over.

    Raises:
        RequestError: A file of the run is missing, locked or damaged.
    """
    record = run.read(now)
    trials, _ = judged_trials(record)
    found = run.made("importance", trials, lambda: importance(record))
    if found is None:
        return {"share": [], "trials": len(trials), "needed": MIN_TRIALS, "epoch": None}
    names = short_keys(list(found.share))
    share = [{"key": key, "name": names[key], "part": part} for key, part in found.share.items()]
    return {"share": share, "trials": found.trials, "needed": MIN_TRIALS, "epoch": found.epoch}

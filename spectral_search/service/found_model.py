"""The exported model that a path or the name of a run means."""

from pathlib import Path

from spectral_search.errors import RequestError
from spectral_search.places import given_path
from spectral_search.record.paths import RunPaths, results_root


def find_model(model: str, results: str | None = None) -> Path:
    """The exported model that a path or a run's name means.

    Raises:
        RequestError: It means none.
    """
    path = given_path(model, "The model")
    if path.exists():
        return path
    root = results_root(results)
    if "/" not in model and (root / model / "manifest.json").is_file():
        best = RunPaths(root, model).best_dir
        if best.is_dir():
            return best
        raise RequestError(f"Run {model} has no exported winner yet: `spectral-search resume {model}` finishes it.")
    raise RequestError(f"{model} is neither an exported model nor a finished run in {root}: give a .yaml or a name.")

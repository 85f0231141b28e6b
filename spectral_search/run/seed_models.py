"""One config trained with several seeds: a model of each, measured on val and, where there is one, on the test set.

Nothing is chosen among them, so that every one of them may see the test set.
"""

from typing import TYPE_CHECKING, Any

from spectral_search.record.bundle import write_bundle
from spectral_search.record.export import trial_bundle
from spectral_search.record.manifest import Manifest
from spectral_search.record.seed_table import seed_entry
from spectral_search.record.tables import column
from spectral_search.spec.grid import products
from spectral_search.spec.run import RunSpec

if TYPE_CHECKING:
    import torch

    from spectral_search.record.run_records import RunRecord, TrialRecord
    from spectral_search.task.preparation import Prepared

_SEED = "fit.seed"


def trains_seeds(spec: RunSpec) -> bool:
    """Whether a run's trials are one config with several seeds, which is what `train` makes of it."""
    return spec.search.exhaustive and {key for product in products(spec.grid) for key in product} == {_SEED}


def export_seeds(record: "RunRecord", prepared: "Prepared", device: "torch.device") -> None:
    """Export the model of every seed and enter what each reached into the manifest.

    Raises:
        RequestError: A file of a trial is missing or damaged.
    """
    entries = [_exported(record, trial, prepared, device) for trial in record.trials]
    manifest = Manifest.load(record.paths.manifest_json)
    manifest.seeds = entries
    manifest.save(record.paths.manifest_json)


def _exported(
    record: "RunRecord", trial: "TrialRecord", prepared: "Prepared", device: "torch.device"
) -> dict[str, Any]:
    seed = int(trial.params[_SEED])
    if trial.best_value is None or trial.state == "failed":
        return {"seed": seed, "trial": trial.number, "failure": trial.error or "it has no value"}
    bundle, file, task, test = trial_bundle(record, trial), record.paths.seed_model(seed), record.task, None
    if prepared.has_test:
        table = prepared.test(prepared.predictor(bundle, device), record.manifest.data).table
        test = task.scores(column(table, task.predicted), column(table, task.target))
    metadata = bundle.preprocessing_metadata
    metrics = bundle.metrics if test is None else {**bundle.metrics, "test": test}
    write_bundle(file, bundle.config, bundle.weights, bundle.preprocessing, metrics, preprocessing_metadata=metadata)
    model = str(file.relative_to(record.paths.folder))
    return seed_entry(seed, trial.number, task, bundle.metrics, test, model)

"""An exported model on other spectra: evaluate and predict."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spectral_search import __version__
from spectral_search.errors import RequestError
from spectral_search.record.bundle import Bundle, read_bundle
from spectral_search.record.fetched_data import told_path
from spectral_search.record.kept_predictions import read_test_predictions, write_test_predictions
from spectral_search.record.manifest import Manifest, sampled, utc_now
from spectral_search.record.paths import RunPaths
from spectral_search.record.stack_bundle import Stack
from spectral_search.spec.run import RunSpec
from spectral_search.task.preparation import Examined
from spectral_search.task.registry import task_of
from spectral_search.tasks.spectra.noise.val_draws import val_draws
from spectral_search.tasks.spectra.report.kept_baselines import data_key
from spectral_search.tasks.spectra.scores import scores
from spectral_search.tasks.spectra.shards.blocks import iter_blocks
from spectral_search.tasks.spectra.shards.content import Gathering, digests_of
from spectral_search.tasks.spectra.shards.data_root import SHARD_FILE, DataRoot, sampled_sha256
from spectral_search.tasks.spectra.shards.loaded_spectra import load_spectra
from spectral_search.tasks.spectra.shards.same_data import same_bytes
from spectral_search.tasks.spectra.shards.split import Selection, val_selection
from spectral_search.tasks.spectra.training.dataset import freeze, labelled
from spectral_search.tasks.spectra.training.predictor import Predictions, Predictor

if TYPE_CHECKING:
    import pandas as pd


def best_device() -> torch.device:
    """The first GPU, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def evaluate_model(model: Path, data: Path, part: str, observed: bool, run: RunPaths | None = None) -> dict[str, Any]:
    """R2, MAE and RMSE in dex of a model on a shard or on a part of a data root.

    Args:
        model: The exported model.
        data: A shard, its folder, or a data root.
        part: Which part of a root; auto takes test where there is one, else val.
        observed: The flux is as observed: no noise is added to it.
        run: The run that the model is the winner of. If it lacks the predictions for its own test set, which reports
            rest on, it keeps these; what it has is never rewritten.

    Raises:
        RequestError: The model or the data cannot be read, do not fit each other, or the part is absent.
    """
    bundle = read_bundle(model)
    predictor, known = Predictor(bundle, best_device()), bundle.provenance.get("data_fingerprint") or {}
    if _is_shard(data):
        return _score_shards(predictor, Selection.all_of(DataRoot.find(_shard_file(data)).train), "shard", observed)[0]
    root = DataRoot.find(data, need_train=False)
    chosen = ("test" if root.test else "val") if part == "auto" else part
    if chosen == "val":
        return _score_val(predictor, root, known)
    shards = {"train": root.train, "test": root.test}[chosen]
    if not shards:
        raise RequestError(f"{data} has no {chosen}*/{SHARD_FILE}: choose another --part, or give a shard.")
    document, predictions = _score_shards(predictor, Selection.all_of(shards), chosen, observed)
    if run is None or chosen != "test" or observed:
        return document
    recorded = Manifest.load(run.manifest_json).data
    own = _has_test_set(recorded, root, predictions)
    if own and read_test_predictions(run, *predictor.origin) is None:
        task = task_of(RunSpec.from_dict(bundle.config).task)
        write_test_predictions(run, task, *predictor.origin, predictions.table)
    return {**document, "own_test_set": own, "note": _test_note(run, recorded, own=own)}


def _has_test_set(recorded: Mapping[str, Any], root: DataRoot, predictions: Predictions) -> bool:
    """Whether what was predicted are the very test spectra of a run, with the labels that it knows them by."""
    shards, present = recorded.get("shards", {}), root.fingerprint()
    tests = [shard.name for shard in root.test]
    if tests != [name for name in shards if name.startswith("test")]:
        return False
    if sampled(shards):
        return all(sampled_sha256(shard) == shards[shard.name]["sha256"] for shard in root.test)
    labels = all(shards[name].get("labels") == present[name]["labels"] for name in tests)
    return labels and same_bytes(recorded.get("content", {}).get("test", {}), predictions.content)


def _test_note(run: RunPaths, recorded: Mapping[str, Any], *, own: bool) -> str | None:
    if not own:
        return f"These are not the test spectra of run {run.name}: what it keeps of its own stays as it is."
    if sampled(recorded.get("shards", {})):
        return (
            f"Run {run.name} was begun by an earlier version, which recorded eight spectra of each shard: by these "
            "this is its test set."
        )
    return None


def _is_shard(path: Path) -> bool:
    """Whether a path is one shard, or the folder of one."""
    return path.is_file() or (path / SHARD_FILE).is_file()


def _shard_file(path: Path) -> Path:
    """The file of a shard's folder; other paths as they are. A lone file counts as training spectra."""
    return path / SHARD_FILE if (path / SHARD_FILE).is_file() else path


def _score_shards(
    predictor: Predictor, selection: Selection, part: str, observed: bool
) -> tuple[dict[str, Any], Predictions]:
    predictions = predictor.predict_shards(selection, observed=observed)
    table = predictions.table[np.isfinite(predictions.table["log_g"])]
    measured = scores(table["log_g_predicted"].to_numpy(), table["log_g"].to_numpy())
    return {**measured, "spectra": len(table), "part": part, "noise": predictions.noise}, predictions


def _score_val(predictor: Predictor, root: DataRoot, known: Mapping[str, Any]) -> dict[str, Any]:
    """The model on val spectra and frozen noise exactly as its search drew them."""
    predicted_DN, log_g_N, content = _predicted_val(predictor, root)
    measured = scores(predicted_DN, np.broadcast_to(log_g_N, predicted_DN.shape))
    noise = f"{len(predicted_DN)} frozen draws, as in the search"
    document = {**measured, "spectra": len(log_g_N), "part": "val", "noise": noise}
    recorded = known.get("content", {}).get("val")
    if recorded and not same_bytes(recorded, content):
        document["note"] = (
            "These are not the val spectra that the model was chosen on: the leaderboard has another number."
        )
    return document


def _predicted_val(predictor: Predictor, root: DataRoot) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
    """Predictions (D, N) of the val spectra, their log g, and digests of what was read."""
    data = predictor.config.data
    selection = val_selection(root, data)
    predictor.require_grid(selection)
    gathering = Gathering(selection)
    spectra = load_spectra(selection, gathering.watch(iter_blocks(selection, True, hashed=True)))
    val = labelled(spectra, predictor.prep)
    draws = val_draws(data.val_draws, len(val))
    counter = (data.split_seed, "val")
    frozen = freeze(val, spectra.noisy_NL, draws=draws, noise_level=data.noise_level, counter=counter)
    return predictor.predict(frozen), val.log_g_N, digests_of(selection, gathering.whole())


def examined(bundle: Bundle, data: Path, part: str) -> Examined:
    """What an exported model predicts for a part of a data root.

    Raises:
        RequestError: The data cannot be read, do not fit the model, or the part is absent.
    """
    predictor, root = Predictor(bundle, best_device()), DataRoot.find(data, need_train=False)
    chosen = ("test" if root.test else "val") if part == "auto" else part
    if chosen == "val":
        predicted_DN, log_g_N, _ = _predicted_val(predictor, root)
        return Examined(predicted_DN, log_g_N, chosen)
    shards = {"train": root.train, "test": root.test}[chosen]
    if not shards:
        raise RequestError(f"{data} has no {chosen}*/{SHARD_FILE}: choose another --part.")
    table = predictor.predict_shards(Selection.all_of(shards)).table
    table = table[np.isfinite(table["log_g"])]
    return Examined(table["log_g_predicted"].to_numpy()[None], table["log_g"].to_numpy(), chosen)


def predict_shards(
    model: Path, data: Path, observed: bool, accept: "Callable[[pd.DataFrame], None]" = lambda labels: None
) -> Predictions:
    """Predict a shard, or the test, else val, else train spectra of a data root; labels need not be there.

    Args:
        model: The exported model.
        data: A shard, its folder, or a data root.
        observed: The flux is as observed: no noise is added to it.
        accept: Shown the labels before any work; may refuse them.

    Raises:
        RequestError: The model or the data cannot be read, or do not fit each other.
    """
    bundle = read_bundle(model)
    stack = Stack.of(bundle)
    predictors = [Predictor(one, best_device()) for one in ([bundle] if stack is None else stack.models)]
    root = DataRoot.find(_shard_file(data), need_train=False, need_labels=False)
    selection = Selection.all_of(root.test or root.val or root.train)
    each = [model.predict_shards(selection, observed=observed, accept=accept) for model in predictors]
    made = each[0]
    if stack is not None:
        predicted_N = stack.trees.combined(np.stack([one.table["log_g_predicted"].to_numpy() for one in each]))
        made = replace(made, table=made.table.assign(log_g_predicted=predicted_N))
    shards = [shard.name for shard in selection.shards]
    about = {"model": str(model), "data": told_path(data), "shards": shards, "noise": made.noise}
    return replace(made, provenance={**_origin(bundle, predictors[0].config.data.noise_level), **about})


def _origin(bundle: Bundle, noise_level: float) -> dict[str, Any]:
    """What a model is from, and when it was used."""
    known = bundle.provenance
    trained_on = known.get("data_fingerprint")
    return {
        "creator": f"spectral-search {__version__}",
        "date": utc_now().removesuffix("+00:00"),  # FITS wants no zone: it is UTC
        **{key: known.get(key) for key in ("run", "trial", "epoch", "val_r2")},
        "weights_sha256": (known.get("sha256") or {}).get("model"),
        "trained_on": data_key(trained_on) if trained_on else None,
        "noise_level": noise_level,
    }

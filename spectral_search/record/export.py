"""Exports the best trials of a run as bundles."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectral_search.errors import RequestError
from spectral_search.places import require_output, writing
from spectral_search.record.bundle import Bundle, read_safetensors, write_bundle
from spectral_search.record.manifest import utc_now
from spectral_search.record.paths import TrialPaths
from spectral_search.record.run_records import RunRecord, TrialRecord
from spectral_search.spec.run import RunSpec
from spectral_search.task.metric import Metric


def export_top(record: RunRecord, destination: Path, top: int = 1, *, created_at: str | None = None) -> list[Path]:
    """Export the best trials: FILE.yaml for the winner, FILE-2.yaml and on for the next, each with its weights.

    Args:
        record: The run.
        destination: The winner's YAML file.
        top: How many trials.
        created_at: Time to enter in the provenance, ISO 8601; the present where absent.

    Returns:
        The YAML files, winner first.

    Raises:
        RequestError: The run has fewer trials with a result, a file of one is missing, or the files cannot be written.
        RunError: The disk is full.
    """
    if destination.suffix.lower() not in (".yaml", ".yml"):
        raise RequestError(f"{destination} is not a .yaml file name; give one such as best.yaml.")
    chosen = _winners(record, top)
    if destination.name == "config.yaml" and top > 1:
        raise RequestError("config.yaml stands for one model in a folder of its own; give a name such as best.yaml.")
    require_output(destination, makes_folders=True)
    with writing(destination):
        return _export(record, chosen, destination, created_at)


@dataclass(frozen=True)
class Unlike:
    """One of several exported trials, each of another architecture than all before it.

    Attributes:
        file: Its YAML file.
        trial: It.
        model: Its model section.
        apart: Its value less that of the best.
    """

    file: Path
    trial: TrialRecord
    model: dict[str, Any]
    apart: float


@dataclass(frozen=True)
class UnlikeExport:
    """Trials that differ in their architecture, best first, and the numbers of those whose weights were not kept."""

    exported: list[Unlike]
    not_kept: list[int]


def export_unlike(record: RunRecord, folder: Path, top: int, *, created_at: str | None = None) -> UnlikeExport:
    """Export the best trial of each of the best architectures into a folder, as best.yaml, best-2.yaml and on.

    Two trials differ where any value of their model sections does. A trial without weights leaves its place to the
    next one of its architecture. There may be fewer than were asked for.

    Args:
        record: The run.
        folder: Made where it is not there.
        top: How many at most.
        created_at: Time to enter in the provenance, ISO 8601; the present where absent.

    Raises:
        RequestError: The run has no trial with a result, or the folder is a file or cannot be written.
        RunError: The disk is full.
    """
    if folder.is_file() or folder.suffix:
        raise RequestError(f"{folder} is to be a folder, for several models: give a name without an ending.")
    ranked, spec = _winners(record, 1, everyone=True), RunSpec.from_dict(record.spec)
    chosen, models, not_kept = list[TrialRecord](), list[dict[str, Any]](), list[int]()
    for trial in ranked:
        model = spec.with_params(trial.params).model.model_dump(mode="json")
        if len(chosen) == top or model in models:
            continue
        if not record.paths.trial(trial.number).best_safetensors.exists():
            not_kept.append(trial.number)
            continue
        chosen.append(trial)
        models.append(model)
    if not chosen:
        raise RequestError(f"Run {record.paths.name} keeps the weights of none of its trials: nothing to export.")
    first = folder / "best.yaml"
    require_output(first, makes_folders=True)
    with writing(first):
        files = _export(record, chosen, first, created_at)
    best = ranked[0].best_value or 0.0
    made = zip(files, chosen, models, strict=True)
    exported = [Unlike(file, trial, model, (trial.best_value or 0.0) - best) for file, trial, model in made]
    return UnlikeExport(exported, not_kept)


def export_best(record: RunRecord) -> Path:
    """Write the winner into the run's own best/ folder; returns its config.yaml.

    Raises:
        RequestError: A file of the winner is missing or damaged.
        OSError: The folder cannot be written.
    """
    return _export(record, _winners(record, 1), record.paths.best_dir / "config.yaml", None)[0]


def _export(record: RunRecord, chosen: Sequence[TrialRecord], destination: Path, created_at: str | None) -> list[Path]:
    stamp = created_at or utc_now()
    files = [destination if rank == 1 else _ranked(destination, rank) for rank in range(1, len(chosen) + 1)]
    # Everything is read before anything is written: a missing checkpoint leaves no half of an export behind.
    bundles = [trial_bundle(record, trial, created_at=stamp) for trial in chosen]
    for file, bundle in zip(files, bundles, strict=True):
        arrays = (bundle.weights, bundle.preprocessing)
        metadata = bundle.preprocessing_metadata
        write_bundle(file, bundle.config, *arrays, bundle.metrics, preprocessing_metadata=metadata)
    return files


def _ranked(destination: Path, rank: int) -> Path:
    return destination.with_name(f"{destination.stem}-{rank}{destination.suffix}")


def _winners(record: RunRecord, top: int, *, everyone: bool = False) -> list[TrialRecord]:
    if top < 1:
        raise RequestError(f"{top} trials cannot be exported; ask for at least 1.")
    scored = [trial for trial in record.ranked() if trial.best_value is not None and trial.state != "failed"]
    # In front whatever its rank: a collapsed trial may have the better value.
    best = record.best
    if best is not None:
        scored = [best, *(trial for trial in scored if trial.number != best.number)]
    if len(scored) < top:
        raise RequestError(
            f"Run {record.paths.name!r} has {len(scored)} trials with a result, not {top}; "
            + (f"ask for at most {len(scored)}." if scored else f"continue it with `resume {record.paths.name}`.")
        )
    return scored if everyone else scored[:top]


def trial_bundle(record: RunRecord, trial: TrialRecord, *, created_at: str | None = None) -> Bundle:
    """The best epoch of a trial as a bundle, read from its checkpoint; writes nothing.

    Args:
        record: The run.
        trial: One of its trials.
        created_at: Time to enter in the provenance, ISO 8601; the present where absent.

    Raises:
        RequestError: A file of the trial is missing, damaged, or holds values that are not finite.
    """
    paths = record.paths.trial(trial.number)
    weights, header = read_safetensors(paths.best_safetensors)
    broken = [name for name, array in weights.items() if not np.isfinite(array).all()]
    if broken:
        raise RequestError(
            f"{paths.best_safetensors} holds values that are not finite ({broken[0]}); the trial diverged."
        )
    preprocessing, metadata = _preprocessing(record, paths)
    metrics, key = _best_record(paths, header, record.objective), record.objective.val_name
    provenance = {
        "run": record.paths.name,
        "trial": trial.number,
        "epoch": metrics["epoch"],
        key: metrics[key],
        "retest": _retest_of(record, trial),
        "data_fingerprint": record.manifest.data,
        "versions": record.manifest.versions,
        "created_at": created_at or utc_now(),
    }
    config = RunSpec.from_dict(record.spec).fixed(trial.params, provenance).to_dict()
    return Bundle(config, weights, preprocessing, metrics, metadata)


def _preprocessing(record: RunRecord, paths: TrialPaths) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    own = paths.preprocessing_safetensors
    return read_safetensors(own if own.exists() else record.paths.preprocessing_safetensors)


def _retest_of(record: RunRecord, trial: TrialRecord) -> dict[str, Any] | None:
    """What a trial scored in the re-test, None where it was not among the finalists."""
    retest = record.manifest.retest or {}
    entries = [*retest.get("finalists", []), {"trial": (record.manifest.best or {}).get("trial"), **retest}]
    found = [entry for entry in entries if entry.get("trial") == trial.number]
    return {key: found[0].get(key) for key in (record.objective.name, "low", "high")} if found else None


def _best_record(paths: TrialPaths, header: Mapping[str, str], objective: Metric) -> dict[str, Any]:
    """Metrics of the very epoch whose weights the checkpoint holds; a live trial's study may be ahead of it."""
    try:
        best = json.loads(header["record"])["best"]
        return {"epoch": int(best["epoch"]), objective.val_name: float(best[objective.val_name]), **best}
    except (KeyError, TypeError, ValueError):
        raise RequestError(
            f"{paths.best_safetensors} does not say which epoch it holds; export another trial."
        ) from None

"""Baselines on exactly the spectra of a search: the same split, val noise, test set and preprocessing."""

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from spectral_search import __version__
from spectral_search.errors import RequestError
from spectral_search.places import writing
from spectral_search.record.durable import write_json
from spectral_search.record.manifest import utc_now
from spectral_search.record.paths import BaselinePaths
from spectral_search.record.resampling import interval
from spectral_search.spec.run import RunSpec
from spectral_search.tasks.spectra.audit import audit_checks as inspection
from spectral_search.tasks.spectra.audit.audit_findings import Audited
from spectral_search.tasks.spectra.baselines.fitted_methods import METHODS
from spectral_search.tasks.spectra.baselines.problem import Outcome, Problem, Told
from spectral_search.tasks.spectra.consistency.sample_check import check_sample
from spectral_search.tasks.spectra.report import kept_baselines as stored
from spectral_search.tasks.spectra.report.baseline_methods import METHODS as ASKED
from spectral_search.tasks.spectra.report.baseline_methods import stored_name
from spectral_search.tasks.spectra.report.kept_audit import audit_key
from spectral_search.tasks.spectra.report.kept_baselines import Baselines
from spectral_search.tasks.spectra.scores import R2, scores
from spectral_search.tasks.spectra.section import InputSpec
from spectral_search.tasks.spectra.shards.blocks import iter_blocks
from spectral_search.tasks.spectra.shards.content import arrays_used, content_digests
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.same_data import parts_of
from spectral_search.tasks.spectra.shards.split import Selection, Splits, make_splits
from spectral_search.tasks.spectra.training.dataset import Stream
from spectral_search.tasks.spectra.training.prepare_dataset import prepare
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing
from spectral_search.train.devices import cpu_count

_PACKAGES = ("torch", "numpy", "h5py", "lightgbm")
_ORACLE_LABELS = ("T_eff", "M_H")


@dataclass(frozen=True)
class Question:
    """What the baselines are asked.

    Attributes:
        spec: Its data section says which spectra and how noisy.
        root: The data.
        splits: Which spectra train, validate and test.
        prep: Preprocessing of the run that is to be compared with; fitted on the training set when absent.
        mismatches: Why the parts of the data cannot be one data set, where the spec says to go on all the same.
        reads: What Ridge, LightGBM and the oracle mixture read, of `results.baselines.INPUTS`.
    """

    spec: RunSpec
    root: DataRoot
    splits: Splits
    prep: Preprocessing | None = None
    mismatches: tuple[str, ...] = ()
    reads: str = "pixels"

    @property
    def evaluated(self) -> Selection:
        """The spectra that the numbers are of."""
        return self.splits.test or self.splits.val


def question_of(spec: RunSpec) -> Question:
    """The spectra that a search with this data section would train, validate and test on.

    Raises:
        RequestError: The data cannot be used, or hold too few spectra.
    """
    root = DataRoot.find(spec.data.root or [])
    splits = make_splits(root, spec.data)
    check_sample(splits)
    return Question(spec, root, splits)


def chosen_methods(question: Question, only: Sequence[str]) -> tuple[list[str], list[str]]:
    """The methods to fit, and a sentence for each that the data do not allow.

    Raises:
        RequestError: A method is unknown, or one that was asked for by name is impossible on these data.
    """
    if unknown := [name for name in only if name not in ASKED]:
        raise RequestError(f"No baseline is called {', '.join(unknown)}: choose among {', '.join(ASKED)}.")
    impossible = _impossible(question)
    if refused := [impossible[name] for name in only if name in impossible]:
        raise RequestError(*refused)
    wanted = [name for name in ASKED if name in (only or ASKED)]
    possible = {stored_name(name, question.reads) for name in wanted if name not in impossible}
    return [name for name in METHODS if name in possible], [impossible[name] for name in wanted if name in impossible]


def _impossible(question: Question) -> dict[str, str]:
    found = {}
    shards = [*question.splits.train.shards, *question.evaluated.shards]
    lacking = sorted({name for name in _ORACLE_LABELS for shard in shards if name not in shard.columns})
    if lacking:
        found["oracle_mixture"] = (
            f"The oracle mixture needs {' and '.join(lacking)} of every spectrum, which the shards lack: it is left "
            "out."
        )
    if question.spec.data.noise_level == 0:
        found["ceiling"] = (
            "At noise level 0 the flux is known exactly, so there is no ceiling below R2 1: it is left out."
        )
    return found


def measure(
    question: Question,
    results: Path,
    methods: Sequence[str],
    device: torch.device,
    told: Told,
    say: Callable[[str], None],
    *,
    again: bool = False,
) -> Baselines:
    """Fit what is not stored yet; each method is stored as soon as it is done.

    Args:
        question: The data.
        results: The results root.
        methods: From `chosen_methods`, by their keys on disk.
        device: Where matrices are multiplied.
        told: Shows progress.
        say: Shows a sentence.
        again: Fit also what is stored.

    Raises:
        RequestError: The data cannot be used, or the results folder cannot be written.
    """
    begun = _begun(question, results)
    left = [name for name in methods if again or name not in begun.methods]
    if not left:
        return begun
    begun.paths.create()
    problem = problem_of(question, device, told)
    for name in left:
        started = time.monotonic()
        outcome = METHODS[name](problem)
        entry = {**_numbers(problem, outcome), "seconds": time.monotonic() - started}
        begun = begun.keep(name, entry, _table(problem.labels, outcome))
        say(f"{name}: R2 {entry['r2']:.4f} on {problem.part} in {entry['seconds']:.0f} s")
    return begun


def manifest_data(question: Question) -> dict[str, Any]:
    """What the manifest of a run on these spectra says of them; read where they are not known from memory.

    Raises:
        RequestError: A shard cannot be read.
    """
    parts = parts_of(question.splits)
    content = {part: content_digests(selection, arrays_used(part, selection)) for part, selection in parts.items()}
    return {"shards": question.root.fingerprint(), "split": question.splits.digest(), "content": content}


def _begun(question: Question, results: Path) -> Baselines:
    """What is stored of these settings, or a record without numbers."""
    data, splits, known = question.spec.data, question.splits, manifest_data(question)
    key = stored.setting_key(data, known, len(splits.train))
    paths = BaselinePaths(results, str(stored.data_key(known))).setting(key)
    document: dict[str, Any] = {
        "format": stored.FORMAT,
        "created_at": utc_now(),
        "versions": _versions(),
        "hardware": {"machine": platform.machine(), "cores": cpu_count()},
        "data": {**known, "mismatches": list(question.mismatches)},
        "settings": {key: getattr(data, key) for key in ("noise_level", "split_seed", "val_draws")},
        "spectra": {
            "train": len(splits.train),
            "val": len(splits.val),
            "test": len(splits.test) if splits.test else 0,
        },
        "part": "test" if splits.test else "val",
        "noise": None,
        "methods": {},
    }
    return replace(stored.load(paths) or Baselines(paths, document), reads=question.reads)


def problem_of(
    question: Question, device: torch.device, told: Told = lambda title: lambda done, total: None
) -> Problem:
    """Read what the baselines need; the training spectra stay on disk."""
    spec, splits = question.spec, question.splits
    # Streamed whatever the run does: no baseline needs the training spectra in memory.
    data = spec.data.model_copy(update={"residency": "stream", "input": InputSpec()})
    prepared = prepare(spec.model_copy(update={"data": data}), splits, iter_blocks, question.prep)
    dataset = prepared.dataset
    if not isinstance(dataset.train, Stream):
        raise TypeError("prepare() kept a stream in memory")
    val_labels = splits.val.labels()
    return Problem(
        train=dataset.train,
        val=dataset.val,
        val_labels=val_labels,
        test=splits.test,
        test_labels=splits.test.labels() if splits.test else val_labels.iloc[:0],
        prep=dataset.prep,
        noise_level=data.noise_level,
        seed=data.split_seed,
        device=device,
        threads=cpu_count(),
        told=told,
    )


def _numbers(problem: Problem, outcome: Outcome) -> dict[str, Any]:
    spectra = outcome.predicted_DN.shape[1]
    true_N = problem.labels["log_g"].to_numpy(np.float64)[:spectra]
    low, high = interval(R2, outcome.predicted_DN, true_N, seed=problem.seed)
    return {
        **scores(outcome.predicted_DN, np.broadcast_to(true_N, outcome.predicted_DN.shape)),
        "low": low,
        "high": high,
        "spectra": spectra,
        "noise": problem.noise,
        "facts": outcome.facts,
        "warnings": list(outcome.warnings),
    }


def _table(labels: pd.DataFrame, outcome: Outcome) -> pd.DataFrame:
    """One row a spectrum and draw, as `Baselines.predictions` describes it."""
    draws, spectra = outcome.predicted_DN.shape
    first = labels.iloc[:spectra].assign(row=np.arange(spectra), **outcome.columns)
    tables = [first.assign(draw=draw, log_g_predicted=outcome.predicted_DN[draw]) for draw in range(draws)]
    return pd.concat(tables, ignore_index=True)


def audit(question: Question, results: Path, told: Told) -> dict[str, Any]:
    """Audit a data set and store what was found.

    Raises:
        RequestError: The data cannot be read, or the results folder cannot be written.
    """
    shards, splits = question.root.fingerprint(), question.splits
    BaselinePaths(results, "").create()  # refused before the work, not after it
    data = Audited(question.root, splits, question.spec.data.split_seed, cpu_count(), told)
    findings = inspection.audit(data)
    # The survey has read and remembered nearly all of it.
    content = content_digests(Selection.all_of(question.root.shards))
    paths = BaselinePaths(results, audit_key(shards, content)).create()
    document = {
        "created_at": utc_now(),
        "versions": _versions(),
        "shards": list(shards),
        "spectra": {name: len(selection) for name, selection in data.parts.items()},
        "findings": [finding.to_dict() for finding in findings],
    }
    with writing(paths.audit_json):
        write_json(paths.audit_json, document)
    return document


def _versions() -> dict[str, str]:
    return {"spectral-search": __version__, **{name: version(name) for name in _PACKAGES}}

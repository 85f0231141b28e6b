"""Audit: whether spectra of test or val also stand in train, and whether train holds spectra twice.

Shape suffixes: N spectra, K directions of a sketch.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.spatial import cKDTree

from spectral_search.spec.seeds import numpy_seed
from spectral_search.tasks.spectra.audit.audit_findings import Audited, AuditFinding
from spectral_search.tasks.spectra.audit.survey import ShardSurvey
from spectral_search.tasks.spectra.shards.split import Selection

_NEAR = 1e-3
"""A spectrum this much nearer to a training spectrum than those are to each other is the same star."""
_REFERENCE_SPECTRA = 2000
_LABELS = ("T_eff", "log_g", "M_H")


def check(data: Audited, surveys: Sequence[ShardSurvey]) -> list[AuditFinding]:
    """Exact copies by hash, copies up to a factor by sketch, equal labels."""
    by_name = {survey.shard.name: survey for survey in surveys}
    train = _gather(data.splits.train, by_name)
    tree = cKDTree(train[1])
    typical = _typical_distance(train[1], tree, data)
    findings = []
    for name, selection in data.parts.items():
        if name != "train":
            own = _gather(selection, by_name)
            exact_N = np.isin(own[0], train[0])
            near_N = tree.query(own[1], workers=data.threads)[0] <= _NEAR * typical
            findings.append(_finding(name, exact_N, near_N, _same_labels(selection, data.splits.train)))
    twice = len(train[0]) - len(np.unique(train[0]))
    if twice:
        findings.append(
            AuditFinding(
                "duplicates",
                "warning",
                f"{twice:,} of {len(train[0]):,} training spectra are exact copies of others: they weigh twice, and a "
                "val set held out from train would hold copies of training spectra. Remove them.",
                {"copies": twice, "spectra": len(train[0])},
            )
        )
    return findings


def _gather(selection: Selection, by_name: Mapping[str, ShardSurvey]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes (N,) and sketches (N, K) of a selection."""
    surveys = [by_name[shard.name] for shard in selection.shards]
    hash_N = np.concatenate([survey.hash_N for survey in surveys])[selection.rows_N]
    return hash_N, np.concatenate([survey.sketch_NK for survey in surveys])[selection.rows_N]


def _typical_distance(sketch_NK: np.ndarray, tree: cKDTree, data: Audited) -> float:
    """Median distance of a training spectrum to the nearest that differs from it."""
    rows = np.random.default_rng(numpy_seed(data.seed)).permutation(len(sketch_NK))[:_REFERENCE_SPECTRA]
    distance_NK = tree.query(sketch_NK[rows], k=min(4, len(sketch_NK)), workers=data.threads)[0]
    nearest_N = np.where(distance_NK[:, 1:] > 0, distance_NK[:, 1:], np.inf).min(1)
    known_N = nearest_N[np.isfinite(nearest_N)]
    return float(np.median(known_N)) if len(known_N) else 0.0


def _same_labels(selection: Selection, train: Selection) -> int:
    """Spectra whose T_eff, log g and [M/H] are those of a training spectrum, to the last digit."""
    own, other = selection.labels()[list(_LABELS)], train.labels()[list(_LABELS)]
    if own.isna().any(axis=None) or other.isna().any(axis=None):
        return 0
    known = set(map(tuple, other.to_numpy().tolist()))
    return sum(tuple(row) in known for row in own.to_numpy().tolist())


def _finding(name: str, exact_N: np.ndarray, near_N: np.ndarray, same_labels: int) -> AuditFinding:
    count, exact, near = len(exact_N), int(exact_N.sum()), int((near_N | exact_N).sum())
    numbers = {"part": name, "spectra": count, "exact": exact, "exact_or_scaled": near, "same_labels": same_labels}
    if near:
        rows = ", ".join(map(str, np.flatnonzero(near_N | exact_N)[:5]))
        text = (
            f"{near:,} of {count:,} {name} spectra stand in train too ({exact:,} exactly, {near - exact:,} up to a "
            f"factor; rows {rows}{', ...' if near > 5 else ''}): {name} numbers flatter every model, and the ceiling. "
            f"Remove them from train or from {name}."
        )
        return AuditFinding("overlap", "warning", text, numbers)
    if same_labels:
        text = (
            f"No {name} spectrum stands in train, but {same_labels:,} of {count:,} have exactly the T_eff, log g and "
            "[M/H] of a training spectrum: the set lies on a grid, and networks are measured on points they have seen."
        )
        return AuditFinding("overlap", "note", text, numbers)
    return AuditFinding("overlap", "ok", f"None of the {count:,} {name} spectra stands in train.", numbers)

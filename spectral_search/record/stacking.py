"""Trees over what several models predict: how much of which to believe where.

The trees correct the mean of the models, which is where they start from. Each of several folds is held out once: its
examples are predicted by trees that saw none of them, nor anything of the groups that they belong to. The stack is the
mean of the trees of all folds. Shape suffixes: K models, D draws, N examples, O outputs of an example, G groups of an
example, R rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.spec.seeds import lightgbm_seed

if TYPE_CHECKING:
    import lightgbm

FOLDS = 5
_ROUNDS = 100
_MOST_ROWS = 500_000
"""Rows that trees of a fold are fitted to at most, drawn where there are more."""
_NEVER = 1e-3
"""Probabilities nearer than this to 0 or 1 count as this near."""


@dataclass(frozen=True)
class Kind:
    """What is predicted.

    Attributes:
        classes: Whether targets are 0 and 1.
        logits: Whether predictions of these are logits; otherwise they are probabilities.
    """

    classes: bool
    logits: bool = False

    @classmethod
    def of(cls, target_N: np.ndarray, logits: bool) -> "Kind":
        """That of targets: classes where all known ones are 0 or 1, and both are there."""
        known = target_N[np.isfinite(target_N)]
        classes = bool(np.isin(known, (0.0, 1.0)).all() and known.min() < known.max())
        return cls(classes, classes and logits)

    def inward(self, predicted: np.ndarray) -> np.ndarray:
        """Predictions as trees add to them: logits of classes, else as they are."""
        if not self.classes or self.logits:
            return predicted
        clipped = np.clip(predicted, _NEVER, 1.0 - _NEVER)
        return np.log(clipped) - np.log1p(-clipped)

    def outward(self, value: np.ndarray) -> np.ndarray:
        """The inverse of `inward`."""
        return np.exp(-np.logaddexp(0.0, -value)) if self.classes and not self.logits else value

    def vote(self, predicted_K: np.ndarray) -> np.ndarray:
        """The part of the models that say 1, half a vote for either beside them, as they predict it; over axis 0."""
        votes = np.mean(self.inward(predicted_K) > 0.0, axis=0)
        # The half votes keep the share off 0 and 1, whose logits are infinite.
        share = (len(predicted_K) * votes + 0.5) / (len(predicted_K) + 1.0)
        return np.log(share) - np.log1p(-share) if self.logits else share


def folds(
    count: int, group_NG: np.ndarray | None, seed: int, number: int = FOLDS
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Which examples each fold learns from and which it holds out, bool of shape (N,).

    An example is held out with the first of its groups; a fold learns from none that shares a group with what it holds
    out.

    Args:
        count: N.
        group_NG: What examples have in common, whole numbers; each is for itself where absent.
        seed: Of who is in which.
        number: Of folds.

    Raises:
        RequestError: There are too few groups, or nothing is left to learn from.
    """
    group_NG = np.arange(count)[:, None] if group_NG is None else group_NG
    known, place = np.unique(group_NG, return_inverse=True)
    if len(known) < number:
        raise RequestError(f"{number} folds need as many examples or groups of them, and val has {len(known)}.")
    fold_of = np.random.default_rng(seed).permutation(np.arange(len(known)) % number)
    # Versions of NumPy differ in whether the inverse is flat or of the shape of what was given.
    fold_NG = fold_of[place.reshape(group_NG.shape)]
    made = [(~(fold_NG == fold).any(1), fold_NG[:, 0] == fold) for fold in range(number)]
    if not all(learns_N.any() and held_N.any() for learns_N, held_N in made):
        raise RequestError("The groups of the val examples leave a fold nothing to learn from: give more val examples.")
    return made


@dataclass(frozen=True)
class Trees:
    """The trees of all folds, as LightGBM writes them, which are text."""

    kind: Kind
    texts: tuple[str, ...]

    @cached_property
    def _boosters(self) -> "list[lightgbm.Booster]":
        import lightgbm

        return [lightgbm.Booster(model_str=text) for text in self.texts]

    def combined(self, predicted_K: np.ndarray) -> np.ndarray:
        """The stack's predictions from those of its models, which lie along axis 0."""
        inward_K = self.kind.inward(np.asarray(predicted_K, np.float64))
        added = [self._added(fold, inward_K) for fold in range(len(self.texts))]
        return self.kind.outward(inward_K.mean(0) + np.mean(added, axis=0))

    def out_of_fold(self, predicted_KDN: np.ndarray, made: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """Predictions of val examples, each by the trees of the fold that held it out; the folds of `folds`."""
        inward_KDN = self.kind.inward(np.asarray(predicted_KDN, np.float64))
        value_DN = inward_KDN.mean(0)
        for fold, (_, held_N) in enumerate(made):
            value_DN[:, held_N] += self._added(fold, inward_KDN[:, :, held_N])
        return self.kind.outward(value_DN)

    def _added(self, fold: int, inward_K: np.ndarray) -> np.ndarray:
        row_RK = inward_K.reshape(len(inward_K), -1).T
        if not len(row_RK):
            return np.zeros(inward_K.shape[1:])
        # LightGBM leaves out the init_score that trees were fitted on: callers add the mean of the models.
        return np.asarray(self._boosters[fold].predict(row_RK, raw_score=True)).reshape(inward_K.shape[1:])


def fitted(
    predicted_KDN: np.ndarray,
    target_N: np.ndarray,
    kind: Kind,
    made: Sequence[tuple[np.ndarray, np.ndarray]],
    seed: int,
) -> Trees:
    """Fit the trees of each fold to what it learns from.

    Args:
        predicted_KDN: Of the models for val examples, (K, D, N) or (K, D, N, O).
        target_N: Of shape (N,) or (N, O); NaN where it is not known.
        kind: What is predicted.
        made: Of `folds`.
        seed: Of LightGBM.
    """
    inward_KDN = kind.inward(np.asarray(predicted_KDN, np.float64))
    target_DN = np.broadcast_to(target_N, inward_KDN.shape[1:])
    return Trees(kind, tuple(_fit(inward_KDN[:, :, n], target_DN[:, n], kind, seed) for n, _ in made))


def _fit(inward_KDN: np.ndarray, target_DN: np.ndarray, kind: Kind, seed: int) -> str:
    import lightgbm

    row_RK, target_R = inward_KDN.reshape(len(inward_KDN), -1).T, target_DN.ravel()
    known_R = np.flatnonzero(np.isfinite(target_R))
    if len(known_R) > _MOST_ROWS:
        known_R = np.sort(np.random.default_rng(seed).choice(known_R, _MOST_ROWS, replace=False))
    row_RK, target_R = row_RK[known_R], target_R[known_R]
    held = lightgbm.Dataset(row_RK, target_R, init_score=row_RK.mean(1))
    return str(lightgbm.train(_parameters(kind, len(row_RK), seed), held, _ROUNDS).model_to_string())


def _parameters(kind: Kind, rows: int, seed: int) -> dict[str, Any]:
    return {
        "objective": "binary" if kind.classes else "regression",
        "boost_from_average": False,  # it starts from the mean of the models
        "learning_rate": 0.05,
        "num_leaves": 7,
        "min_data_in_leaf": max(5, min(100, rows // 50)),
        "lambda_l2": 1.0,
        "deterministic": True,
        # Else LightGBM times two layouts and takes the faster, which need not be the same one twice.
        "force_col_wise": True,
        "seed": lightgbm_seed(seed),
        # Threads for a few rows wait for each other more than they work.
        "num_threads": 1 if rows < 20_000 else 0,
        "verbose": -1,
    }

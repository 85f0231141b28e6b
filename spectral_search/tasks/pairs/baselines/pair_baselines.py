"""How far one comes with pixels alone: their distance, and classifiers on their differences.

Shape suffixes: N pairs, F features.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logit

from spectral_search.tasks.pairs.images.pair_part import PairPart
from spectral_search.tasks.pairs.images.pixels import resized

_MOST_SIDE = 14
"""Of the images that differences are taken of: more pixels make neighbours of a stroke differ wholly."""
_SURE = 1e-6
"""The least probability that a baseline gives either answer."""


@dataclass(frozen=True)
class Fitted:
    """What a baseline says of test pairs, and what that took."""

    logit_N: np.ndarray
    seconds: float


FitPredict = Callable[[PairPart, PairPart], np.ndarray]


def differences(part: PairPart) -> np.ndarray:
    """How much the grey of both images differs, place by place, from 0 to 1; float32 (N, F)."""
    images_MF = resized(part.images_MP, min(_MOST_SIDE, part.side)).astype(np.float32) / 255.0
    return np.abs(images_MF[part.first_N] - images_MF[part.second_N])


def _pixel_distance(train: PairPart, test: PairPart) -> np.ndarray:
    """The distance of both images, with the threshold and the slope that a logistic regression on it alone gives."""

    def distance(part: PairPart) -> np.ndarray:
        return np.sqrt((differences(part) ** 2).mean(1, keepdims=True))

    return _regression(distance(train), train.same_N, distance(test))


def _logistic_regression(train: PairPart, test: PairPart) -> np.ndarray:
    """A weight for the difference at each place."""
    return _regression(differences(train), train.same_N, differences(test))


def _lightgbm(train: PairPart, test: PairPart) -> np.ndarray:
    """Trees on the differences at all places."""
    from lightgbm import LGBMClassifier

    trees = LGBMClassifier(
        n_estimators=300,
        learning_rate=0.05,
        num_leaves=15,
        random_state=0,
        deterministic=True,
        force_row_wise=True,
        verbose=-1,
    )
    trees.fit(differences(train), train.same_N)
    return _logit(np.asarray(trees.booster_.predict(differences(test))))


BASELINES: dict[str, tuple[str, FitPredict]] = {
    "pixel_distance": ("pixel distance", _pixel_distance),
    "logistic_regression": ("logistic regression", _logistic_regression),
    "lightgbm": ("LightGBM", _lightgbm),
}
"""By name: how it is called, and what fits it on training pairs and gives logits for test pairs."""


def fitted(name: str, train: PairPart, test: PairPart) -> Fitted:
    """Fit a baseline and ask it."""
    started = time.perf_counter()
    logit_N = BASELINES[name][1](train, test)
    return Fitted(logit_N.astype(np.float32), time.perf_counter() - started)


def _regression(train_NF: np.ndarray, same_N: np.ndarray, test_NF: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model: Any = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(train_NF, same_N > 0.5)
    return np.asarray(model.decision_function(test_NF))


def _logit(share_N: np.ndarray) -> np.ndarray:
    return np.asarray(logit(np.clip(share_N, _SURE, 1.0 - _SURE)))

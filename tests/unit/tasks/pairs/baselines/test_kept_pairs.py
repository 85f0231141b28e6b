"""Baselines are kept, and found again by the pairs that they are of."""

from pathlib import Path

import numpy as np
import pytest
from small_pairs import drawings

from spectral_search.errors import RequestError
from spectral_search.tasks.pairs.baselines import kept_pairs
from spectral_search.tasks.pairs.baselines.kept_pairs import kept_methods, measured
from spectral_search.tasks.pairs.definition import TASK
from spectral_search.tasks.pairs.images.pair_part import PairPart, drawn_pairs


class Quiet:
    def say(self, text: str) -> None:
        raise AssertionError(text)

    def progress(self, title: str):
        return lambda done, total: None


def parts(seed: int = 0) -> dict[str, PairPart]:
    images_MHW, class_M = drawings(4, 12, 8, seed)
    images_MP = images_MHW.reshape(48, 64)
    return {name: drawn_pairs(images_MP, class_M, 80, tuple("abcd"), seed, name) for name in ("train", "val", "test")}


def test_what_is_kept_is_not_fitted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(TASK, parts(), tmp_path, Quiet())
    monkeypatch.setattr(kept_pairs, "fitted", lambda *given: pytest.fail("fitted again"))
    again = measured(TASK, parts(), tmp_path, Quiet())
    assert again["methods"] == found["methods"]
    assert set(found["methods"]) == {"pixel_distance", "logistic_regression", "lightgbm"}
    for entry in found["methods"].values():
        assert entry["low"] <= entry["accuracy"] <= entry["high"]


def test_a_report_finds_those_on_its_own_pairs_alone(tmp_path: Path) -> None:
    mine = parts()
    measured(TASK, mine, tmp_path, Quiet())
    hashes = {name: part.sha256() for name, part in mine.items()}
    methods = kept_methods(TASK, tmp_path, hashes)
    assert {method.family for method in methods} == {"pixel distance", "logistic regression", "LightGBM"}
    for method in methods:
        assert method.scores == TASK.scores(method.predicted_N, method.target_N)
        assert np.array_equal(method.target_N, mine["test"].same_N)
    other = {name: part.sha256() for name, part in parts(1).items()}
    assert kept_methods(TASK, tmp_path, other) == []
    assert kept_methods(TASK, tmp_path, {**hashes, "train": other["train"]}) == []


def test_a_damaged_table_is_told(tmp_path: Path) -> None:
    mine = parts()
    measured(TASK, mine, tmp_path, Quiet())
    next(tmp_path.rglob("lightgbm.parquet")).write_bytes(b"none")
    with pytest.raises(RequestError, match="lightgbm.parquet cannot be read"):
        kept_methods(TASK, tmp_path, {name: part.sha256() for name, part in mine.items()})

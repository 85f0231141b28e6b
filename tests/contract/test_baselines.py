"""Every baseline: finite, repeatable, better than the mean, blind to invalid pixels, on test or on val."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from baseline_roots import ask, make_problem, write_shard
from documented_code import code_of
from small_dataset import make_spectra

from spectral_search.tasks.spectra.baselines import trees
from spectral_search.tasks.spectra.baselines.fit_baselines import problem_of
from spectral_search.tasks.spectra.baselines.fitted_methods import METHODS
from spectral_search.tasks.spectra.baselines.problem import Problem
from spectral_search.tasks.spectra.report.baseline_methods import BASELINES
from spectral_search.tasks.spectra.scores import r2


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "ROUNDS", 40)


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    folder = tmp_path_factory.mktemp("contract")
    return make_problem(folder, make_spectra(400, 1), make_spectra(100, 2), make_spectra(150, 3))


def test_the_names_agree() -> None:
    assert set(METHODS) == set(BASELINES)


@pytest.mark.parametrize("name", METHODS)
def test_predicts_the_test_set(problem: Problem, name: str) -> None:
    outcome = METHODS[name](problem)
    assert outcome.predicted_DN.shape == (1, 150) and np.isfinite(outcome.predicted_DN).all()
    assert all(len(column) == 150 for column in outcome.columns.values())
    assert r2(outcome.predicted_DN[0], problem.labels["log_g"].to_numpy()) > 0.5
    np.testing.assert_allclose(METHODS[name](problem).predicted_DN, outcome.predicted_DN, rtol=1e-6)


@pytest.fixture(scope="module")
def without_test(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    return make_problem(tmp_path_factory.mktemp("val"), make_spectra(200, 1), make_spectra(60, 2), val_draws=2)


@pytest.mark.parametrize("name", METHODS)
def test_val_serves_where_there_is_no_test_set(without_test: Problem, name: str) -> None:
    outcome = METHODS[name](without_test)
    assert without_test.part == "val" and outcome.predicted_DN.shape == (1 if name == "ceiling" else 2, 60)


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> list[Problem]:
    """Two that differ in a pixel alone, which is invalid in test: as it was, and a million times as bright."""
    problems = []
    for poison in (1.0, 1e6):
        root = tmp_path_factory.mktemp("poisoned")
        for seed, (part, count) in enumerate({"train": 200, "val": 60, "test": 60}.items(), start=1):
            spectra = make_spectra(count, seed)
            if part == "test":
                spectra.flux_NL[:, 5] *= poison
            # Invalid in test alone: it must be left out of train and val as well.
            write_shard(root / f"{part}_0", spectra, noisy=part == "test", nan_pixels=(5,) if part == "test" else ())
        problems.append(problem_of(ask(root, val_draws=1), torch.device("cpu")))
    return problems


@pytest.mark.parametrize("name", METHODS)
def test_pixels_that_are_invalid_anywhere_are_left_out(poisoned: list[Problem], name: str) -> None:
    as_it_was, bright = (METHODS[name](problem).predicted_DN for problem in poisoned)
    np.testing.assert_allclose(as_it_was, bright, rtol=1e-5)


def test_the_baseline_that_the_docs_show_is_one(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shown,) = code_of("extending.md", "A baseline", "python")
    (tmp_path / "mean_label.py").write_text(shown)
    monkeypatch.syspath_prepend(str(tmp_path))
    outcome = importlib.import_module("mean_label").fit_predict(problem)
    assert outcome.predicted_DN.shape == (1, 150)
    assert r2(outcome.predicted_DN[0], problem.labels["log_g"].to_numpy()) == pytest.approx(0.0, abs=0.05)

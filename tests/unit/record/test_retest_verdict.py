"""The re-test: intervals over spectra and seeds, ties, stability of the choice, and files that keep it."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from spectral_search.errors import RequestError
from spectral_search.record.kept_predictions import Retest, read_retests, write_retest
from spectral_search.record.leaderboard import score_lines
from spectral_search.record.paths import RunPaths
from spectral_search.record.retest_verdict import chosen_by_draw, early_values, judge, seed_values, tied
from spectral_search.record.run_records import RunRecord
from spectral_search.task.metric import Metric
from spectral_search.task.registry import task_of
from spectral_search.task.task import Task

TASK = task_of("spectra")
R2 = TASK.objective
TRUE_N = np.random.default_rng(0).uniform(1.0, 5.0, 1500)


def retest(trial: int, rmse: float, *, seed: int = 42, own: bool = True, failure: str | None = None) -> Retest:
    """A re-test whose errors are those of all others, scaled."""
    errors_DN = rmse * np.random.default_rng(1).normal(0.0, 1.0, (3, len(TRUE_N)))
    predicted_DN = np.empty((0, 0), np.float32) if failure else TRUE_N + errors_DN
    return Retest(trial, seed, own, 9, 8, None if failure else 0.8, predicted_DN, failure)


def test_ties_need_more_than_the_better_number() -> None:
    seeds = [retest(7, 0.5), retest(7, 0.6, seed=43, own=False), retest(7, 0.4, seed=44, own=False)]
    close, far = retest(3, 0.52), retest(5, 0.9)
    winner, second, third = judge([*seeds, close, far], TASK, TRUE_N, [7, 3, 5], seed=0)
    assert "behind" not in winner
    assert len(winner["seeds"]) == 3 and seed_values(winner, R2)[0] == winner["r2"]
    assert second["tied"] and not third["tied"]
    assert third["behind"]["low"] > 0
    assert tied({"finalists": [winner, second, third]}) == [3]


def test_without_other_seeds_only_the_spectra_count() -> None:
    """The same two trials, each trained once and erring on the same spectra, can be told apart."""
    _, second = judge([retest(7, 0.50), retest(3, 0.52)], TASK, TRUE_N, [7, 3], seed=0)
    assert not second["tied"]


def test_a_seed_that_failed_is_told_and_does_not_count() -> None:
    failed = retest(7, 0.0, seed=43, own=False, failure="The training loss became nan")
    (winner,) = judge([retest(7, 0.5), failed], TASK, TRUE_N, [7], seed=0)
    assert seed_values(winner, R2) == [winner["r2"]]
    assert winner["seeds"][1]["failure"] == "The training loss became nan"


def test_copies_stopped_early_tell_how_much_the_seed_matters_and_nothing_else() -> None:
    own, other = retest(7, 0.50), retest(3, 0.52)
    nothing = np.empty((0, 0), np.float32)
    early = [
        Retest(7, 43 + place, False, 4, 4, 0.6 + spread, nothing, None, 0.6)
        for place, spread in enumerate((-0.03, 0.03))
    ]
    winner, second = judge([own, *early, other], TASK, TRUE_N, [7, 3], seed=0)
    assert seed_values(winner, R2) == [winner["r2"]]
    assert second["tied"]  # told apart where nothing is known of seeds
    values = early_values(winner, R2)
    assert values is not None and (values.epochs, values.own, values.others) == (4, 0.6, [0.57, 0.63])
    assert "after 4 epochs, val R2 0.6000 0.5700 0.6300, standard deviation 0.0300" in values.text
    assert early_values(second, R2) is None


def test_which_trial_other_noise_would_have_chosen() -> None:
    finalists = [{"trial": 1, "r2_by_draw": [0.5, 0.6, 0.5]}, {"trial": 2, "r2_by_draw": [0.6, 0.5, 0.4]}]
    assert chosen_by_draw({"finalists": finalists}, R2) == {1: 2, 2: 1}
    assert chosen_by_draw({"r2": 0.5}, R2) == {}


def test_where_less_is_better_the_same_finalists_tie_and_lag() -> None:
    """Behind is how much worse, whatever the direction; draws choose the smallest error."""
    metrics = (Metric("mae", "MAE", higher_is_better=False, unit="h"),)
    task = cast(Task, SimpleNamespace(objective=metrics[0], metrics=metrics, examples="days"))
    seeds = [retest(7, 0.5), retest(7, 0.6, seed=43, own=False), retest(7, 0.4, seed=44, own=False)]
    winner, second, third = judge([*seeds, retest(3, 0.52), retest(5, 0.9)], task, TRUE_N, [7, 3, 5], seed=0)
    assert winner["mae"] < third["mae"] and winner["low"] < winner["mae"] < winner["high"]
    assert (winner["days"], winner["val_mae"]) == (len(TRUE_N), 0.8)
    assert second["tied"] and not third["tied"] and third["behind"]["low"] > 0
    finalists = [winner, second, third]
    assert chosen_by_draw({"finalists": finalists}, metrics[0]) == {7: 3}


def test_files_keep_it_and_damage_is_told(tmp_path) -> None:
    paths = RunPaths(tmp_path, "run").create()
    first, second = retest(7, 0.5), retest(7, 0.0, seed=43, own=False, failure="diverged")
    for made in (first, second):
        write_retest(paths, R2, made)
    found = read_retests(paths, R2)
    np.testing.assert_allclose(found[0].predicted_DN, first.predicted_DN, rtol=1e-6)
    assert (found[0].trial, found[0].own, found[1].failure) == (7, True, "diverged")
    file = paths.retest(7, 42).retest_safetensors
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(RequestError, match="retest.safetensors"):
        read_retests(paths, R2)


def test_leaderboard_tells_seeds_and_ties(finished_run: RunPaths) -> None:
    record = RunRecord.load(finished_run)
    assert not [line for line in score_lines(record) if "seed" in line or "tie" in line]
    seeds = [{"seed": 42, "own": True, "r2": 0.603, "failure": None}, {"seed": 43, "own": False, "r2": 0.593}]
    record.manifest.retest |= {"seeds": [*seeds, {"seed": 44, "own": False, "r2": None, "failure": "diverged"}]}
    record.manifest.retest["finalists"] = [{"trial": 1}, {"trial": 2, "tied": True}]
    lines = "\n".join(score_lines(record))
    assert "R2 0.6030 0.5930, mean 0.5980" in lines
    assert "seed 44 it failed: diverged" in lines
    assert "a tie: trial 2 cannot be told from the winner" in lines

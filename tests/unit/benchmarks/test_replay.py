"""Searches replayed on recorded learning curves."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from benchmarks.parts.search_efficiency import quartiles, spent_epochs
from benchmarks.recorded_curves import Curves, read_curves, write_curves
from benchmarks.replay import searched, top_after
from spectral_search.spec.run import RunSpec

EPOCHS = 9
LR = [1e-4, 1e-3, 1e-2, 1e-1]
SPEC = {
    "stage": "curves",
    "data": {},
    "model": {"kind": "mlp"},
    "fit": {"epochs": EPOCHS},
    "space": {"fit.lr": {"log_uniform": [1e-4, 1e-1]}, "fit.schedule": {"choice": ["constant", "cosine"]}},
    "search": {"min_epochs": 1, "reduction_factor": 3, "startup_trials": 3},
}


def make_curves() -> Curves:
    """Eight configurations, one clearly best at every epoch."""
    params: list[dict[str, object]] = [
        {"fit.lr": lr, "fit.schedule": schedule} for lr, schedule in product(LR, ("constant", "cosine"))
    ]
    reach_C = np.array([0.10, 0.11, 0.50, 0.40, 0.30, 0.20, 0.02, 0.01])
    rise_E = 1.0 - 0.5 ** np.arange(1, EPOCHS + 1)
    return Curves(RunSpec.from_dict(SPEC), params, reach_C[:, None] * rise_E)


@pytest.mark.parametrize(
    ("params", "nearest"),
    [
        ({"fit.lr": 1.1e-4, "fit.schedule": "constant"}, 0),
        ({"fit.lr": 2.9e-3, "fit.schedule": "cosine"}, 3),  # the scale is logarithmic: 3.2e-3 lies half way
        ({"fit.lr": 3.4e-3, "fit.schedule": "cosine"}, 5),
        ({"fit.lr": 9e-2, "fit.schedule": "constant"}, 6),
    ],
)
def test_a_proposal_stands_for_the_configuration_next_to_it(params: dict[str, object], nearest: int) -> None:
    assert make_curves().nearest(params) == nearest


def test_a_configuration_stands_for_one_proposal() -> None:
    curves, params = make_curves(), {"fit.lr": 1.1e-4, "fit.schedule": "constant"}
    taken: list[int] = []
    for _ in range(8):
        taken.append(curves.nearest(params, taken))
    assert taken == [0, 2, 4, 6, 1, 3, 5, 7]  # those of another choice come last


def test_by_halving_all_are_trained_to_the_rung_and_the_best_to_the_end() -> None:
    curves = make_curves()
    spec = curves.spec.override({"search.min_epochs": 2, "search.reduction_factor": 8, "search.finalists": 1})
    trace = searched("random", "halving", 3)(Curves(spec, curves.params, curves.val_r2_CE), 0)
    assert len(trace) == 8 * 2 + (EPOCHS - 2)
    assert trace[15] == curves.val_r2_CE[2, 1] and trace[-1] == curves.best


def test_no_configuration_stands_for_another_choice() -> None:
    with pytest.raises(ValueError, match="one_cycle"):
        make_curves().nearest({"fit.lr": 1e-3, "fit.schedule": "one_cycle"})


@pytest.mark.parametrize("sampler", ["tpe", "random", "parzen"])
@pytest.mark.parametrize("pruner", ["promote", "halving", "asha", "none"])
@pytest.mark.parametrize("concurrent", [1, 3])
def test_a_replay_is_a_function_of_its_seed(sampler: str, pruner: str, concurrent: int) -> None:
    curves, strategy = make_curves(), searched(sampler, pruner, concurrent)
    traces = [strategy(curves, seed) for seed in (1, 1, 2, 3)]
    np.testing.assert_array_equal(traces[0], traces[1])
    assert any(len(traces[0]) != len(other) or (traces[0] != other).any() for other in traces[2:])
    for trace in traces:
        assert len(trace) <= curves.grid_epochs and (np.diff(trace) >= 0).all() and trace[-1] <= curves.best


def test_without_a_pruner_every_trial_takes_all_its_epochs() -> None:
    curves = make_curves()
    assert len(searched("random", "none", 2)(curves, 0)) == curves.grid_epochs


def test_asha_spends_less_on_as_many_trials() -> None:
    curves = make_curves()
    spent = [len(searched("random", "asha", 2)(curves, seed)) for seed in range(4)]
    assert max(spent) < curves.grid_epochs


def test_top_after_trains_all_for_a_while_and_the_best_to_the_end() -> None:
    curves = make_curves()
    trace = top_after(2, 1)(curves, 0)
    assert len(trace) == 8 * 2 + (EPOCHS - 2)
    assert trace[15] == curves.val_r2_CE[2, 1] and trace[-1] == curves.best


def test_epochs_until_the_grids_best_is_all_but_reached() -> None:
    curves = make_curves()
    best = curves.best
    traces = [np.array([0.1, best - 0.0051, best - 0.0049, best]), np.array([best]), np.array([0.1, 0.2])]
    assert spent_epochs(traces, curves) == [3, 1, curves.grid_epochs]


def test_quartiles_carry_the_last_value_on() -> None:
    found = quartiles([np.array([0.1, 0.2]), np.array([0.1, 0.4, 0.6])], 4)
    assert found["epochs"] == [1, 2, 3, 4]
    np.testing.assert_allclose(found["median"], [0.1, 0.3, 0.4, 0.4])


def test_curves_come_back_as_they_were_written(tmp_path: Path) -> None:
    curves, file = make_curves(), tmp_path / "curves_small.csv"
    write_curves(file, curves.params, curves.val_r2_CE)
    file.with_suffix(".yaml").write_text(curves.spec.to_yaml())
    read = read_curves(file)
    assert read.params == curves.params and read.spec.space == curves.spec.space
    np.testing.assert_allclose(read.val_r2_CE, curves.val_r2_CE, atol=5e-5)


def test_promotion_on_a_grid_ends_with_the_best_for_a_part_of_the_epochs() -> None:
    curves = make_curves()
    spec = curves.spec.override({"search.min_epochs": 2, "search.reduction_factor": 4, "search.finalists": 2})
    curves = Curves(spec, curves.params, curves.val_r2_CE)
    for sampler in ("random", "parzen"):
        trace = searched(sampler, "promote", 3)(curves, 0)
        # All eight come to epoch 2; two lead there and go on, and one more may have led for a while; then one or two.
        assert 8 * 2 + 2 * (EPOCHS - 2) <= len(trace) <= 8 * 2 + 3 * (EPOCHS - 2)
        assert trace[-1] == curves.best


def test_what_diverges_in_a_replay_has_failed() -> None:
    curves = make_curves()
    values_CE = curves.val_r2_CE.copy()
    values_CE[:6, 1:] = -np.inf
    trace = searched("random", "none", 2)(Curves(curves.spec, curves.params, values_CE), 0)
    assert len(trace) == 6 * 2 + 2 * EPOCHS

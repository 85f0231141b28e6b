"""Verdicts follow from records, say what they rest on, and say so where they cannot be given."""

import pytest
from made_methods import made_labels, made_method

from spectral_search.record.evidence import plateau_epoch
from spectral_search.record.finding import Finding
from spectral_search.record.methods import Method, difference
from spectral_search.tasks.spectra.definition import TASK
from spectral_search.tasks.spectra.report.verdicts import five_numbers, four_verdicts, stop_signals

LABELS = made_labels()


def verdict(methods: list[Method], key: str) -> Finding:
    return next(finding for finding in four_verdicts(methods) if finding.key == key)


def number(methods: list[Method], key: str) -> Finding:
    return next(finding for finding in five_numbers(methods, []) if finding.key == key)


@pytest.mark.parametrize(
    ("cnn", "ridge", "answer"), [(0.60, 0.48, "yes"), (0.30, 0.48, "no"), (0.481, 0.48, "too close to call")]
)
def test_cnn_against_ridge(cnn: float, ridge: float, answer: str) -> None:
    methods = [made_method("c", "CNN", r2=cnn, seed=1), made_method("r", "Ridge", r2=ridge, seed=2)]
    found = verdict(methods, "cnn_not_below_ridge")
    assert found.answer == answer
    assert f"c has R2 {cnn:.3f}" in found.evidence
    assert found.stop == (answer == "no")
    assert bool(stop_signals(methods)) == found.stop


@pytest.mark.parametrize(("at_1m", "answer", "stop"), [(0.58, "yes", False), (0.50, "no", True)])
def test_gain_of_the_mlp(at_1m: float, answer: str, stop: bool) -> None:
    methods = [made_method("small", r2=0.50), made_method("large", r2=at_1m, train_size=1_000_000)]
    found = verdict(methods, "mlp_gains_from_1m")
    assert (found.answer, found.stop) == (answer, stop)
    assert any("do not help an MLP" in sentence for sentence in stop_signals(methods)) == stop
    gain = number(methods, "gain_mlp_100k_to_1m")
    assert gain.answer == "measured" and gain.value.value == pytest.approx(at_1m - 0.50, abs=1e-6)


@pytest.mark.parametrize(("lead", "answer"), [(0.12, "yes"), (0.01, "no")])
def test_cnn_against_mlp(lead: float, answer: str) -> None:
    methods = [made_method("m", "MLP", r2=0.5), made_method("c", "CNN", r2=0.5 + lead)]
    assert verdict(methods, "cnn_beats_mlp").answer == answer


@pytest.mark.parametrize(("r2", "answer"), [(0.70, "yes"), (0.43, "no"), (0.60, "too close to call")])
def test_goal_of_the_cnn(r2: float, answer: str) -> None:
    assert verdict([made_method("c", "CNN", r2=r2, train_size=950_000)], "cnn_reaches_goal").answer == answer


def test_nothing_is_invented_where_runs_are_missing() -> None:
    methods = [made_method("small", r2=0.4, train_size=8_000), made_method("r", "Ridge", r2=0.3, train_size=8_000)]
    for finding in four_verdicts(methods):
        assert finding.answer == "not yet run"
        assert finding.command.startswith("spectral-search ")
        assert finding.value is None and not finding.stop
    assert "8,000 training spectra" in verdict(methods, "mlp_gains_from_1m").evidence


def test_a_missing_side_names_its_own_command() -> None:
    found = verdict([made_method("c", "CNN", r2=0.5)], "cnn_not_below_ridge")
    assert found.command == "spectral-search baselines --num-train 100000"
    found = verdict([made_method("m", "MLP", r2=0.5)], "cnn_beats_mlp")
    assert found.command == "spectral-search run mvp_cnn1"


@pytest.mark.parametrize(
    "change", [{"fair": False}, {"facts": {"noise_level": 0.1}}, {"test_set": "another"}, {"train_size": 32_000}]
)
def test_what_does_not_count(change: dict[str, object]) -> None:
    """A CNN that is told the error, sees less noise, or is tested on other spectra proves nothing against Ridge."""
    methods = [made_method("c", "CNN", r2=0.9, **change), made_method("r", "Ridge", r2=0.48)]
    assert verdict(methods, "cnn_not_below_ridge").answer == "not yet run"


def test_val_chooses_who_speaks_for_a_family() -> None:
    """The run that is best on test by luck is not picked for it."""
    lucky = made_method("lucky", "CNN", r2=0.60, facts={"val_r2": 0.50})
    chosen = made_method("chosen", "CNN", r2=0.55, facts={"val_r2": 0.58})
    found = verdict([lucky, chosen, made_method("r", "Ridge", r2=0.4)], "cnn_not_below_ridge")
    assert "chosen has" in found.evidence and "lucky" not in found.evidence


def test_without_predictions_the_numbers_decide_and_it_says_so() -> None:
    methods = [
        made_method("c", "CNN", r2=0.6, with_predictions=False),
        made_method("r", "Ridge", r2=0.4, with_predictions=False),
    ]
    found = verdict(methods, "cnn_not_below_ridge")
    assert found.answer == "yes" and "no interval" in found.evidence and "evaluate c" in found.evidence


def test_cnn_below_ridge_is_a_stop_signal_at_any_size() -> None:
    methods = [
        made_method("c", "CNN", r2=0.2, train_size=3_000),
        made_method("r", "Ridge", r2=0.5, train_size=3_000, seed=2),
    ]
    (said,) = stop_signals(methods)
    assert said.startswith("Stop: the CNN of c is below Ridge with the same 3,000 spectra")
    larger = made_method("r", "Ridge", r2=0.5, train_size=9_000, seed=2)
    assert not stop_signals([methods[0], larger])


def test_gap_and_share_of_the_ceiling() -> None:
    methods = [
        made_method("m", r2=0.72),
        made_method("oracle mixture", "oracle mixture", r2=0.62),
        made_method("ceiling", "ceiling", r2=0.80, facts={"upper_estimate": 0.82}),
    ]
    found = number(methods, "gap_to_ceiling")
    assert found.value.value == pytest.approx(0.72 / 0.80, abs=1e-6)
    assert "90.0% of the ceiling's lower bound" in found.evidence
    assert "upper estimate of the ceiling is 0.820; of that it reaches 87.8%" in found.evidence
    above = number([made_method("m", r2=0.81), *methods[1:]], "gap_to_ceiling").evidence
    assert "above the lower bound" in above and "no predictor can" not in above
    beyond = number([made_method("m", r2=0.88), *methods[1:]], "gap_to_ceiling").evidence
    assert "That no predictor can" in beyond
    assert number(methods[:1], "gap_to_ceiling").answer == "not yet run"


def test_whitening() -> None:
    methods = [made_method("s", r2=0.7), made_method("w", r2=0.68, input="whiten")]
    found = number(methods, "whitening")
    assert found.answer == "measured" and "raw_whiten" in found.command
    collapsed = [*methods, made_method("x", r2=0.0, input="raw_whiten")]
    assert number(collapsed, "whitening").value.value == pytest.approx(0.7, abs=1e-6)
    assert number(methods[:1], "whitening").answer == "not yet run"
    by_signal = made_method("k", r2=0.75, input="signal")
    assert number([by_signal, methods[0]], "whitening").evidence.startswith("signal 0.750 (k), standardize 0.700 (s)")
    assert "All runs read signal" in number([by_signal], "whitening").evidence


def test_worst_bin_is_named() -> None:
    """Errors are made large in one bin, which must then be the worst."""
    method = made_method("m", r2=0.8)
    bad_N = ((LABELS["T_eff"] > 5250) & (LABELS["log_g"] < 2) & (LABELS["M_H"] > 0)).to_numpy()
    method.predicted_N[bad_N] += 2.0
    found = number([made_method("m", r2=0.8), method][1:], "worst_bin")
    assert "T_eff above 5250 K, log g below 2, [M/H] above 0" in found.evidence
    assert f"{bad_N.sum()} spectra" in found.evidence


def test_plateau() -> None:
    assert plateau_epoch([(1, 0.1), (2, 0.46), (3, 0.497), (4, 0.50), (5, 0.48)], TASK.objective) == 3
    assert plateau_epoch([], TASK.objective) is None


def test_differences_are_paired() -> None:
    """Two methods that err on the same spectra differ surely by what their single intervals could not tell apart."""
    first, second = made_method("a", r2=0.50, seed=1), made_method("b", r2=0.51, seed=1)
    apart = difference(second, first)
    assert apart.low > 0 and first.estimate.high > second.estimate.low
    assert difference(second, made_method("b", r2=0.5, test_set="another")) is None

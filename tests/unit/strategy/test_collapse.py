"""A trial that learns nothing is stopped and called collapsed, one that is slow is not, and the cause is told."""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import create_trial
from small_dataset import small_dataset, trial_config
from small_search import make_spec

from spectral_search.record.paths import RunPaths
from spectral_search.record.stored_trials import read_study
from spectral_search.run.shared_pass import SharedPass
from spectral_search.run.study import Study
from spectral_search.run.study_copy import _running
from spectral_search.run.study_storage import open_storage
from spectral_search.run.trial_session import trial_course
from spectral_search.spec.fit import FitSpec
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.collapse import (
    COLLAPSED,
    FEW_STEPS,
    LEARNT,
    earliest,
    has_collapsed,
    learnt,
    likely_cause,
    others_learnt,
    shows_nothing,
)
from spectral_search.strategy.parzen_proposer import seen
from spectral_search.task.metric import Metric
from spectral_search.task.registry import task_of
from spectral_search.train.trainer import Trainer

CURVES = Path(__file__).parents[3] / "benchmarks" / "curves" / "curves_mlp.csv"
DEAD, ALIVE = -0.001, 0.4
METRIC = task_of("spectra").objective


def epoch_of(number: int, value: float = DEAD, gain: float = -0.01, steps: int = 100) -> dict[str, Any]:
    return {"epoch": number, "val_r2": value, "train_loss": 1.0 - gain, "train_gain": gain, "steps": number * steps}


def epochs_of(count: int, **record: Any) -> list[dict[str, Any]]:
    return [epoch_of(number, **record) for number in range(1, count + 1)]


def first_stop(records: list[dict[str, Any]], fit: FitSpec, after: int | None = None) -> int | None:
    return next((n for n in range(1, len(records) + 1) if has_collapsed(records[:n], fit, after, METRIC)), None)


@pytest.mark.parametrize(
    ("fit", "after", "stops"),
    [
        ({"epochs": 40}, None, 12),
        ({"epochs": 100}, None, 20),
        ({"epochs": 50, "warmup_epochs": 2.5}, None, 15),
        ({"epochs": 100, "warmup_epochs": 5.0}, 3, 8),
        ({"epochs": 40}, 41, None),
        ({"epochs": 11}, None, None),
    ],
)
def test_it_is_decided_after_the_warm_up_and_a_part_of_the_epochs(
    fit: dict[str, Any], after: int | None, stops: int | None
) -> None:
    spec = FitSpec(**fit)
    assert first_stop(epochs_of(spec.epochs), spec, after) == stops
    if stops is not None:
        assert earliest(spec, after) == stops


def test_few_steps_get_half_of_all_epochs() -> None:
    """Two batches an epoch: after 20 epochs weights have hardly moved."""
    fit = FitSpec(epochs=100)
    assert first_stop(epochs_of(100, steps=2), fit) == 50
    assert first_stop(epochs_of(100, steps=FEW_STEPS // 25), fit) == 25
    assert first_stop(epochs_of(100, steps=FEW_STEPS), fit) == 20
    assert first_stop(epochs_of(100, steps=2), fit, after=5) == 5, "what was asked for counts"


@pytest.mark.parametrize("sign", [{"value": 0.021}, {"gain": 0.021}], ids=["val", "training"])
@pytest.mark.parametrize("at", [1, 7, 20])
def test_one_epoch_that_shows_something_saves_a_trial(sign: dict[str, float], at: int) -> None:
    records = epochs_of(60)
    records[at - 1] = epoch_of(at, **sign)
    assert first_stop(records, FitSpec(epochs=100)) is None


def test_an_epoch_of_an_earlier_version_does_not_count_as_dead() -> None:
    assert not shows_nothing([{"epoch": 1, "val_r2": DEAD, "train_loss": 1.0}], METRIC)
    assert not shows_nothing([], METRIC)


def test_of_recorded_curves_the_dead_are_stopped_and_none_that_comes_to_anything() -> None:
    """By val R2 alone, as if no training loss had ever spoken for a trial; the slowest begins to learn at epoch 9."""
    with CURVES.open() as file:
        curves = [[float(row[str(epoch)]) for epoch in range(1, 46)] for row in csv.DictReader(file)]
    stops = {True: [], False: []}
    for curve in curves:
        records = [epoch_of(number, value) for number, value in enumerate(curve, start=1)]
        stops[max(curve) >= LEARNT].append(first_stop(records, FitSpec(epochs=45)))
    assert set(stops[True]) == {None} and len(stops[True]) == 68
    assert stops[False] == [12] * 4


@pytest.mark.parametrize("chance", [0.5, None])
def test_it_is_seen_in_either_direction_and_by_training_alone_where_chance_is_unknown(chance: float | None) -> None:
    """An error of which 0.5 is what the mean label makes, and less is better."""
    error = Metric("error", "error", higher_is_better=False, chance=chance)
    dead = {"epoch": 1, "val_error": 0.501, "train_gain": 0.0}
    assert shows_nothing([dead, {**dead, "val_error": 0.49}, {**dead, "val_error": math.nan}], error)
    assert shows_nothing([{**dead, "val_error": 0.45}], error) == (chance is None)
    assert not shows_nothing([{**dead, "train_gain": 0.03}], error)
    assert learnt([0.6, 0.39], error) == (chance is not None) and not learnt([0.41, 0.7], error)


def test_a_trial_that_was_stopped_earlier_needs_witnesses() -> None:
    records, fit = epochs_of(2), FitSpec(epochs=20)
    learning, dead = [0.1, 0.3], [-0.1, 0.0]
    assert others_learnt(records, fit, [learning, learning, dead], METRIC)
    assert not others_learnt(records, fit, [learning, dead, dead], METRIC)
    assert not others_learnt(records, fit, [learning], METRIC)
    assert not others_learnt(records, fit, [[0.0, 0.0, 0.5]] * 3, METRIC), "they had not learnt by then"
    assert not others_learnt(records, FitSpec(epochs=20, warmup_epochs=2), [learning] * 3, METRIC), (
        "it was still warming up"
    )


def config_of(model: dict[str, Any] | None = None, fit: dict[str, Any] | None = None, **inputs: Any) -> Any:
    return trial_config(model, fit, **inputs)


VIT, CNN = {"kind": "vit", "width": 16, "heads": 2}, {"kind": "cnn", "channels": [4]}


@pytest.mark.parametrize(
    ("config", "others", "said"),
    [
        (config_of(fit={"lr": 0.1}), [], "fit.lr 0.1 is too high for most networks of this kind"),
        (config_of(fit={"lr": 4e-3}), [config_of(fit={"lr": 1e-3})], "others learnt with 0.001 at most"),
        (config_of(fit={"lr": 1e-9}), [config_of()], "the weights hardly move"),
        (config_of(fit={"lr": 1e-5}), [config_of()], "may be too low; others learnt with 0.003 at least"),
        (config_of(kind="raw_whiten"), [], "raw_whiten is not centred"),
        (config_of({**CNN, "norm": "none"}), [], "without normalisation often learn nothing; set model.norm=batch"),
        (config_of(VIT, {"lr": 1e-4}), [], "without warm-up often learns nothing; set fit.warmup_epochs=2"),
        (config_of({"kind": "mlp", "hidden": [8] * 4}), [], "4 plain layers are hard to train"),
        (config_of(fit={"weight_decay": 10.0, "lr": 5e-3}), [], "fit.weight_decay 10 at this fit.lr"),
        (config_of({"kind": "mlp", "dropout": 0.95}), [], "model.dropout 0.95 leaves hardly anything"),
        (config_of(), [], "No trial of this search has learnt anything so far"),
        (config_of(), [config_of()], "Nothing in its configuration stands out"),
        (config_of(VIT, {"lr": 1e-4, "warmup_epochs": 1}), [config_of()], "Nothing in its configuration stands out"),
        (config_of(fit={"lr": 2e-2}), [config_of(fit={"lr": 3e-2})], "Nothing in its configuration stands out"),
    ],
)
def test_the_likely_cause_follows_from_the_configuration_and_from_who_learnt(
    config: Any, others: list[Any], said: str
) -> None:
    assert said in likely_cause(config, others)


def test_at_most_two_causes_are_told() -> None:
    everything = config_of({**CNN, "norm": "none", "dropout": 0.9}, {"lr": 1.0, "weight_decay": 1.0}, kind="raw_whiten")
    assert likely_cause(everything, []).count(";") == 1


@pytest.mark.parametrize("loss", ["mse", "huber", "l1"])
def test_training_that_learns_nothing_gains_nothing_by_any_loss(loss: str) -> None:
    """The smallest steps there are, and steps that learn: the first gain about 0 of the mean label's loss."""
    trainer = Trainer(small_dataset(256, 64), torch.device("cpu"))
    fit = {"loss": loss, "epochs": 1}
    model = {"kind": "mlp", "hidden": [8]}
    still = trainer.member(0, trial_config(model, {**fit, "lr": 1e-9}))
    with torch.no_grad():
        for weight in still.model.parameters():
            weight.zero_()
    (record,) = trainer.run_epoch([still]).values()
    assert isinstance(record, dict)
    assert record["train_gain"] == pytest.approx(0.0, abs=1e-3)
    assert record["steps"] == 4
    learning = trainer.member(1, trial_config(model, {**fit, "lr": 1e-2}))
    (record,) = trainer.run_epoch([learning]).values()
    assert isinstance(record, dict) and record["train_gain"] > 0.02


Open = Callable[..., Study]


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "results", "run").create()


@pytest.fixture
def study_of(tmp_path: Path, paths: RunPaths) -> Open:
    """Opens the study of a search of 20 epochs that gives up after 3, as a new process would."""
    kept = InMemoryStorage()

    def study(pruner: str = "promote", storage: BaseStorage = kept, **search: Any) -> Study:
        given = {"pruner": pruner, "trials": 4, "finalists": 1, "min_epochs": 6, "reduction_factor": 4, **search}
        spec = make_spec(tmp_path, tmp_path, fit={"epochs": 20}, search={"collapse_epochs": 3, **given})
        return Study(spec, paths, storage, "run")

    return study


def told(study: Study, number: int) -> tuple[str, str | None]:
    """A trial's state, and what is said of its collapse."""
    trial = study._study.get_trials()[number]
    return trial.state.name, trial.user_attrs.get(COLLAPSED)


def begin(study: Study) -> int:
    trial = study.next_trial()
    assert trial is not None
    return trial.number


def tell(study: Study, number: int, count: int, start: int = 1, **record: Any) -> bool:
    """Report epochs up to `count`; whether the trial must stop after the last."""
    for epoch in range(start, count):
        assert not study.report(number, epoch_of(epoch, **record))
    return study.report(number, epoch_of(count, **record))


@pytest.mark.parametrize("pruner", ["promote", "halving", "asha", "none"])
def test_a_dead_trial_is_stopped_by_whatever_pruner_and_says_why(study_of: Open, paths: RunPaths, pruner: str) -> None:
    study = study_of(pruner)
    heard: list[str] = []
    study.listener = lambda event, trial: heard.append(f"{event} {trial.collapsed is not None}")
    number = begin(study)
    assert tell(study, number, 3)
    study.stop(number)
    assert heard[-1] == "stopped True"
    state, why = told(study, number)
    assert state == "PRUNED" and why is not None
    assert why.startswith("no better than the mean label in all its 3 epochs (best val R2 -0.0010).")
    assert paths.trial(number).log_txt.read_text() == f"Collapsed: {why}\n"


def test_who_reads_the_study_is_told(study_of: Open, paths: RunPaths) -> None:
    with open_storage(paths.study_url) as storage:
        study = study_of(storage=storage)
        number = begin(study)
        assert tell(study, number, 3)
        assert [trial.collapsed for trial in read_study(paths.study_url, "run") or []] == [None]
        study.stop(number)
        (known,) = read_study(paths.study_url, "run") or []
        assert (known.state, known.error, known.collapsed) == ("stopped", None, told(study, number)[1])


@pytest.mark.parametrize("pruner", ["promote", "halving", "asha", "none"])
def test_a_learning_trial_goes_on(study_of: Open, paths: RunPaths, pruner: str) -> None:
    study = study_of(pruner)
    number = begin(study)
    assert not tell(study, number, 4, value=0.03)
    assert told(study, number) == ("RUNNING", None) and not paths.trial(number).log_txt.exists()


@pytest.mark.parametrize("pruner", ["promote", "halving", "asha"])
def test_a_dead_trial_does_not_wait_at_a_rung_of_the_same_epoch(study_of: Open, pruner: str) -> None:
    study = study_of(pruner, min_epochs=3)
    number = begin(study)
    assert tell(study, number, 3)
    study.stop(number)
    assert study.history.trials[number].state == "stopped"


@pytest.mark.parametrize("pruner", ["promote", "halving", "none"])
def test_a_process_that_died_before_the_verdict_is_followed_by_one_that_gives_it(study_of: Open, pruner: str) -> None:
    """The epoch is recorded, at a rung even, and nothing else: the next process hears of it again."""
    first = study_of(pruner, min_epochs=3)
    number = begin(first)
    for epoch in epochs_of(3):
        first.record(number, epoch)
    second = study_of(pruner, min_epochs=3)
    again = second.next_trial()
    assert again is not None and (again.number, again.last_epoch, again.settled) == (number, 3, 2)
    assert second.report(number, epoch_of(3))
    second.stop(number)
    assert second.history.trials[number].collapsed


def test_a_resumed_search_decides_at_the_same_epoch(study_of: Open) -> None:
    first = study_of("none")
    number = begin(first)
    assert not tell(first, number, 2)
    second = study_of("none")
    assert begin(second) == number
    assert tell(second, number, 3, start=3)


def test_one_that_waits_in_vain_is_told_collapsed_when_the_others_had_learnt(study_of: Open) -> None:
    study = study_of("halving", min_epochs=2)
    for value in (ALIVE, DEAD, ALIVE, ALIVE):
        number = begin(study)
        gain = 0.5 if value == ALIVE else -0.01
        assert tell(study, number, 2, value=value, gain=gain)
        study.stop(number)
    assert begin(study) == 0  # which judges all that wait
    assert [told(study, number)[1] is not None for number in range(4)] == [False, True, False, False]
    assert told(study, 1)[0] == "PRUNED"


def test_failed_trials_keep_their_own_reason(study_of: Open, paths: RunPaths) -> None:
    study = study_of()
    number = begin(study)
    assert tell(study, number, 3)
    study.finish(number, "failed", "it diverged")
    assert told(study, number) == ("FAIL", None)
    assert not paths.trial(number).log_txt.exists()


def test_proposals_keep_away_from_what_collapsed(study_of: Open) -> None:
    """However far it came: without the mark it would count for more than all that were stopped before it."""
    study = study_of("asha", min_epochs=2, trials=6, startup_trials=1)
    dead, alive = begin(study), begin(study)
    tell(study, dead, 3)
    study.stop(dead)
    tell(study, alive, 1, value=ALIVE, gain=0.5)
    assert [seen(trial, [2], METRIC).rungs for trial in study.history.trials] == [-1, 0]


def test_the_process_that_trains_waits_for_the_verdict_and_leaves_its_best_weights(tmp_path: Path) -> None:
    """A pass runs ahead of what is asked of it, but not past an epoch after which a trial may be stopped."""
    spec = RunSpec.from_dict(
        {
            "stage": "s",
            "model": {"kind": "mlp", "hidden": [4]},
            "fit": {"epochs": 30, "batch_size": 64, "lr": 10.0, "precision": "float32"},
            "search": {"collapse_epochs": 3, "pruner": "none"},
        }
    )
    trainer, paths = Trainer(small_dataset(128, 64), torch.device("cpu")), RunPaths(tmp_path, "run")
    shared, held = SharedPass(lambda: trainer), []
    shared.join(0, trial_course(spec, paths, 0, {}))
    for _ in range(4):
        shared.advance()
        held.append(shared.at_rung(0))
        assert not held[-1] or paths.trial(0).best_safetensors.exists()
    assert held == [False, False, True, True]


def test_what_was_said_of_an_end_goes_when_a_trial_goes_on() -> None:
    """A complete trial that gets more epochs may learn after all."""
    attributes = {"params": {}, COLLAPSED: "no better than the mean label"}
    over = create_trial(value=0.0, user_attrs=attributes)
    assert _running(over, None).user_attrs == {"params": {}}

"""Finalists trained anew with other seeds: which, in how many passes, and what an interruption costs."""

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_dataset import small_dataset

from spectral_search.record.kept_predictions import Retest
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import TrialRecord
from spectral_search.run.retrain_copies import Copy, planned_copies, train_copies
from spectral_search.run.under_way import RETRIES
from spectral_search.spec.run import RunSpec
from spectral_search.train.admission import Admission, NoRoomError
from spectral_search.train.trainer import Trainer

SPEC = RunSpec.from_dict(
    {
        "stage": "test",
        "model": {"kind": "mlp", "hidden": [16], "dropout": 0.1},
        "fit": {"epochs": 6, "batch_size": 64, "lr": 3e-3, "precision": "float32", "seed": 5},
        "search": {"retest_seeds": 3, "retest_share": 0.5},
    }
)


def finalist(number: int, best_epoch: int, **params: Any) -> TrialRecord:
    return TrialRecord(number, "complete", params, best_epoch=best_epoch, best_value=0.5)


@pytest.mark.parametrize(("epochs_trained", "expected"), [(10, [7, 7]), (60, [7, 7, 3, 3]), (56, [7, 7, 3])])
def test_winner_first_the_others_within_the_budget(epochs_trained: int, expected: list[int]) -> None:
    copies = planned_copies(SPEC, [finalist(7, 10), finalist(3, 2), finalist(4, 10)], epochs_trained)
    assert [copy.trial for copy in copies] == expected
    assert [copy.seed for copy in copies[:2]] == [6, 7]


def test_what_the_budget_does_not_hold_is_stopped_early_and_compared_with_the_original_by_then() -> None:
    values = dict(enumerate([0.1, 0.4, 0.3, 0.45, 0.5], 1))
    winner = TrialRecord(7, "complete", {}, best_epoch=5, best_value=0.5, values=values)
    early = planned_copies(SPEC, [winner], 15)
    assert [(copy.epochs, copy.original_value) for copy in early] == [(3, 0.4), (3, 0.4)]
    whole = planned_copies(SPEC, [winner], 25)
    assert [(copy.epochs, copy.original_value) for copy in whole] == [(5, None), (5, None)]


class Progress:
    """Counts epochs, and interrupts at one of them."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        self.epochs: list[tuple[int, int]] = []
        self._interrupt_at = interrupt_at

    def begin(self, copies: object) -> None: ...

    def ended(self, copy: Copy, text: str) -> None: ...

    def epoch(self, copy: Copy, record: dict[str, float]) -> None:
        self.epochs.append((copy.seed, int(record["epoch"])))
        if len(self.epochs) == self._interrupt_at:
            raise KeyboardInterrupt


def train(paths: RunPaths, copies: list[Copy], progress: Progress, spec: RunSpec = SPEC) -> list[Retest]:
    """The copies that ended, with what they predict for the val set."""
    dataset, made = small_dataset(256, 128), []

    def keep(retest: Retest, predict: Any) -> None:
        predicted_DN = np.zeros((0, 0)) if predict is None else predict(dataset.val)
        made.append(Retest(**{**vars(retest), "predicted_DN": predicted_DN}))

    train_copies(Trainer(dataset, torch.device("cpu")), spec, paths, copies, progress, keep)
    return made


COPIES = [Copy(7, {"fit.lr": 1e-2}, 6, 4), Copy(3, {}, 6, 3), Copy(7, {"fit.lr": 1e-2}, 7, 4)]


def test_all_copies_share_one_pass_and_differ_by_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, run_epoch = [], Trainer.run_epoch

    def counted(self: Trainer, members: list[Any]) -> Any:
        sizes.append(len(members))
        return run_epoch(self, members)

    monkeypatch.setattr(Trainer, "run_epoch", counted)
    made = train(RunPaths(tmp_path, "run").create(), COPIES, Progress())
    assert sizes == [3, 3, 3, 2]
    assert {(one.trial, one.seed, one.epochs) for one in made} == {(7, 6, 4), (3, 6, 3), (7, 7, 4)}
    by_seed = {one.seed: one for one in made if one.trial == 7}
    assert by_seed[6].value > 0.2 and by_seed[7].value > 0.2
    assert np.abs(by_seed[6].predicted_DN - by_seed[7].predicted_DN).max() > 0.01
    assert not list((tmp_path / "run" / "retest").glob("*/checkpoint/*"))


def test_a_copy_stopped_early_shows_its_val_r2_and_predicts_nothing(tmp_path: Path) -> None:
    (made,) = train(RunPaths(tmp_path, "run").create(), [replace(COPIES[0], original_value=0.25)], Progress())
    assert made.stopped_early and made.original_value == 0.25 and made.failure is None
    assert made.value is not None and made.predicted_DN.size == 0


def test_an_interruption_costs_no_finished_copy_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spectral_search.run.trial_session.CHECKPOINT_SHARE", 1e9)  # a checkpoint each epoch
    whole = train(RunPaths(tmp_path, "whole").create(), COPIES, Progress())
    paths, cut = RunPaths(tmp_path, "cut").create(), Progress(interrupt_at=11)
    with pytest.raises(KeyboardInterrupt):
        train(paths, COPIES, cut)
    assert cut.epochs[-1] == (7, 4)
    # The one that was at hand goes on from its last checkpoint; the caller leaves out those that ended.
    rest = Progress()
    (last,) = train(paths, COPIES[2:], rest)
    assert rest.epochs == [(7, 4)]
    expected = next(one for one in whole if (one.trial, one.seed) == (7, 7))
    assert last.value == pytest.approx(expected.value, abs=1e-6)
    np.testing.assert_allclose(last.predicted_DN, expected.predicted_DN, atol=1e-5)


def test_a_copy_that_diverges_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    diverging = Copy(9, {"fit.lr": 10.0, "fit.grad_clip": None, "fit.weight_decay": 10.0}, 6, 4)
    made = train(RunPaths(tmp_path, "run").create(), [diverging, COPIES[0]], Progress())
    by_trial = {one.trial: one for one in made}
    assert by_trial[7].failure is None
    assert "became" in (by_trial[9].failure or "") and by_trial[9].value is None


@pytest.mark.slow
@pytest.mark.parametrize(("most", "failed"), [(1, 0), (0, 3)])
def test_a_copy_without_room_comes_after_the_others_or_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, failed: int
) -> None:
    def check(admission: Admission, config: object, beside: Any) -> None:
        gc.collect()  # as the sound one does before it refuses
        if len(beside()) >= most:
            raise NoRoomError("no room for another")

    monkeypatch.setattr(Admission, "check", check)
    made = train(RunPaths(tmp_path, "run").create(), COPIES, Progress())
    assert len(made) == 3
    failures = [one.failure for one in made if one.failure is not None]
    assert len(failures) == failed
    assert all(told.startswith("NoRoomError: no room for another (see retest/") for told in failures)


@pytest.mark.parametrize(("times", "failed"), [(1, []), (9, [6])], ids=["passes", "stays"])
def test_after_an_error_copies_go_on_alone_from_their_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, failed: list[int]
) -> None:
    whole = train(RunPaths(tmp_path, "whole").create(), COPIES, Progress())
    monkeypatch.setattr("spectral_search.run.trial_session.CHECKPOINT_SHARE", 1e9)  # a checkpoint each epoch
    sound, raised = Trainer.run_epoch, []

    def run_epoch(self: Trainer, members: list[Any]) -> Any:
        if len(raised) < times and any(member.key == (7, 6) and member.epoch == 2 for member in members):
            raised.append(len(members))
            raise RuntimeError("device lost")
        return sound(self, members)

    monkeypatch.setattr(Trainer, "run_epoch", run_epoch)
    paths, progress = RunPaths(tmp_path, "cut").create(), Progress()
    made = train(paths, COPIES, progress)
    assert raised == ([3] if times == 1 else [3, *[1] * (RETRIES + 1)])
    assert [one.seed for one in made if one.failure is not None] == failed
    expected = {(one.trial, one.seed): one.value for one in whole}
    for one in made:
        if one.failure is None:
            assert one.value == pytest.approx(expected[one.trial, one.seed], abs=1e-6)
    assert len(progress.epochs) == (9 if failed else 11), "each epoch is told once"
    if failed:
        assert "device lost" in paths.retest(7, 6).log_txt.read_text()


def test_a_copy_whose_checkpoint_is_damaged_is_trained_anew_and_says_so(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path, "run").create()
    (whole,) = train(paths, COPIES[:1], Progress())
    with pytest.raises(KeyboardInterrupt):
        train(paths, COPIES[:1], Progress(interrupt_at=2))
    folder = paths.retest(7, 6)
    folder.last_safetensors.write_bytes(folder.last_safetensors.read_bytes()[:100])
    (made,) = train(paths, COPIES[:1], Progress())
    assert (made.epoch, made.value) == (whole.epoch, whole.value)
    assert "Trained anew from epoch 1" in folder.log_txt.read_text()

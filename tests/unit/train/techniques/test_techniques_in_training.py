"""Techniques at work in members: alone as in company, and what is left on disk is what was measured."""

from pathlib import Path
from typing import Any

import pytest
import torch
from small_dataset import small_dataset, trial_config

from spectral_search.errors import RequestError
from spectral_search.record.paths import RunPaths
from spectral_search.spec.name_registry import LOSSES
from spectral_search.tasks.spectra.training.dataset import Dataset
from spectral_search.train.capacity import footprint, member_bytes
from spectral_search.train.checkpoint import load_checkpoint, read_best, save_checkpoint
from spectral_search.train.member import Member
from spectral_search.train.pack import make_packs
from spectral_search.train.trainer import Trainer

CPU = torch.device("cpu")
EMA = {"weight_average": "ema", "average_decay": 0.95}
MASK = {"augment": [{"kind": "mask", "share": 0.2}]}
MODELS: dict[str, dict[str, Any]] = {
    "pieces": {"kind": "mlp", "hidden": [256], "dropout": 0.1},
    "stack": {"kind": "mlp", "hidden": [16], "norm": "batch"},
    "cnn": {"kind": "cnn", "channels": [4], "kernel_size": 5, "norm": "batch"},
}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    torch.set_num_threads(1)
    return small_dataset(300, 150, draws=1)


def trained(dataset: Dataset, model: str, *fits: dict[str, Any], epochs: int = 3) -> list[Member]:
    trainer = Trainer(dataset, CPU)
    members = [trainer.member(n, trial_config(MODELS[model], {"epochs": 4, **fit})) for n, fit in enumerate(fits)]
    for _ in range(epochs):
        trainer.run_epoch(members)
    return members


@pytest.mark.parametrize("model", MODELS)
def test_an_average_leaves_training_as_it_is_and_is_what_is_measured(dataset: Dataset, model: str) -> None:
    (plain,), (averaged,) = trained(dataset, model, {}), trained(dataset, model, EMA)
    for value, peer in zip(plain.model.state_dict().values(), averaged.model.state_dict().values(), strict=True):
        assert torch.equal(value, peer)
    losses = [[record["train_loss"] for record in member.history] for member in (plain, averaged)]
    assert losses[0] == losses[1]
    assert plain.best is not None and plain.history[-1]["val_r2"] != averaged.history[-1]["val_r2"]


@pytest.mark.parametrize("model", MODELS)
def test_the_best_weights_are_the_averaged_ones(dataset: Dataset, model: str, tmp_path: Path) -> None:
    trainer = Trainer(dataset, CPU)
    member = trainer.member(0, trial_config(MODELS[model], {"epochs": 4, **EMA}))
    for _ in range(3):
        trainer.run_epoch([member])
    paths = RunPaths(tmp_path, "run").trial(0).create()
    save_checkpoint(member, paths)
    weights, best = read_best(paths)
    member.model.load_state_dict(weights)
    again = trainer.data.val_scores(trainer.predict([member], dataset.val)[0])
    assert again["r2"] == best["val_r2"]


def test_a_checkpoint_without_the_average_is_refused_where_one_is_wanted(dataset: Dataset, tmp_path: Path) -> None:
    (plain,) = trained(dataset, "stack", {})
    paths = RunPaths(tmp_path, "run").trial(0).create()
    save_checkpoint(plain, paths)
    fresh = Trainer(dataset, CPU).member(0, trial_config(MODELS["stack"], {"epochs": 4, **EMA}))
    with pytest.raises(RequestError, match="another network than the spec describes"):
        load_checkpoint(fresh, paths)


def test_a_first_beta_that_moves_reaches_every_group(dataset: Dataset) -> None:
    groups = {"groups": [{"match": "*.bias", "lr_factor": 2.0}]}
    for momentum, expected in ((True, 0.95), (False, 0.9)):
        recipe = {"schedule": "one_cycle", "one_cycle_momentum": momentum, **groups}
        (member,) = trained(dataset, "stack", recipe, epochs=4)
        betas = [group["betas"] for group in member.optimizer.param_groups]
        assert len(betas) > 1 and betas == [pytest.approx((expected, 0.999))] * len(betas)


@pytest.mark.parametrize(("metric", "drops"), [(None, 0), ("r2", 0), ("mae_dex", 2), ("rmse_dex", 1)])
def test_a_plateau_is_of_the_metric_that_is_named(dataset: Dataset, metric: str | None, drops: int) -> None:
    trainer = Trainer(dataset, CPU)
    recipe = {"epochs": 9, "schedule": "plateau", "step_factor": 0.5, "plateau_patience": 1, "plateau_metric": metric}
    member = trainer.member(0, trial_config(MODELS["stack"], recipe))
    rising, falling = [0.1, 0.2, 0.3, 0.4, 0.5], [0.9, 0.8, 0.8, 0.8, 0.7]
    for epoch, values in enumerate(zip(rising, rising, falling, strict=True), start=1):
        named = dict(zip(("val_r2", "val_mae_dex", "val_rmse_dex"), values, strict=True))
        member.history.append({"epoch": epoch, **named})
    trainer.run_epoch([member])
    assert member.history[-1]["lr"] == pytest.approx(member.config.fit.lr * 0.5**drops)


@pytest.mark.parametrize("model", MODELS)
def test_masked_inputs_are_the_members_own_in_a_pass_that_others_share(dataset: Dataset, model: str) -> None:
    fits = [{}, MASK, MASK, {"augment": [{"kind": "mask", "share": 0.2, "run": 3}]}]
    together = trained(dataset, model, *fits)
    if model != "cnn":
        assert [[m.number for m in pack.members] for pack in make_packs(together)] == [[0], [1, 2], [3]]
    for number, fit in enumerate(fits):
        trainer = Trainer(dataset, CPU)
        alone = trainer.member(number, trial_config(MODELS[model], {"epochs": 4, **fit}))
        for _ in range(3):
            trainer.run_epoch([alone])
        losses = [[record["train_loss"] for record in member.history] for member in (alone, together[number])]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    masked, plain = together[1].history[0]["train_loss"], trained(dataset, model, {}, {})[1].history[0]["train_loss"]
    assert masked != plain


MIXING = {"augment": [{"kind": "noise", "sigma": 0.1}, {"kind": "mixup", "alpha": 1.0}, {"kind": "cutmix"}]}


@pytest.mark.parametrize("model", MODELS)
def test_mixed_targets_go_with_their_inputs_alone_as_in_company(dataset: Dataset, model: str) -> None:
    fits = [{}, MIXING, {**MIXING, "loss": "huber"}, {**MIXING, "precision": "bfloat16"}]
    together = trained(dataset, model, *fits)
    if model != "cnn":
        assert [[m.number for m in pack.members] for pack in make_packs(together)] == [[0], [1, 2], [3]]
    for number in (0, 1, 3):
        trainer = Trainer(dataset, CPU)
        alone = trainer.member(number, trial_config(MODELS[model], {"epochs": 4, **fits[number]}))
        for _ in range(3):
            trainer.run_epoch([alone])
        losses = [[record["train_loss"] for record in member.history] for member in (alone, together[number])]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert together[0].history[0]["train_loss"] != pytest.approx(together[1].history[0]["train_loss"], rel=1e-2)


def test_a_loss_that_takes_whole_targets_only_refuses_mixtures(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LOSSES.find("huber"), "takes_mixtures", False)
    trainer = Trainer(dataset, CPU)
    trainer.member(0, trial_config(None, {**MASK, "loss": "huber"}))
    with pytest.raises(RequestError, match=r"mixes targets \(mixup, cutmix\), and fit.loss huber takes none but whole"):
        trainer.member(1, trial_config(None, {**MIXING, "loss": "huber"}))


def test_memory_counts_the_average_and_the_second_input() -> None:
    plain, ema, mask = (trial_config(MODELS["stack"], fit) for fit in ({}, EMA, MASK))
    assert footprint(ema, 32).state > footprint(plain, 32).state and member_bytes(ema, 32) > member_bytes(plain, 32)
    assert footprint(mask, 32).inputs == 2 * footprint(plain, 32).inputs

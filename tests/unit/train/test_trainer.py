"""A member's numbers are its own: whatever shares its pass, whatever ran before, wherever it was resumed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from small_dataset import make_dataset, make_spectra, small_dataset, trial_config

from spectral_search.record.epoch_log import EpochRecord
from spectral_search.spec.run import TrialConfig
from spectral_search.task.training import TrainBatch
from spectral_search.tasks.spectra.scores import r2
from spectral_search.tasks.spectra.training.dataset import Dataset, Labelled
from spectral_search.tasks.spectra.training.input_feed import Feed, InputFormat
from spectral_search.tasks.spectra.training.input_transforms import InputTransform
from spectral_search.tasks.spectra.training.training_batches import ResidentSource
from spectral_search.train.member import Member, NonFiniteLossError
from spectral_search.train.pack import StackPack, make_packs
from spectral_search.train.trainer import RIDGE_BATCH, Trainer

CPU = torch.device("cpu")
MLP = {"kind": "mlp", "hidden": [16], "dropout": 0.3}
CNN = {"kind": "cnn", "channels": [4, 8], "kernel_size": 5, "norm": "batch", "head": [8], "dropout": 0.2}
MOE = {"kind": "moe_cnn", "channels": [2], "head": [4]}
TIMES = {"seconds", "spectra_per_second"}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return small_dataset(400, 200, draws=2)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def numbers(history: list[EpochRecord]) -> list[dict[str, float]]:
    """The records without what the clock says."""
    return [{name: value for name, value in record.items() if name not in TIMES} for record in history]


def assert_same(records: list[dict[str, float]], others: list[dict[str, float]]) -> None:
    """Equal but for the last digits, which depend on how the products of a pack are cut up."""
    for record, other in zip(records, others, strict=True):
        assert record == pytest.approx(other, rel=1e-5, abs=1e-6)


def step(
    member: Member, x_BCL: torch.Tensor, target_B: torch.Tensor, index: int = 0, bin_B: torch.Tensor | None = None
) -> None:
    """One step of a member on a batch of its own."""
    bin_B = torch.zeros(len(target_B), dtype=torch.int64) if bin_B is None else bin_B
    (pack,) = make_packs([member])
    pack.compute(TrainBatch(index, {member.network.input_key: x_BCL}, target_B, bin_B))
    pack.update()


def run(trainer: Trainer, members: list[Member], epochs: int) -> None:
    for _ in range(epochs):
        for result in trainer.run_epoch(members).values():
            assert isinstance(result, dict), result


def history_of(dataset: Dataset, number: int, config: TrialConfig, epochs: int) -> list[dict[str, float]]:
    trainer = Trainer(dataset, CPU)
    member = trainer.member(number, config)
    run(trainer, [member], epochs)
    return numbers(member.history)


def test_a_member_in_company_has_the_curve_it_has_alone(dataset: Dataset) -> None:
    configs = [
        trial_config(MLP, {"lr": 3e-3}),
        trial_config(MLP, {"lr": 1e-3, "weight_decay": 0.1, "schedule": "one_cycle"}, kind="whiten", clamp=3.0),
        trial_config(CNN, {"grad_clip": None, "loss": "huber"}),
    ]
    trainer = Trainer(dataset, CPU)
    members = [trainer.member(number, config) for number, config in enumerate(configs)]
    run(trainer, members, 3)
    for number, (member, config) in enumerate(zip(members, configs, strict=True)):
        assert_same(numbers(member.history), history_of(dataset, number, config, 3))


def test_members_may_leave_and_join_between_epochs(dataset: Dataset) -> None:
    trainer = Trainer(dataset, CPU)
    first, second = (trainer.member(number, trial_config(MLP)) for number in (0, 1))
    run(trainer, [first], 2)
    run(trainer, [second], 2)
    run(trainer, [first, second], 1)
    assert_same(numbers(second.history), history_of(dataset, 1, trial_config(MLP), 3))


def test_trials_differ_in_initialisation_and_dropout_and_share_noise_and_order(dataset: Dataset) -> None:
    trainer = Trainer(dataset, CPU)
    weights = [trainer.member(number, trial_config(MLP)).model.state_dict() for number in (0, 1, 0)]
    name = next(iter(weights[0]))
    assert not torch.equal(weights[0][name], weights[1][name])
    assert torch.equal(weights[0][name], weights[2][name])
    # With the weights made alike, only dropout is left to differ between trials.
    for dropout, alike in ((0.0, True), (0.3, False)):
        config = trial_config({**MLP, "dropout": dropout})
        members = [trainer.member(number, config) for number in (0, 1)]
        members[1].model.load_state_dict(members[0].model.state_dict())
        run(trainer, members, 1)
        losses = [member.history[0]["train_loss"] for member in members]
        assert (losses[0] == losses[1]) is alike


def test_dropout_is_a_function_of_seed_trial_epoch_and_batch(dataset: Dataset) -> None:
    config = trial_config({**MLP, "dropout": 0.5})
    member = Trainer(dataset, CPU).member(3, config)
    x_BCL, target_B = torch.ones(8, 1, 32), torch.full((8,), 3.0)

    def masks(index: int, epoch: int) -> torch.Tensor:
        """Which of the hidden units no gradient reaches: the dropped ones, batch and width of one spectrum."""
        member.history = [{"epoch": n + 1, "val_r2": 0.0} for n in range(epoch)]
        member.begin_epoch()
        state = {name: value.clone() for name, value in member.model.state_dict().items()}
        step(member, x_BCL, target_B, index)
        member.model.load_state_dict(state)
        gradient = member.model.get_parameter("head.weight").grad
        assert gradient is not None
        return gradient.clone()

    first_BF = masks(0, 0)
    torch.manual_seed(99)
    assert torch.equal(masks(0, 0), first_BF)
    assert not torch.equal(masks(1, 0), first_BF)
    assert not torch.equal(masks(0, 1), first_BF)


def test_noise_is_fresh_in_every_epoch_and_batch_and_shared_by_all_trials(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[tuple[int, int, int], torch.Tensor] = {}
    original = StackPack.compute

    def spy(self: StackPack, batch: TrainBatch) -> None:
        (member,) = self.members
        seen[member.number, member.epoch, batch.index] = batch.inputs[self.input_key][:50].clone()
        original(self, batch)

    monkeypatch.setattr(StackPack, "compute", spy)
    train = dataset.train
    assert isinstance(train, Labelled)
    # Spectra that are all alike: what differs is the noise, whatever their order.
    alike = replace(train, flux_NL=np.ones_like(train.flux_NL), error_NL=np.full_like(train.error_NL, 0.1))
    for number in (0, 1):
        trainer = Trainer(replace(dataset, train=alike), CPU)
        run(trainer, [trainer.member(number, trial_config(MLP))], 2)
    assert len(seen) == 2 * 2 * 6
    for (number, epoch, index), x_BCL in seen.items():
        assert torch.equal(x_BCL, seen[1 - number, epoch, index])
        others = [seen[number, e, i] for e in (0, 1) for i in range(6) if (e, i) != (epoch, index)]
        assert not any(torch.equal(x_BCL, other_BCL) for other_BCL in others)


def test_train_loss_and_best_weights_are_those_of_their_epoch(dataset: Dataset) -> None:
    trainer = Trainer(dataset, CPU)
    member = trainer.member(0, trial_config(MLP, {"epochs": 6}))
    weights = []
    for epoch in range(1, 7):
        if epoch == 5:
            with torch.no_grad():
                member.model.get_parameter("head.weight").neg_()
        run(trainer, [member], 1)
        weights.append({name: value.clone() for name, value in member.model.state_dict().items()})
    best = member.best
    assert best is not None and member.best_weights is not None
    assert best["val_r2"] == max(record["val_r2"] for record in member.history)
    assert best["epoch"] == 4
    for name, value in member.best_weights.items():
        assert torch.equal(value, weights[best["epoch"] - 1][name])
    member.model.load_state_dict(member.best_weights)
    predicted_DN = trainer.predict([member], dataset.val)[0]
    assert r2(predicted_DN, np.broadcast_to(dataset.val.log_g_N, predicted_DN.shape)) == best["val_r2"]


def test_patience_counts_epochs_since_the_best(dataset: Dataset) -> None:
    member = Trainer(dataset, CPU).member(0, trial_config(MLP, {"epochs": 10, "patience": 3}))
    for epoch, value in enumerate((0.1, 0.5, 0.5, 0.2), start=1):
        member.history.append({"epoch": epoch, "val_r2": value})
        assert not member.finished
    member.history.append({"epoch": 5, "val_r2": 0.4})
    assert member.finished
    patient = Trainer(dataset, CPU).member(0, trial_config(MLP, {"epochs": 5, "patience": None}))
    patient.history = member.history[:4]
    assert not patient.finished
    patient.history = member.history
    assert patient.finished


@pytest.mark.parametrize("clip", [None, 0.05])
def test_gradients_are_clipped_to_the_norm(dataset: Dataset, clip: float | None) -> None:
    member = Trainer(dataset, CPU).member(0, trial_config({**MLP, "dropout": 0.0}, {"grad_clip": clip}))
    member.begin_epoch()
    step(member, torch.ones(8, 1, 32), torch.full((8,), 30.0))
    # After one step AdamW's first moment is a tenth of the gradient that it was given.
    norm = 10.0 * torch.nn.utils.get_total_norm([state["exp_avg"] for state in member.optimizer.state.values()])
    assert float(norm) == pytest.approx(clip, rel=1e-3) if clip else float(norm) > 1.0


@pytest.mark.parametrize(
    ("loss", "expected"), [("mse", [0.25, 4.0]), ("l1", [0.5, 2.0]), ("huber", [0.125, 1.5])], ids=str
)
def test_losses_are_on_the_standardised_target(dataset: Dataset, loss: str, expected: list[float]) -> None:
    member = Trainer(dataset, CPU).member(0, trial_config({**MLP, "dropout": 0.0}, {"loss": loss}))
    for parameter in member.model.parameters():
        torch.nn.init.zeros_(parameter)
    member.begin_epoch()
    step(member, torch.ones(2, 1, 32), torch.tensor([0.5, -2.0]))
    assert float(member._loss_sum) == pytest.approx(np.mean(expected), rel=1e-5)


def test_a_step_is_torch_adamw(dataset: Dataset) -> None:
    config = trial_config({**MLP, "dropout": 0.0}, {"lr": 0.01, "weight_decay": 0.3, "grad_clip": None})
    member = Trainer(dataset, CPU).member(0, config)
    peer = Trainer(dataset, CPU).member(0, config).model
    optimizer = torch.optim.AdamW(peer.parameters(), lr=0.01, weight_decay=0.3, foreach=False, fused=False)
    member.begin_epoch()
    x_BCL, target_B = torch.randn(16, 1, 32), torch.linspace(-2, 2, 16)
    for index in range(3):
        step(member, x_BCL, target_B, index)
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(peer(x_BCL), target_B).backward()
        optimizer.step()
    for ours, theirs in zip(member.model.parameters(), peer.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_diverged_member_fails_with_its_reason_and_the_others_go_on(dataset: Dataset) -> None:
    trainer = Trainer(dataset, CPU)
    wild = trainer.member(0, trial_config(MLP, {"lr": 1.0}))
    for parameter in wild.model.parameters():
        torch.nn.init.constant_(parameter, 1e30)
    calm = trainer.member(1, trial_config(MLP))
    results = trainer.run_epoch([wild, calm])
    assert isinstance(results[0], NonFiniteLossError)
    assert "epoch 1 at lr 1: lower fit.lr" in str(results[0])
    assert isinstance(results[1], dict)
    assert wild.history == []
    assert_same(numbers(calm.history), history_of(dataset, 1, trial_config(MLP), 1))


@pytest.mark.parametrize("change", [{"seed": 7}, {"batch_size": 32}])
def test_members_of_a_pass_share_seed_and_batch_size(dataset: Dataset, change: dict[str, int]) -> None:
    trainer = Trainer(dataset, CPU)
    members = [trainer.member(0, trial_config(MLP)), trainer.member(1, trial_config(MLP, change))]
    with pytest.raises(ValueError, match="share epoch, seed and batch size"):
        trainer.run_epoch(members)


@pytest.mark.parametrize(
    "model", [MLP, CNN, {"kind": "moe_cnn", "channels": [2], "head": [4]}], ids=lambda m: m["kind"]
)
def test_ridge_residual_starts_at_the_ridge_of_sklearn(dataset: Dataset, model: dict[str, object]) -> None:
    alpha = 20.0
    trainer = Trainer(dataset, CPU)
    config = trial_config(model, {"target": "ridge_residual", "ridge_alpha": alpha, "epochs": 3}, kind="whiten")
    member = trainer.member(0, config)
    train, prep = dataset.train, dataset.prep
    assert isinstance(train, Labelled)
    transform = InputTransform(config.data.input, prep, 1.0, CPU)
    (batch,) = ResidentSource(train, CPU).epoch(42, 0, RIDGE_BATCH)
    wanted = {"x": InputFormat(transform, torch.float32)}
    features_NF = Feed(1.0, CPU).inputs(batch, wanted, 42, "ridge", 0)["x"].flatten(1).numpy()
    peer = Ridge(alpha=alpha).fit(features_NF, (batch.log_g_B.numpy() - prep.target_mean_dex) / prep.target_std_dex)
    val = dataset.val
    expected_DN = np.stack(
        [
            peer.predict(transform(torch.from_numpy(noisy), torch.from_numpy(val.error_NL)).flatten(1).numpy())
            for noisy in val.noisy_DNL
        ]
    )
    predicted_DN = trainer.predict([member], val)[0]
    expected_DN = expected_DN * prep.target_std_dex + prep.target_mean_dex
    np.testing.assert_allclose(predicted_DN, expected_DN, atol=2e-3)
    assert r2(predicted_DN, np.broadcast_to(val.log_g_N, predicted_DN.shape)) > 0.5
    run(trainer, [member], 2)
    # Another draw of the noise of 400 spectra moves the loss by a tenth.
    assert member.history[1]["train_loss"] < member.history[0]["train_loss"] * 1.25
    moved_DN = trainer.predict([member], val)[0]
    assert np.abs(moved_DN - predicted_DN).max() > 1e-3, "the network learns nothing"


def test_ridge_sums_serve_every_penalty(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(dataset, CPU)
    recipe = {"target": "ridge_residual"}
    first = trainer.member(0, trial_config(MLP, {**recipe, "ridge_alpha": 1.0}))
    monkeypatch.delattr(Trainer, "_ridge_batches")  # a second pass over the spectra would need it
    second = trainer.member(0, trial_config(MLP, {**recipe, "ridge_alpha": 1e4}))
    norms = [float(member.model.get_buffer("ridge_weight_F").norm()) for member in (first, second)]
    assert norms[1] < 0.5 * norms[0]


def test_the_oracle_sees_the_true_bin_in_training_and_val(dataset: Dataset) -> None:
    """Each expert is made to answer its own number; the prediction then is the bin."""
    trainer = Trainer(dataset, CPU)
    config = trial_config({"kind": "moe_cnn", "gate": "oracle", "channels": [2], "head": [4]})
    member = trainer.member(0, config)
    for number, expert in enumerate(member.model.experts):
        last = [part for part in expert.modules() if isinstance(part, torch.nn.Linear)][-1]
        torch.nn.init.zeros_(last.weight)
        torch.nn.init.constant_(last.bias, number)
    predicted_DN = trainer.predict([member], dataset.val)[0]
    bin_DN = (predicted_DN - dataset.prep.target_mean_dex) / dataset.prep.target_std_dex
    np.testing.assert_allclose(bin_DN, np.broadcast_to(dataset.val.bin_N, bin_DN.shape), atol=1e-5)
    assert len(np.unique(dataset.val.bin_N)) >= 6
    batch = next(trainer.data.batches({}, trainer.data.source(config), 64, (42, 1), (42,)))
    output_B = member.network.output(torch.zeros(len(batch), 1, 32), batch.context_B)
    assert torch.equal(output_B.round().long(), batch.context_B)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["standardize", "whiten"])
def test_nan_error_at_the_edges_of_train_alone_does_not_lower_r2(kind: str) -> None:
    """The trap: no noise on the edges in train, real noise there in val, and a val input that is huge."""
    scores = {}
    for nan_edges in (False, True):
        train, val = make_spectra(1500, 1, nan_edges=nan_edges), make_spectra(1000, 2)
        rng = np.random.default_rng(5)
        noisy_NL = val.flux_NL + val.error_NL * rng.standard_normal(val.flux_NL.shape).astype(np.float32)
        dataset = make_dataset(train, replace(val, noisy_NL=noisy_NL), draws=1)[0]
        assert dataset.prep.valid_L[[0, -1]].all() is not nan_edges
        trainer = Trainer(dataset, CPU)
        member = trainer.member(0, trial_config(MLP, {"epochs": 6}, kind=kind))
        run(trainer, [member], 6)
        assert member.best is not None
        scores[nan_edges] = member.best["val_r2"]
    assert scores[False] > 0.6
    assert scores[True] == pytest.approx(scores[False], abs=0.02)


@pytest.mark.parametrize("kind", ["standardize", "whiten", "flux_error"])
def test_a_small_mlp_learns(dataset: Dataset, kind: str) -> None:
    trainer = Trainer(small_dataset(1024, 512), CPU)
    member = trainer.member(0, trial_config({"kind": "mlp", "hidden": [32]}, {"epochs": 6}, kind=kind))
    run(trainer, [member], 6)
    assert member.best is not None and member.best["val_r2"] > 0.6
    training = {"train_loss", "train_gain", "lr", "steps"}
    assert {"epoch", "val_r2", "val_mae_dex", "val_rmse_dex", *training, *TIMES} == set(member.best)

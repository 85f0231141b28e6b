"""A fit that was cut off anywhere goes on to the numbers of one that was not."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_dataset import small_dataset, trial_config

from spectral_search.errors import RequestError
from spectral_search.record.epoch_log import EpochRecord
from spectral_search.record.paths import RunPaths, TrialPaths
from spectral_search.spec.run import TrialConfig
from spectral_search.tasks.spectra.training.dataset import Dataset
from spectral_search.train.checkpoint import DamagedCheckpointError, load_checkpoint, read_best, save_checkpoint
from spectral_search.train.member import Member
from spectral_search.train.trainer import Trainer

CPU = torch.device("cpu")
MLP = {"kind": "mlp", "hidden": [16], "dropout": 0.3, "norm": "batch"}
CNN = {"kind": "cnn", "channels": [4, 8], "kernel_size": 5, "norm": "batch", "head": [8], "dropout": 0.2}
DEEP = {"kind": "res_cnn", "channels": 4, "stem_channels": 4, "blocks": 2, "kernel_size": 3, "stochastic_depth": 0.5}
EPOCHS = 4
TIMES = {"seconds", "spectra_per_second"}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    torch.set_num_threads(1)
    return small_dataset(300, 150, draws=1)


@pytest.fixture
def paths(tmp_path: Path) -> TrialPaths:
    return RunPaths(tmp_path, "run").trial(7).create()


def train(trainer: Trainer, member: Member, epochs: int) -> list[EpochRecord]:
    for _ in range(epochs):
        result = trainer.run_epoch([member])[member.number]
        assert isinstance(result, dict), result
    return [{name: value for name, value in record.items() if name not in TIMES} for record in member.history]


RECIPES = {
    "mlp": trial_config(MLP, {"epochs": EPOCHS}),
    "cnn-one-cycle": trial_config(CNN, {"epochs": EPOCHS, "schedule": "one_cycle", "one_cycle_momentum": True}),
    "plateau": trial_config(MLP, {"epochs": EPOCHS, "schedule": "plateau", "plateau_patience": 1, "lr": 0.3}),
    "ridge-residual": trial_config(MLP, {"epochs": EPOCHS, "target": "ridge_residual"}, kind="whiten"),
    "bfloat16": trial_config(MLP, {"epochs": EPOCHS, "precision": "bfloat16"}),
    "averaged": trial_config(MLP, {"epochs": EPOCHS, "weight_average": "ema", "average_decay": 0.9}),
    "averaged-at-last": trial_config(MLP, {"epochs": EPOCHS, "weight_average": "swa", "average_share": 0.75}),
    "accumulated": trial_config(MLP, {"epochs": EPOCHS, "accumulate": 3}),
    "stochastic-depth": trial_config(DEEP, {"epochs": EPOCHS, "checkpoint_activations": True}),
    "grouped-and-masked": trial_config(
        MLP,
        {
            "epochs": EPOCHS,
            "groups": [{"match": "head.*", "lr_factor": 3.0, "weight_decay": 0.1}, {"match": "*.bias"}],
            "augment": [{"kind": "mask", "share": 0.2}],
        },
    ),
}


@pytest.mark.parametrize("config", RECIPES.values(), ids=RECIPES.keys())
def test_resumed_at_any_epoch_it_is_bitwise_the_uninterrupted_fit(
    dataset: Dataset, tmp_path: Path, config: TrialConfig
) -> None:
    trainer = Trainer(dataset, CPU)
    whole = trainer.member(7, config)
    kept = [RunPaths(tmp_path, "run").trial(stopped).create() for stopped in range(1, EPOCHS)]
    for paths in kept:
        train(trainer, whole, 1)
        save_checkpoint(whole, paths)
    expected = train(trainer, whole, 1)
    for stopped, paths in enumerate(kept, start=1):
        again = Trainer(dataset, CPU)
        torch.manual_seed(stopped)  # the state of the generator must not matter
        resumed = again.member(7, config)
        assert load_checkpoint(resumed, paths)
        assert resumed.epoch == stopped
        assert train(again, resumed, EPOCHS - stopped) == expected
        for name, value in whole.model.state_dict().items():
            assert torch.equal(resumed.model.state_dict()[name], value), name


def test_best_is_kept_on_disk_when_later_epochs_are_worse(dataset: Dataset, paths: TrialPaths) -> None:
    trainer = Trainer(dataset, CPU)
    member = trainer.member(7, trial_config(MLP, {"epochs": 6}))
    for epoch in range(1, 7):
        if epoch == 5:
            with torch.no_grad():
                member.model.get_parameter("head.weight").neg_()
        train(trainer, member, 1)
        save_checkpoint(member, paths)
    weights, record = read_best(paths)
    assert member.best is not None
    assert record == member.best
    assert record["epoch"] == 4
    assert set(weights) == set(member.model.state_dict())
    member.model.load_state_dict(weights)
    predicted_DN = trainer.predict([member], dataset.val)[0]
    residual_sq = float(((predicted_DN - dataset.val.log_g_N) ** 2).mean())
    assert residual_sq**0.5 == pytest.approx(record["val_rmse_dex"], rel=1e-6)


def test_without_a_checkpoint_nothing_is_loaded(dataset: Dataset, paths: TrialPaths) -> None:
    member = Trainer(dataset, CPU).member(7, trial_config(MLP))
    assert load_checkpoint(member, paths) is False
    with pytest.raises(RequestError, match="holds no weights"):
        read_best(paths)


@pytest.fixture
def saved(dataset: Dataset, paths: TrialPaths) -> TrialPaths:
    trainer = Trainer(dataset, CPU)
    member = trainer.member(7, trial_config(MLP))
    train(trainer, member, 1)
    save_checkpoint(member, paths)
    return paths


@pytest.mark.parametrize("part", ["last_safetensors", "best_safetensors"])
@pytest.mark.parametrize("kept", [0, 5, 300, 0.5, 0.999])
def test_a_cut_file_is_refused_in_a_sentence(dataset: Dataset, saved: TrialPaths, part: str, kept: float) -> None:
    path: Path = getattr(saved, part)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(DamagedCheckpointError, match="cannot be read"):
        load_checkpoint(Trainer(dataset, CPU).member(7, trial_config(MLP)), saved)


@pytest.mark.parametrize("metadata", [None, {"record": "{}"}, {"record": "not json"}, {"record": '{"history": []}'}])
def test_foreign_files_are_refused(dataset: Dataset, saved: TrialPaths, metadata: dict[str, str] | None) -> None:
    save_file(load_file(saved.last_safetensors), saved.last_safetensors, metadata=metadata)
    with pytest.raises(DamagedCheckpointError, match="cannot be read"):
        load_checkpoint(Trainer(dataset, CPU).member(7, trial_config(MLP)), saved)


def test_the_checkpoint_of_another_network_is_refused(dataset: Dataset, saved: TrialPaths) -> None:
    other = trial_config({**MLP, "hidden": [8]})
    with pytest.raises(RequestError, match="of another network") as caught:
        load_checkpoint(Trainer(dataset, CPU).member(7, other), saved)
    assert not isinstance(caught.value, DamagedCheckpointError)


def test_a_missing_best_is_noticed(dataset: Dataset, saved: TrialPaths) -> None:
    saved.best_safetensors.unlink()
    with pytest.raises(DamagedCheckpointError, match="should hold epoch 1 and is missing"):
        load_checkpoint(Trainer(dataset, CPU).member(7, trial_config(MLP)), saved)


def test_files_hold_tensors_and_json_and_no_pickle(saved: TrialPaths) -> None:
    files = sorted(path for path in saved.folder.rglob("*") if path.is_file())
    assert {path.suffix for path in files} == {".safetensors"}
    for path in files:
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        assert json.loads(header.pop("__metadata__")["record"])
        ends = [entry["data_offsets"][1] for entry in header.values()]
        assert 8 + length + max(ends) == len(content), "bytes that are no tensor"


def test_nothing_in_the_package_can_read_a_pickle() -> None:
    package = Path(__file__).parents[3] / "spectral_search"
    for path in package.rglob("*.py"):
        text = path.read_text()
        assert "torch.load(" not in text and "torch.save(" not in text, path
        assert not re.search(r"import pickle\b", text) and "allow_pickle=True" not in text, path

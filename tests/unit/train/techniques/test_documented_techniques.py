"""What docs/extending.md shows of training techniques is found by its name, and trains."""

from pathlib import Path

import pytest
import torch
import yaml
from documented_code import code_of, install
from small_dataset import small_dataset, trial_config

from spectral_search.errors import RequestError
from spectral_search.spec.name_registry import LOSSES
from spectral_search.spec.run import RunSpec
from spectral_search.train.trainer import Trainer

SECTION = "A training technique"


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install("extending.md", SECTION, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_the_loss_and_the_schedule_train() -> None:
    torch.set_num_threads(1)
    trainer = Trainer(small_dataset(300, 150, draws=1), torch.device("cpu"))
    member = trainer.member(0, trial_config(None, {"epochs": 3, "loss": "log_cosh", "schedule": "linear"}))
    for _ in range(3):
        trainer.run_epoch([member])
    rates = [record["lr"] for record in member.history]
    assert rates == sorted(rates, reverse=True) and 0.0 < rates[-1] < 0.1 * rates[0]
    assert member.history[-1]["train_loss"] < member.history[0]["train_loss"]


def test_the_loss_has_the_gradient_that_is_known_of_it() -> None:
    output_B, target_B = torch.tensor([-200.0, -0.5, 0.0, 3.0]), torch.zeros(4)
    loss = LOSSES.find("log_cosh")
    torch.testing.assert_close(loss.gradient(4, output_B, target_B), torch.tanh(output_B) / 4)
    assert torch.isfinite(loss.of_each(output_B, target_B)).all()


def test_they_are_among_the_names_that_a_refusal_lists() -> None:
    with pytest.raises(
        RequestError, match="one of bce, focal, huber, l1, log_cosh, mse, found 'log_cos'; did you mean log_cosh"
    ):
        trial_config(None, {"loss": "log_cos"})


def test_the_recipe_is_a_valid_one() -> None:
    (block,) = code_of("extending.md", SECTION, "yaml")
    spec = RunSpec.from_dict({"stage": "some", "model": {"kind": "mlp"}, **yaml.safe_load(block)})
    assert set(spec.space) == {"fit.groups.0.lr_factor", "fit.augment.0.share"}

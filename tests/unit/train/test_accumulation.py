"""Steps of several batches: those of the big batch, alone as in company, resumed as uninterrupted."""

from typing import Any

import numpy as np
import pytest
import torch
from small_dataset import trial_config
from torch import nn

from spectral_search.train.accumulation import Accumulation
from spectral_search.train.array_run import ArrayScale, ArraySet
from spectral_search.train.array_task import Arrays
from spectral_search.train.capacity import footprint, member_bytes
from spectral_search.train.member import Member
from spectral_search.train.trainer import Trainer

CPU = torch.device("cpu")
MODELS: dict[str, dict[str, Any]] = {
    "pieces": {"kind": "mlp", "hidden": [256]},
    "stack": {"kind": "mlp", "hidden": [16], "norm": "layer"},
    "cnn": {"kind": "cnn", "channels": [4], "kernel_size": 5, "norm": "layer"},
}


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    torch.set_num_threads(1)
    draw = np.random.default_rng(0)
    x_NF = draw.normal(size=(640, 16)).astype(np.float32)
    parts = [Arrays(x_NF[rows], x_NF[rows].sum(1)) for rows in (slice(0, 512), slice(512, 640))]
    return Trainer(ArraySet(parts[0], parts[1], ArrayScale.of(parts[0]), "spectra"), CPU)


def trained(trainer: Trainer, model: str, *fits: dict[str, Any], epochs: int = 2) -> list[Member]:
    members = [
        trainer.member(number, trial_config(MODELS[model], {"epochs": epochs, **fit}))
        for number, fit in enumerate(fits)
    ]
    for _ in range(epochs):
        assert all(isinstance(result, dict) for result in trainer.run_epoch(members).values())
    return members


@pytest.mark.parametrize("model", MODELS)
def test_the_steps_are_those_of_the_big_batch(trainer: Trainer, model: str) -> None:
    (small,) = trained(trainer, model, {"batch_size": 64, "accumulate": 4, "schedule": "cosine"})
    (big,) = trained(trainer, model, {"batch_size": 256, "schedule": "cosine"})
    for name, value in big.model.state_dict().items():
        torch.testing.assert_close(small.model.state_dict()[name], value, rtol=1e-3, atol=1e-5)
    for one, other in zip(small.history, big.history, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)
        assert (one["steps"], one["lr"]) == (other["steps"], other["lr"])


@pytest.mark.parametrize("model", MODELS)
def test_members_that_accumulate_share_a_pass_with_others(trainer: Trainer, model: str) -> None:
    fits = [{"accumulate": 3}, {}, {"accumulate": 8}]
    together = trained(trainer, model, *fits)
    assert [member.history[-1]["steps"] for member in together] == [6, 16, 2]
    alone = trainer.member(0, trial_config(MODELS[model], {"epochs": 2, **fits[0]}))
    for _ in range(2):
        trainer.run_epoch([alone])
    losses = [[record["train_loss"] for record in member.history] for member in (alone, together[0])]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_batches_count_by_their_examples_and_an_epoch_leaves_nothing_over() -> None:
    parameter, unused = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.ones(1))
    accumulation = Accumulation([parameter, unused], batches=3, of_a_step=2)
    found = []
    for _ in range(2):
        accumulation.begin_epoch()
        for gradient, examples in ((3.0, 1), (6.0, 2), (7.0, 5)):
            parameter.grad = torch.tensor([gradient])
            if accumulation.is_due(examples):
                found.append(float(parameter.grad))
    assert found == [5.0, 7.0, 5.0, 7.0] and unused.grad is None


def test_memory_counts_the_sums() -> None:
    plain, summed = (trial_config(None, {"accumulate": batches}) for batches in (1, 2))
    assert footprint(summed, 32).state > footprint(plain, 32).state and member_bytes(summed, 32) > member_bytes(
        plain, 32
    )

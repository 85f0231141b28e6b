"""Activations that are computed once more: the same numbers, bit for bit, of less memory."""

from typing import Any

import pytest
import torch
from small_dataset import small_dataset, trial_config

from spectral_search.errors import RequestError
from spectral_search.models.build import build_model
from spectral_search.models.step_memory import step_bytes
from spectral_search.spec.run import RunSpec
from spectral_search.task.registry import task_of
from spectral_search.tasks.spectra.training.dataset import Dataset
from spectral_search.train.capacity import footprint
from spectral_search.train.member import Member
from spectral_search.train.recomputation import recompute_blocks
from spectral_search.train.technique_faults import require_techniques
from spectral_search.train.trainer import Trainer

CPU = torch.device("cpu")
RECOMPUTED = {"checkpoint_activations": True}
MODELS: dict[str, dict[str, Any]] = {
    "cnn": {"kind": "cnn", "channels": [4, 8], "kernel_size": 5, "norm": "batch", "dropout": 0.2},
    "res_cnn": {
        **{"kind": "res_cnn", "channels": 4, "stem_channels": 4, "blocks": 3, "dilations": [1], "kernel_size": 3},
        **{"norm": "batch", "stochastic_depth": 0.5, "dropout": 0.2},
    },
    "vit": {"kind": "vit", "patch": 8, "width": 8, "heads": 2, "layers": 3, "dropout": 0.2, "stochastic_depth": 0.5},
}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    torch.set_num_threads(1)
    return small_dataset(300, 150, draws=1)


def trained(dataset: Dataset, model: str, **fit: Any) -> tuple[Member, int]:
    """A member after two epochs, and the bytes that its graph kept in the last of its steps."""
    trainer = Trainer(dataset, CPU)
    member = trainer.member(0, trial_config(MODELS[model], {"epochs": 4, **fit}))
    trainer.run_epoch([member])
    trainer.run_epoch([member])
    kept: dict[int, int] = {}

    def pack(value: torch.Tensor) -> torch.Tensor:
        kept[value.data_ptr()] = value.nbytes
        return value

    member.model.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        member.network.output(torch.randn(64, 1, 32), torch.zeros(64))
    return member, sum(kept.values())


@pytest.mark.parametrize("model", MODELS)
def test_the_numbers_are_the_same_and_less_is_kept(dataset: Dataset, model: str) -> None:
    (plain, all_kept), (recomputed, some_kept) = trained(dataset, model), trained(dataset, model, **RECOMPUTED)
    weights, same = plain.model.state_dict(), recomputed.model.state_dict()
    assert weights.keys() == same.keys()
    for name, value in weights.items():
        assert torch.equal(value, same[name]), name
    losses = [[record["train_loss"] for record in member.history] for member in (plain, recomputed)]
    assert losses[0] == losses[1]
    assert some_kept < 0.7 * all_kept


@pytest.mark.parametrize("model", MODELS)
def test_a_plan_counts_less(model: str) -> None:
    plain, recomputed = (
        footprint(trial_config(MODELS[model], {"batch_size": 2048, **fit}), 512) for fit in ({}, RECOMPUTED)
    )
    assert recomputed.step < 0.9 * plain.step and recomputed.state == plain.state


def test_an_encoder_of_two_images_is_recomputed_too() -> None:
    model = {"kind": "siamese_cnn", "layers": [2, 1], "feat_dim": 8, "width": 4, "attention": "both"}
    spec = RunSpec.from_dict({"stage": "test", "task": "pairs", "model": model}).model
    found = []
    for recomputed in (False, True):
        torch.manual_seed(0)
        network = build_model(spec, pixels=64, channels=2, height=8)
        if recomputed:
            recompute_blocks(network)
            kinds = {type(block).__name__ for block in network.get_submodule("encoder.blocks").children()}
            assert kinds == {"Recomputing"}
        network(torch.randn(6, 2, 64)).square().sum().backward()
        found.append([value.grad for value in network.parameters()] + list(network.buffers()))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
    pictures = {"pixels": 784, "channels": 2, "height": 28, "batch": 64}
    sizes = [step_bytes(spec, **pictures, recomputed=recomputed) for recomputed in (False, True)]
    assert sizes[1] < 0.9 * sizes[0]


def test_a_family_that_cannot_says_so() -> None:
    with pytest.raises(RequestError, match="no meaning for mlp, .*; set it to false, or use one of .*cnn, .*vit"):
        require_techniques(trial_config(None, RECOMPUTED), task_of("spectra"))

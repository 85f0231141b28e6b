"""Compiled steps of AdamW are those of torch, clipping included."""

import pytest
import torch
from torch import nn

from spectral_search.train.compiled_update import CompiledUpdate

SHAPES = (40, 24), (40,), (7, 40), (7,), (1, 7), (1,)


def parameters(kind: torch.dtype = torch.float32) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator).to(kind)) for shape in SHAPES]


def adamw(values: list[nn.Parameter]) -> torch.optim.AdamW:
    groups = [
        {"params": values[:2], "lr": 1e-2, "weight_decay": 0.1},
        {"params": values[2:], "lr": 3e-3, "weight_decay": 0.0, "betas": (0.8, 0.99)},
    ]
    optimizer = torch.optim.AdamW(groups)
    state = {
        number: {"step": torch.zeros(()), "exp_avg": torch.zeros_like(value), "exp_avg_sq": torch.zeros_like(value)}
        for number, value in enumerate(values)
    }
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return optimizer


def give_gradients(values: list[nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    # Some above the norm that they are clipped to, some below.
    size = 0.01 if step % 3 else 1.0
    for value in values:
        value.grad = (size * torch.randn(value.shape, generator=generator)).to(value.dtype)


@pytest.mark.parametrize("largest", [None, 0.5])
def test_steps_are_those_of_torch(largest: float | None) -> None:
    ours, theirs = parameters(), parameters(torch.float64)
    mine, peer = adamw(ours), adamw(theirs)
    update = CompiledUpdate(mine, largest)
    for step in range(40):
        give_gradients(ours, step)
        give_gradients(theirs, step)
        for group, other in zip(mine.param_groups, peer.param_groups, strict=True):
            group["lr"] = other["lr"] = group["lr"] * 0.97
        if largest is not None:
            nn.utils.clip_grad_norm_(theirs, largest)
        peer.step()
        update.step()
        if step == 20:  # as a checkpoint does
            mine.load_state_dict(mine.state_dict())
    for value, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(value, other.float(), rtol=1e-5, atol=1e-5)
        for name in ("exp_avg", "exp_avg_sq"):
            torch.testing.assert_close(mine.state[value][name], peer.state[other][name].float(), rtol=1e-4, atol=1e-7)
        assert float(mine.state[value]["step"]) == 40


def test_what_is_no_number_goes_on_to_the_weights() -> None:
    values = parameters()
    update = CompiledUpdate(adamw(values), 1.0)
    give_gradients(values, 0)
    assert values[0].grad is not None
    values[0].grad[3, 3] = float("nan")
    update.step()
    assert all(value.isnan().any() for value in values)

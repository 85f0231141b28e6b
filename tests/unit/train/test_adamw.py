"""Our AdamW: torch's numbers without torch's compiler."""

import subprocess
import sys

import pytest
import torch

from spectral_search.train.adamw import AdamW

STEP = """
import sys, torch
from spectral_search.train.adamw import AdamW
layer = torch.nn.Linear(4, 1)
optimizer = AdamW(layer.parameters(), 0.1, fused=True)
optimizer.load_state_dict(optimizer.state_dict())
layer(torch.ones(2, 4)).sum().backward()
optimizer.step()
optimizer.zero_grad()
sys.exit("torch._dynamo" in sys.modules)
"""


def test_the_compiler_is_not_imported() -> None:
    assert subprocess.run([sys.executable, "-c", STEP], check=False).returncode == 0


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_the_numbers_are_those_of_torch(weight_decay: float) -> None:
    found = []
    for kind in (AdamW, torch.optim.AdamW):
        torch.manual_seed(0)
        layer = torch.nn.Linear(8, 3)
        optimizer = kind(layer.parameters(), 0.01, weight_decay=weight_decay, fused=True)
        for _ in range(5):
            optimizer.zero_grad()
            layer(torch.ones(4, 8)).square().sum().backward()
            optimizer.step()
        found.append(layer.weight.detach())
    assert torch.equal(*found)


@pytest.mark.parametrize("amsgrad_of_head", [False, True])
def test_a_step_without_detours_is_the_same_step(amsgrad_of_head: bool) -> None:
    """Also where torch must take it, since one of several groups needs more than the fused operation."""
    found = []
    for kind in (AdamW, torch.optim.AdamW):
        torch.manual_seed(0)
        body, head = torch.nn.Linear(8, 3), torch.nn.Linear(3, 1)
        groups = [
            {"params": list(body.parameters()), "weight_decay": 0.1},
            {"params": list(head.parameters()), "lr": 0.03, "amsgrad": amsgrad_of_head},
        ]
        optimizer = kind(groups, 0.01, fused=True)
        for step in range(5):
            optimizer.zero_grad()
            head(body(torch.ones(4, 8))).square().sum().backward()
            # Torch makes its moments in the first step, as those of a member are made before it.
            optimizer.take_step() if step and isinstance(optimizer, AdamW) else optimizer.step()
        found.append(torch.cat([value.detach().flatten() for value in (*body.parameters(), *head.parameters())]))
    assert torch.equal(*found)

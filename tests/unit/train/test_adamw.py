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

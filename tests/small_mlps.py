"""MLPs without norms and skips, of every activation."""

from typing import Any

import torch

from spectral_search.models.build import build_model
from spectral_search.models.families.mlp import MlpSpec
from spectral_search.models.mlp_network import Mlp

FEATURES = 24
SPECS: dict[str, dict[str, Any]] = {
    "relu": {"hidden": [256, 20], "dropout": 0.3},
    "gelu": {"hidden": [512, 20, 8], "activation": "gelu", "dropout": 0.1},
    "silu": {"hidden": [256], "activation": "silu"},
    "elu": {"hidden": [256, 8], "activation": "elu", "dropout": 0.2},
    "tanh": {"hidden": [256, 8], "activation": "tanh", "dropout": 0.2},
    "open": {"hidden": [256, 8]},
}


def network(spec: dict[str, Any], seed: int = 0) -> Mlp:
    torch.manual_seed(seed)
    found = build_model(MlpSpec(kind="mlp", **spec), pixels=FEATURES, channels=1)
    assert isinstance(found, Mlp)
    return found

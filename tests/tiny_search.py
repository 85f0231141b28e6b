"""The smallest search there is, with one number of its spec at will."""

from pathlib import Path
from typing import Any

from numeric_leaves import Leaf

from spectral_search.tasks.spectra.simulator.simulate import simulate

MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": [8]},
    "cnn": {"channels": [4], "head": [4]},
    "res_cnn": {"stem_channels": 4, "channels": 4, "blocks": 1, "head": [4]},
    "vit": {"width": 8, "heads": 2, "layers": 1, "patch": 16},
    "moe_cnn": {"channels": [2], "head": [4]},
    "shared_mlp": {"hidden": [8]},
    "space_time_attention": {
        "embed_dim": 8,
        "heads": 2,
        **{f"{over}_depth_{stage}": 1 for over in ("temporal", "spatial") for stage in (1, 2)},
    },
    "siamese_cnn": {"layers": [1, 1], "width": 4, "feat_dim": 8, "head": [4]},
    "siamese_efficient": {"stem_channels": 4, "channels": [4, 8], "blocks": [1, 1], "feat_dim": 8, "head": [4]},
}
NEEDED: dict[str, dict[str, Any]] = {
    "data.input.error_floor": {"data.input.kind": "whiten"},
    "data.num_train": {"data.split_seed": 7},
    "fit.label_smoothing": {"fit.loss": "bce"},
    "fit.focal_alpha": {"fit.loss": "focal"},
    "fit.focal_gamma": {"fit.loss": "focal"},
    "fit.final_lr_fraction": {"fit.schedule": "cosine"},
    "fit.lr_floor": {"fit.schedule": "cosine", "fit.lr": 10.0},
    "fit.restart_epochs": {"fit.schedule": "warm_restarts"},
    "fit.restart_factor": {"fit.schedule": "warm_restarts", "fit.restart_epochs": 1},
    "fit.one_cycle_rise": {"fit.schedule": "one_cycle"},
    "fit.one_cycle_momentum": {"fit.schedule": "one_cycle"},
    "fit.plateau_patience": {"fit.schedule": "plateau"},
    "fit.step_epochs": {"fit.schedule": "step"},
    "fit.step_factor": {"fit.schedule": "step"},
    "fit.accumulate": {"fit.batch_size": 8},
    "fit.average_share": {"fit.weight_average": "swa"},
    "fit.ridge_alpha": {"fit.target": "ridge_residual"},
    "model.parallel_kernels": {},
    "mlp: model.stochastic_depth": {"model.residual": True},
    "data.split_seed": {"data.num_train": 40, "data.num_val": 16, "data.input.top_pixels": 16},
    # All epochs or trials there may be would take hours: the fit ends itself, and the space is finite.
    "fit.epochs": {"fit.patience": 1, "fit.lr": 10.0},
    "search.trials": {"space": {"model.dropout": {"choice": [0.0, 0.2]}}},
}
"""What a number, of one kind of network or of all, needs beside it to have any effect, or for its search to end."""


def make_tiny_data(folder: Path) -> Path:
    """A data root of a hundred spectra of 64 pixels."""
    simulate(folder, train=60, val=20, test=20, pixels=64, dtype="float32")
    return folder


def tiny_document(data: Path, leaf: Leaf, number: float) -> dict[str, Any]:
    """A spec of two trials of an epoch, with a leaf set to a number."""
    kind = leaf.kind or "mlp"
    document: dict[str, Any] = {
        "stage": "tiny",
        "data": {"root": str(data), "noise_level": 0.2},
        "model": {"kind": kind, **MODELS[kind]},
        "fit": {"epochs": 1, "batch_size": 32},
        "search": {"trials": 2, "finalists": 1, "retest_draws": 2, "retest_seeds": 1},
        "resources": {"gpus": []},
        "space": {"fit.lr": {"log_uniform": [1e-4, 1e-2]}} if leaf.key != "fit.lr" else {},
    }
    for key, value in (NEEDED.get(leaf.key, {}) | NEEDED.get(f"{kind}: {leaf.key}", {})).items():
        _put(document, key, value)
    many = leaf.in_list and leaf.key == "model.parallel_kernels"
    _put(document, leaf.key, [number, number] if many else leaf.given(number))
    return document


def _put(document: dict[str, Any], key: str, value: Any) -> None:
    *sections, name = key.split(".")
    for section in sections:
        document = document.setdefault(section, {})
    document[name] = value

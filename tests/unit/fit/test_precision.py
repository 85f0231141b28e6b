"""Which number format a device gets, and that it does not move R2."""

import numpy as np
import pytest
import torch
from small_dataset import small_dataset, trial_config

from spectral_search.fit import precision
from spectral_search.fit.precision import autocast, cpu_has_amx, resolve_precision
from spectral_search.fit.trainer import Trainer

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(("amx", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_on_a_cpu_follows_amx(monkeypatch: pytest.MonkeyPatch, amx: bool, expected: str) -> None:
    monkeypatch.setattr(precision, "cpu_has_amx", lambda: amx)
    assert resolve_precision("auto", CPU) == expected


@pytest.mark.parametrize(("capability", "expected"), [((9, 0), "bfloat16"), ((8, 0), "bfloat16"), ((7, 5), "float16")])
def test_auto_on_a_gpu_follows_its_generation(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_precision("auto", CUDA) == expected


def test_what_is_asked_for_is_used_but_float16_on_a_cpu() -> None:
    assert [resolve_precision(name, CPU) for name in ("float32", "bfloat16", "float16")] == [
        "float32",
        "bfloat16",
        "float32",
    ]
    assert resolve_precision("float16", CUDA) == "float16"


def test_amx_is_what_the_kernel_says() -> None:
    with open("/proc/cpuinfo") as file:
        assert cpu_has_amx() == ("amx_bf16" in file.read())


def test_autocast_changes_products_not_weights() -> None:
    layer = torch.nn.Linear(4, 4)
    with autocast("bfloat16", CPU):
        assert layer(torch.ones(1, 4)).dtype == torch.bfloat16
    with autocast("float32", CPU):
        assert layer(torch.ones(1, 4)).dtype == torch.float32
    assert layer.weight.dtype == torch.float32


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "epochs"),
    [
        ({"kind": "mlp", "hidden": [64, 32]}, 8),
        ({"kind": "cnn", "channels": [8, 16], "kernel_size": 5, "norm": "batch", "head": [16]}, 5),
    ],
    ids=["mlp", "cnn"],
)
def test_bfloat16_does_not_move_r2(model: dict[str, object], epochs: int) -> None:
    dataset = small_dataset(2048, 2048, draws=1)
    best: dict[str, float] = {}
    for name in ("float32", "bfloat16"):
        trainer = Trainer(dataset, CPU)
        recipe = {"epochs": epochs, "precision": name, "schedule": "cosine"}
        members = [trainer.member(number, trial_config(model, recipe)) for number in range(2)]
        for _ in range(epochs):
            trainer.run_epoch(members)
        assert {member.network.precision for member in members} == {name}
        best[name] = float(np.mean([member.best["val_r2"] for member in members if member.best]))
    assert best["float32"] > 0.6
    assert best["bfloat16"] == pytest.approx(best["float32"], abs=0.005)

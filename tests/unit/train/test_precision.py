"""Which number format a device gets, and that it does not move R2."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from small_dataset import small_dataset, trial_config

from spectral_search.task.training import InputShape
from spectral_search.tasks.spectra.scores import r2
from spectral_search.train import cpu_formats
from spectral_search.train.cpu_formats import cpu_is_intel
from spectral_search.train.member import Member
from spectral_search.train.network import Network
from spectral_search.train.precision import autocast, resolve_precision
from spectral_search.train.trainer import Trainer

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


TILES = "fpu avx512f amx_bf16 avx512_bf16 amx_tile"
VECTORS = "fpu avx512_bf16 avx512_vnni"


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str], None]:
    """Has the machine's CPU, of two cores, described as by Linux."""

    def describe(vendor: str, flags: str) -> None:
        core = f"vendor_id\t: {vendor}\nmodel name\t: CPU\nflags\t\t: {flags}\nbugs\t\t:\n\n"
        info = tmp_path / "cpuinfo"
        info.write_text(f"processor\t: 0\n{core}processor\t: 1\n{core}")
        monkeypatch.setattr(cpu_formats, "CPU_INFO", info)

    return describe


@pytest.mark.parametrize(
    ("vendor", "flags", "expected"),
    [
        pytest.param("GenuineIntel", TILES, "bfloat16", id="Sapphire Rapids"),
        pytest.param("GenuineIntel", VECTORS, "float32", id="Sapphire Rapids whose tiles guests do not see"),
        pytest.param("GenuineIntel", "fpu avx512f avx512bw avx_vnni", "float32", id="Ice Lake"),
        pytest.param("AuthenticAMD", VECTORS, "bfloat16", id="Zen 4"),
        pytest.param("AuthenticAMD", f"{VECTORS} avx_vnni avx512_vp2intersect", "bfloat16", id="Zen 5"),
        pytest.param("AuthenticAMD", TILES, "bfloat16", id="tiles of another maker"),
        pytest.param("AuthenticAMD", "fpu avx2 fma", "float32", id="Zen 3"),
        pytest.param("AuthenticAMD", "fpu avx512_bf16_emulated", "float32", id="a flag that only begins so"),
    ],
)
def test_auto_on_a_cpu_is_what_it_multiplies_faster(
    described: Callable[[str, str], None], vendor: str, flags: str, expected: str
) -> None:
    described(vendor, flags)
    assert resolve_precision("auto", CPU) == expected
    assert cpu_is_intel() is (vendor == "GenuineIntel")


@pytest.mark.parametrize(
    ("vendor", "model", "batch", "expected"),
    [
        ("GenuineIntel", {}, 512, "float32"),
        ("GenuineIntel", {}, 1 << 15, "bfloat16"),
        ("GenuineIntel", {"norm": "batch"}, 512, "bfloat16"),
        ("AuthenticAMD", {}, 512, "bfloat16"),
    ],
    ids=["small", "large batch", "normed", "AMD"],
)
def test_auto_of_networks_with_steps_in_machine_code_is_float32_on_intels_cpus(
    described: Callable[[str, str], None], vendor: str, model: dict[str, object], batch: int, expected: str
) -> None:
    described(vendor, TILES)
    shape = InputShape(channels=1, length=64)
    for asked, found in (("auto", expected), ("bfloat16", "bfloat16"), ("float32", "float32")):
        recipe = {"precision": asked, "batch_size": batch}
        config = trial_config({"kind": "mlp", "hidden": [256, 64], **model}, recipe)
        assert Network(config, shape, CPU).precision == found


def test_auto_on_a_cpu_that_nothing_describes_is_float32(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cpu_formats, "CPU_INFO", tmp_path / "cpuinfo")
    assert resolve_precision("auto", CPU) == "float32"
    assert not cpu_is_intel()


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


def test_autocast_changes_products_not_weights() -> None:
    layer = torch.nn.Linear(4, 4)
    with autocast("bfloat16", CPU):
        assert layer(torch.ones(1, 4)).dtype == torch.bfloat16
    with autocast("float32", CPU):
        assert layer(torch.ones(1, 4)).dtype == torch.float32
    assert layer.weight.dtype == torch.float32


def trained(
    name: str, model: dict[str, object], recipe: dict[str, object], members: int
) -> tuple[Trainer, list[Member]]:
    trainer = Trainer(small_dataset(2048, 2048, draws=1), CPU)
    config = trial_config(model, {**recipe, "precision": name, "schedule": "cosine"})
    found = [trainer.member(number, config) for number in range(members)]
    for _ in range(config.fit.epochs):
        trainer.run_epoch(found)
    assert {member.network.precision for member in found} == {name}
    return trainer, found


@pytest.mark.slow
def test_training_in_bfloat16_does_not_move_r2() -> None:
    model = {"kind": "mlp", "hidden": [64, 32]}
    best = {}
    for name in ("float32", "bfloat16"):
        members = trained(name, model, {"epochs": 8}, 2)[1]
        best[name] = float(np.mean([member.best["val_r2"] for member in members if member.best]))
    assert best["float32"] > 0.9
    assert best["bfloat16"] == pytest.approx(best["float32"], abs=0.005)


@pytest.mark.slow
def test_a_cnn_predicts_alike_in_both_formats() -> None:
    """The same weights, since two trainings of a CNN drift apart by the last digit of anything."""
    model = {"kind": "cnn", "channels": [8, 16], "kernel_size": 5, "norm": "batch", "head": [16]}
    recipe = {"epochs": 12, "lr": 0.02}
    trainer, (member,) = trained("bfloat16", model, recipe, 1)
    peer = trainer.member(1, trial_config(model, {**recipe, "precision": "float32"}))
    peer.model.load_state_dict(member.model.state_dict())
    val = trainer.dataset.val
    low, full = (r2(predicted_DN[0], val.log_g_N) for predicted_DN in trainer.predict([member, peer], val))
    assert full > 0.5
    assert low != full
    assert low == pytest.approx(full, abs=0.005)

"""What a training step is said to take is what it takes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from spectral_search.models.step_memory import step_bytes
from spectral_search.spec.families import ModelSpec

SPECS = TypeAdapter(ModelSpec)
MEASURE = """
import json, re, sys
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[1])
from small_dataset import make_dataset, make_spectra, trial_config
from spectral_search.train.capacity import footprint
from spectral_search.train.trainer import Trainer
torch.set_num_threads(1)

def status(name):
    return int(re.search(name + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

small, model, batch, pixels = json.loads(sys.argv[2])
fit = {"batch_size": batch, "precision": sys.argv[3]}
dataset = make_dataset(make_spectra(batch, 1, pixels=pixels), make_spectra(64, 2, pixels=pixels), draws=1)[0]
trainer = Trainer(dataset, torch.device("cpu"))
trainer.run_epoch([trainer.member(1, trial_config(small, fit))])  # what libraries take once
before = status("VmRSS")
member = trainer.member(0, trial_config(model, fit))
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
trainer.run_epoch([member])
one = footprint(member.config, pixels)
print(json.dumps([status("VmHWM") - before, one.state + one.step + one.inputs]))
"""
SMALL_CNN = {"kind": "cnn", "channels": [4], "head": []}
FAMILIES: dict[str, tuple[dict[str, Any], dict[str, Any], int, int]] = {
    "mlp": ({"kind": "mlp", "hidden": [8]}, {"kind": "mlp", "hidden": [4096, 1024], "dropout": 0.3}, 1024, 512),
    "normed mlp": (
        {"kind": "mlp", "hidden": [8]},
        {"kind": "mlp", "hidden": [4096, 1024], "norm": "layer", "activation": "gelu"},
        1024,
        512,
    ),
    "cnn": (SMALL_CNN, {"kind": "cnn", "channels": [32, 64], "norm": "batch"}, 64, 2048),
    "res_cnn": (SMALL_CNN, {"kind": "res_cnn", "stem_stride": 2, "blocks": 3}, 64, 2048),
    "vit": (SMALL_CNN, {"kind": "vit", "width": 128, "layers": 4}, 64, 2048),
    "vit with dropout": (SMALL_CNN, {"kind": "vit", "width": 64, "layers": 2, "dropout": 0.1}, 64, 2048),
    "vit with windows": (
        SMALL_CNN,
        {"kind": "vit", "patch": 64, "stride": 8, "width": 32, "heads": 4, "layers": 1, "tokeniser": "sliding_window"},
        128,
        2048,
    ),
    "mixture by a gate": (SMALL_CNN, {"kind": "moe_cnn", "gate": "learned", "channels": [16, 16]}, 32, 1024),
    "mixture by the true bin": (SMALL_CNN, {"kind": "moe_cnn", "gate": "oracle", "channels": [32, 64]}, 64, 2048),
}


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_training_step_takes_what_it_is_said_to_take(family: str, precision: str) -> None:
    tests = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", MEASURE, tests, json.dumps(FAMILIES[family]), precision]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    measured, estimated = json.loads(done.stdout)
    assert measured > 50e6, "large enough to be measured"
    assert 0.8 < estimated / measured < 1.6, f"{estimated / 1e6:.0f} MB estimated, {measured / 1e6:.0f} MB measured"


def needed(section: dict[str, Any], batch: int = 8, **changes: Any) -> int:
    shape: dict[str, Any] = {"pixels": 256, "channels": 1, **changes}
    return step_bytes(SPECS.validate_python(section), **shape, batch=batch)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_grows_with_the_batch_and_shrinks_in_half_precision(family: str) -> None:
    model = FAMILIES[family][1]
    assert needed(model, 16) == 2 * needed(model, 8)
    assert 0.5 * needed(model) <= needed(model, element=2) < needed(model)


def test_attention_keeps_no_matrix_of_all_tokens_but_with_dropout() -> None:
    plain, dropped = ({"kind": "vit", "patch": 1, "layers": 1, "dropout": share} for share in (0.0, 0.1))
    grown = [needed(model, pixels=2048) / needed(model, pixels=1024) for model in (plain, dropped)]
    assert grown[0] == pytest.approx(2.0, rel=0.01)
    assert grown[1] > 2.5

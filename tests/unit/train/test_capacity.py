"""What members are said to take is what they take."""

import subprocess
import sys
from pathlib import Path

import pytest
from small_dataset import trial_config

from spectral_search.train.capacity import member_bytes, pack_limit

MEASURE = """
import re, sys
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[1])
from small_dataset import make_dataset, make_spectra, trial_config
from spectral_search.train.trainer import Trainer
torch.set_num_threads(1)
dataset = make_dataset(make_spectra(256, 1, pixels=2048), make_spectra(64, 2, pixels=2048), draws=1)[0]
trainer = Trainer(dataset, torch.device("cpu"))
fit = {"batch_size": 256, "precision": sys.argv[3]}
config = trial_config({"kind": "mlp", "hidden": [512, 128], "dropout": 0.3}, fit)
members = [trainer.member(number, config) for number in range(int(sys.argv[2]))]
for _ in range(2):
    trainer.run_epoch(members)
# Not ru_maxrss, which a process inherits from the one that started it.
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024)
"""


def peak_bytes(members: int, precision: str) -> int:
    tests = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", MEASURE, tests, str(members), precision]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_member_takes_what_it_is_said_to_take(precision: str) -> None:
    config = trial_config({"kind": "mlp", "hidden": [512, 128], "dropout": 0.3}, {"batch_size": 256})
    measured = (peak_bytes(26, precision) - peak_bytes(6, precision)) / 20
    assert 0.6 < measured / member_bytes(config, 2048) < 1.1


def test_the_largest_of_the_networks_decides() -> None:
    small, large = (trial_config({"kind": "mlp", "hidden": [width]}) for width in (8, 64))
    cnn = trial_config({"kind": "cnn", "channels": [4]})
    assert member_bytes(cnn, 4096) < member_bytes(small, 4096) < member_bytes(large, 4096)
    one = member_bytes(large, 4096)
    assert pack_limit([small, large, cnn], 4096, 10.5 * one) == 10
    assert pack_limit([small], 4096, 10.5 * one) > 50
    assert pack_limit([large], 4096, 0.5 * one) == 1

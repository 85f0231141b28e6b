"""What is told of a process that died: by the kernel's count of its kills, and by the network's size."""

from pathlib import Path

import pytest
from small_dataset import trial_config

from spectral_search.run.killed_processes import KILLED, Watch, kernel_kills, need_told


@pytest.fixture
def vmstat(tmp_path: Path) -> Path:
    file = tmp_path / "vmstat"
    file.write_text("nr_free_pages 5\noom_kill 3\noom_kill_other 9\n")
    return file


@pytest.mark.parametrize(
    ("later", "expected"),
    [(3, "the kernel counts no process"), (4, "has killed a process"), (6, "has killed 3 process")],
)
def test_the_kernel_knows_whom_it_killed(vmstat: Path, later: int, expected: str) -> None:
    watch = Watch(vmstat=vmstat)
    vmstat.write_text(f"oom_kill {later}\n")
    assert expected in watch.verdict()


def test_where_nothing_is_counted_the_likely_is_said(vmstat: Path, tmp_path: Path) -> None:
    assert Watch(here=False, vmstat=vmstat).verdict() == KILLED
    assert Watch(vmstat=tmp_path / "none").verdict() == KILLED
    vmstat.write_text("oom_kill many\n")
    assert kernel_kills(vmstat) is None


def test_the_size_of_its_network_is_told() -> None:
    config = trial_config({"kind": "mlp", "hidden": [1000]})
    assert need_told(config, 1000, 600, gpu=False).startswith("This mlp needs about 44")
    vit = trial_config({"kind": "vit", "patch": 64})
    assert need_told(vit, 8, 600, gpu=False) == "", "it cannot read such spectra, and died of something else"

"""Freed memory stays with the process: large tensors come back without page faults."""

import subprocess
import sys

import pytest

from spectral_search.train import process_memory as memory

COUNT_FAULTS = """
import resource, sys, torch
from spectral_search.train.process_memory import keep_freed_memory
torch.set_num_threads(1)
if sys.argv[1] == "keep":
    assert keep_freed_memory()
# The first few find their places; a fit takes thousands.
for _ in range(10):
    torch.ones(16 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.ones(16 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS, mode], capture_output=True, text=True, check=True, timeout=60
    )
    return int(done.stdout)


@pytest.mark.slow
def test_large_tensors_are_allocated_again_without_page_faults() -> None:
    # Huge pages make fewer faults of the same memory, so only the ratio is sure.
    assert faults("keep") < 0.1 * faults("default")


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert memory.keep_freed_memory() is False

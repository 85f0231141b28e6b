"""How many threads trials of this process get."""

from pathlib import Path
from typing import Any

import pytest
import torch

from spectral_search.record.paths import RunPaths
from spectral_search.run import inline_executor as inline
from spectral_search.run.inline_executor import run_inline
from spectral_search.train.devices import Slots

CPU = torch.device("cpu")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many threads there are when the search runs; it is then interrupted."""
    found: list[int] = []

    def run(*arguments: Any) -> None:
        found.append(torch.get_num_threads())
        raise KeyboardInterrupt

    monkeypatch.setattr(inline, "_run", run)
    return found


@pytest.mark.parametrize(
    ("device", "cores", "threads"),
    [(CPU, 1.0, 1), (CPU, 0.5, 1), (CPU, 64.0, 2), (torch.device("cuda"), 1.0, 2)],
    ids=["fewer", "part", "more", "gpu"],
)
def test_it_trains_on_no_more_cores_than_its_slots_have_and_leaves_the_rest_as_it_was(
    seen: list[int], device: torch.device, cores: float, threads: int
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_inline(None, RunPaths(Path(), "run"), None, None, device, Slots(cores, 0.0, 2, ()))  # type: ignore[arg-type]
        assert seen == [threads]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)

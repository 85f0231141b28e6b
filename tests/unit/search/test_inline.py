"""How many threads trials of this process get."""

from pathlib import Path
from typing import Any

import pytest
import torch

from spectral_search.search import inline
from spectral_search.search.device import Slots
from spectral_search.search.inline import run_inline

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


@pytest.mark.parametrize(("device", "more"), [(CPU, 1), (torch.device("cuda"), 0)], ids=str)
def test_it_trains_on_the_cores_of_its_slots_and_leaves_the_rest_as_it_was(
    seen: list[int], device: torch.device, more: int
) -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        run_inline(*[Path()] * 4, device, Slots(before + 1.0, 0.0, 2, ()))  # type: ignore[arg-type]
    assert seen == [before + more]
    assert torch.get_num_threads() == before

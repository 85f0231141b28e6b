"""How many threads trials of this process get."""

from pathlib import Path
from typing import Any

import pytest
import torch

from spectral_search.search import inline
from spectral_search.search.device import Slots
from spectral_search.search.inline import run_inline


@pytest.mark.parametrize("fails", [False, True])
def test_it_trains_on_the_cores_of_its_slots_and_leaves_the_rest_as_it_was(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    seen: list[int] = []

    def run(*arguments: Any) -> None:
        seen.append(torch.get_num_threads())
        if fails:
            raise KeyboardInterrupt

    monkeypatch.setattr(inline, "_run", run)
    before = torch.get_num_threads()
    try:
        run_inline(*[Path()] * 4, torch.device("cpu"), Slots(before + 1.0, 0.0, 2, ()))  # type: ignore[arg-type]
    except KeyboardInterrupt:
        assert fails
    assert seen == [before + 1]
    assert torch.get_num_threads() == before

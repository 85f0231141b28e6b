"""Kills for half an hour, or for as many minutes as SOAK_MINUTES says: `make soak`."""

import os
from pathlib import Path

import pytest
from soak import KINDS, soak

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
LAST_SECONDS = 1800.0
"""What a search that begins in the last minute may take."""


@pytest.mark.soak
@pytest.mark.timeout(60 * MINUTES + LAST_SECONDS)
def test_kills_change_no_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = soak(tmp_path, MINUTES)
    with capsys.disabled():
        print(f"\n{outcome.told()}")
    assert outcome.sound and list(outcome.kills) == list(KINDS), outcome

"""Where there are no benchmarks."""

from pathlib import Path

import pytest
from command_line import call, errors

from spectral_search.service import benchmark


def test_an_installed_package_says_where_the_benchmarks_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "__file__", str(tmp_path / "spectral_search" / "service" / "benchmark.py"))
    (told,) = errors(call("bench", "training", folder=tmp_path).require(2))
    assert told.startswith(f"There is no benchmarks/ in {tmp_path}") and "from a checkout" in told

from pathlib import Path

import pytest

from benchmarks.bench_context import BenchContext
from benchmarks.parts.page_answers import measure

GENEROUS_S = 1.0
"""Five times the target: other work shares the machine of a test."""


@pytest.mark.slow
def test_a_large_search_among_many_is_answered_while_somebody_waits(tmp_path: Path) -> None:
    found = measure(BenchContext(False, tmp_path, lambda text: None, lambda title: lambda done, total: None))
    answered = {row.name: row.value for row in found.rows if row.target is not None}
    assert len(answered) == 5
    assert {name: seconds for name, seconds in answered.items() if seconds > GENEROUS_S} == {}
    assert found.details["kilobytes"]["curves"] > 300

"""Ratios, targets and the tables that show them."""

import io

import pytest
from rich.console import Console

from benchmarks.bench_findings import Findings, Row, Target
from benchmarks.findings_table import render_part


@pytest.mark.parametrize(
    ("row", "ratio", "met"),
    [
        (Row("speed", 80.0, "spectra/s", "h5py", 100.0, Target("at least", 0.8)), 0.8, True),
        (Row("speed", 79.0, "spectra/s", "h5py", 100.0, Target("at least", 0.8)), 0.79, False),
        (Row("step", 1.4, "ms", "floor", 1.0, Target("at most", 1.3)), 1.4, False),
        (Row("memory", 1.9, "GB", target=Target("at most", 2.0)), None, True),
        (Row("memory", 2.1, "GB", target=Target("at most", 2.0)), None, False),
        (Row("epoch", 3.0, "s", "apart", 12.0), 0.25, None),
        (Row("gain", -0.02, "", target=Target("at least", -0.01)), None, False),
    ],
)
def test_a_target_bounds_the_ratio_or_else_the_value(row: Row, ratio: float | None, met: bool | None) -> None:
    assert row.ratio == ratio
    assert row.met is met
    assert row.document()["ratio"] == ratio and row.document()["met"] is met


def _shown(*, quick: bool) -> str:
    findings = Findings([Row("step", 1.4, "ms", "floor", 1.0, Target("at most", 1.3))], "Physics.", ["A note."])
    written = io.StringIO()
    Console(file=written, width=120).print(render_part("training", findings.document(), quick=quick))
    return written.getvalue()


def test_the_table_shows_measured_floor_ratio_target_and_physics() -> None:
    text = _shown(quick=False)
    for part in ("training", "step", "1.4 ms", "1 ms (floor)", "at most 1.3 missed", "Physics.", "note: A note."):
        assert part in text


def test_quick_numbers_get_no_verdict() -> None:
    text = _shown(quick=True)
    assert "at most 1.3" in text and "missed" not in text

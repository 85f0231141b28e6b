"""Many trials, and kills for a while: nothing is lost, nothing grows, and the end is that of a search left in peace."""

from pathlib import Path

import pytest
from soak import Place, soak

from benchmarks.many_trials import measured

pytestmark = pytest.mark.slow
TRIALS = 500
GROWTH_MB = 40.0
"""Of the driver, from its first fifth of the trials to its last: their record, and what an allocator keeps."""
STATUS_CPU_S = 6.0


@pytest.mark.timeout(1800)
def test_five_hundred_trials_cost_the_last_what_they_cost_the_first(tmp_path: Path) -> None:
    found = measured(tmp_path, TRIALS, "inline", sampler="parzen")
    assert (found["trials"], found["lost"]) == (TRIALS, 0), found
    assert not any(asked["unanswered"] for asked in found["answers"].values()), found
    first, *_, last = found["driver_cpu_ms_a_trial_by_fifths"]
    assert last < 2 * first, found
    assert found["driver_growth_mb"] < GROWTH_MB and found["status_cpu_s"] < STATUS_CPU_S, found


@pytest.mark.timeout(1800)
def test_kills_for_a_minute_change_no_number(tmp_path: Path) -> None:
    outcome = soak(tmp_path, 1.0, (Place("shared"), Place("inline")))
    assert outcome.sound and outcome.searches >= 1, outcome
    assert sum(outcome.kills.values()) > outcome.kills["page"] > 0, outcome

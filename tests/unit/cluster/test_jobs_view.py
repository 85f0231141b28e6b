"""A job in a sentence."""

from pathlib import Path

import pytest

from spectral_search.cluster.job_record import JobRecord
from spectral_search.cluster.jobs_view import told_of
from spectral_search.cluster.standing import Standing
from spectral_search.record.paths import RunPaths


@pytest.mark.parametrize(("position", "told"), [(1, "first"), (3, "third"), (4, "place 4"), (21, "place 21")])
def test_a_job_that_waits_tells_its_place(position: int, told: str, tmp_path: Path) -> None:
    job = JobRecord(name="small", stage="small", version="1.0", results="/r")
    one = Standing(RunPaths(tmp_path, "small"), job, "waiting", "for room", position)
    assert told_of(one) == f"small waits for room, {told} in the queue"

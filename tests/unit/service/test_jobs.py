"""Which records of jobs are read."""

from pathlib import Path

import pytest

from spectral_search.cluster.job_record import JobRecord
from spectral_search.record.paths import RunPaths
from spectral_search.service import jobs


def test_records_are_read_for_jobs_that_are_yet_to_begin_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("begun", "queued"):
        paths = RunPaths(tmp_path, name).reserve()
        JobRecord(name=name, stage="small", version="1.0", results=str(tmp_path)).save(paths)
        if name == "begun":
            paths.manifest_json.write_text("{}")
            monkeypatch.setattr(jobs, "standings", lambda root: 1 / 0)
            assert jobs.queued_jobs(str(tmp_path)) == []
            monkeypatch.undo()
    assert [(one.job.name, one.position) for one in jobs.queued_jobs(str(tmp_path))] == [("queued", 2)]

"""A cluster that keeps what it is sent and starts nothing, and stages to send to it."""

from pathlib import Path
from typing import Any

import pytest
from command_line import call, write_spec

from spectral_search.cluster import ray_jobs

ADDRESS = "http://127.0.0.1:8265"
MODEL = "model: {kind: mlp, hidden: [8]}\nspace: {fit.lr: {log_uniform: [1.0e-4, 1.0e-2]}}\n"
INHERITS = "inherit: {from: PARENT, keys: [fit.weight_decay]}\n"

Sent = list[tuple[str, str, dict[str, str]]]
"""Command line, submission id, metadata of each job."""


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """What a cluster of one node of two CPUs was sent."""
    found: Sent = []
    monkeypatch.setattr(ray_jobs.RayJobs, "nodes", lambda self: [{"CPU": 2.0, "memory": 8e9}])
    monkeypatch.setattr(
        ray_jobs.RayJobs,
        "submit",
        lambda self, line, number, metadata, variables: found.append((line, number, metadata)),
    )
    monkeypatch.setattr(ray_jobs.RayJobs, "info", lambda self, number: {"status": "PENDING"})
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with stages, each inheriting from the one before."""
    stages = tmp_path / "tune_specs"
    stages.mkdir()
    write_spec(stages / "first.yaml", MODEL)
    write_spec(stages / "second.yaml", MODEL + INHERITS.replace("PARENT", "first"))
    write_spec(stages / "third.yaml", MODEL + INHERITS.replace("PARENT", "second"))
    return tmp_path


def submitted(folder: Path, *words: object) -> list[dict[str, Any]]:
    """What `submit` tells of jobs sent to that cluster."""
    return call("submit", *words, "--address", ADDRESS, "--json", folder=folder).require().json()

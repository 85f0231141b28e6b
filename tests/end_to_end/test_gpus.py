"""Trials on GPUs of a real cluster of two nodes. They are pretended: Ray counts them, and trials compute on CPUs."""

import json
from collections import Counter
from pathlib import Path

import pytest
from command_line import errors, spawn
from small_cars import TASK, write_cars
from small_cluster import small_cluster

from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord

pytestmark = pytest.mark.slow

PRETENDED = """

import ray as _ray
from pathlib import Path as _Path

_given = _ray.get_gpu_ids


def _pretended():
    with _Path(LOG).open("a") as log:
        log.write(f"{_ray.get_runtime_context().get_node_id()} {len(_given())}\\n")
    return []


_ray.get_gpu_ids = _pretended
"""
"""Added to a task of one file, which each process of a trial loads before it looks for its device."""


def test_parts_of_gpus_on_two_nodes(tmp_path: Path) -> None:
    log = tmp_path / "log"
    (tmp_path / "cars.py").write_text(TASK.read_text() + PRETENDED.replace("LOG", repr(str(log))))
    write_cars(tmp_path / "cars.npz")
    spec = {
        "task": "cars.py",
        "data": {"root": str(tmp_path / "cars.npz")},
        "model": {"kind": "mlp", "hidden": [16]},
        "fit": {"epochs": 30, "batch_size": 64},
        "grid": {"fit.lr": [1e-3, 2e-3, 4e-3, 8e-3, 1e-2, 2e-2]},
        "search": {"sampler": "grid", "pruner": "none", "retest_seeds": 1},
        "resources": {"gpus_per_trial": 0.5},
    }
    (tmp_path / "cars.yaml").write_text(json.dumps(spec))
    with small_cluster(tmp_path, {"num_cpus": 2, "num_gpus": 1}, {"num_cpus": 2, "num_gpus": 1}) as cluster:
        words = ("run", "cars.yaml", "--address", cluster.address)
        done = spawn(*words, folder=tmp_path, **cluster.environment).require()
        said = done.stdout.replace("\n", " ")
        assert "2 nodes with 4 CPUs, 2 GPUs and " in said
        assert "the largest network takes about" in said
        record = RunRecord.load(RunPaths(tmp_path / "ray_results", "cars"))
        assert [trial.state for trial in record.trials] == ["complete"] * 6
        placed = [line.split() for line in log.read_text().splitlines()]
        assert {gpus for _, gpus in placed} == {"1"} and len(Counter(node for node, _ in placed)) == 2
        refused = spawn(
            *words, "--set", "resources.gpus_per_trial=2", "--name", "large", folder=tmp_path, **cluster.environment
        )
        assert "No node of the cluster has the 1 CPU, 2 GPUs and 2" in errors(refused.require(2))[-1]

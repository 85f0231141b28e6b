"""Searches on a real cluster of two unlike nodes: what lies where, and what waits for what.

GPUs are pretended: Ray counts them, and trials compute on CPUs.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import call, errors, spawn
from small_cars import TASK, write_cars
from small_cluster import SmallCluster, small_cluster
from small_search import differences, facts

from spectral_search.cluster.job_record import JobRecord
from spectral_search.record.durable import read_lines
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord

pytestmark = pytest.mark.slow

PRETENDED = """

import inspect as _inspect
import json as _json
import os as _os
import sys as _sys
import time as _time
from pathlib import Path as _Path

_ray = _sys.modules.get("ray")


def _place(address):
    for line in _Path("/proc/self/maps").read_text().splitlines():
        span, _, offset, _, inode, *_ = line.split()
        start, end = (int(word, 16) for word in span.split("-"))
        if start <= address < end:
            return [int(inode), int(offset, 16) + address - start]


def _log(**told):
    with _Path(LOG).open("a") as log:
        log.write(_json.dumps({"node": _ray.get_runtime_context().get_node_id(), **told}) + "\\n")


def _pretended():
    from spectral_search.train.array_run import RowsOnDevice
    from spectral_search.train.trainer import Trainer

    batches, run_epoch = RowsOnDevice.batches, Trainer.run_epoch

    def slowed(*words):
        for batch in batches(*words):
            _time.sleep(float(_os.environ.get("SLOWED_SECONDS", "0")))
            yield batch

    def logged(trainer, members):
        _log(trials=[member.number for member in members])
        return run_epoch(trainer, members)

    RowsOnDevice.batches, Trainer.run_epoch = slowed, logged
    data = _inspect.currentframe().f_back.f_locals["self"].dataset.train.x_NF
    _log(process=_os.getpid(), gpus=_given(), place=_place(data.__array_interface__["data"][0]))
    return []


if _ray is not None and _ray.is_initialized():
    _given, _ray.get_gpu_ids = _ray.get_gpu_ids, _pretended
"""
"""Added to a task of one file, whose processes then write down where they are, where their data lie in memory (which
file is mapped there, and how far into it) and what they train."""

GB = 1_000_000_000


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallCluster]:
    """Of the second node memory and GPU are smaller and slower."""
    large = {"num_cpus": 2, "num_gpus": 2, "memory": 4 * GB}
    small = {"num_cpus": 1, "num_gpus": 1, "memory": GB, "env_vars": {"SLOWED_SECONDS": "1.0"}}
    with small_cluster(tmp_path_factory.mktemp("cluster"), large, small) as made:
        yield made


def write_search(folder: Path, trials: int, epochs: int, **resources: Any) -> Path:
    """A grid of which no trial is stopped for another; the file that its processes log to."""
    log = folder / "log"
    (folder / "cars.py").write_text(TASK.read_text() + PRETENDED.replace("LOG", repr(str(log))))
    write_cars(folder / "cars.npz")
    spec = {
        "task": "cars.py",
        "data": {"root": str(folder / "cars.npz")},
        "model": {"kind": "mlp", "hidden": [16]},
        "fit": {"epochs": epochs, "batch_size": 300, "patience": None, "precision": "float32"},
        "grid": {"fit.lr": [1e-3 * (1 + number) for number in range(trials)]},
        "search": {"sampler": "grid", "pruner": "none", "retest_seeds": 1},
        "resources": resources,
    }
    (folder / "cars.yaml").write_text(json.dumps(spec))
    return log


def logged(log: Path, key: str) -> dict[str, list[dict[str, Any]]]:
    """Lines with this key, by node."""
    found = defaultdict(list)
    for line in read_lines(log).records:
        if key in line:
            found[line["node"]].append(line)
    return found


def test_unequal_gpus_get_trials_by_measured_speed(tmp_path: Path, cluster: SmallCluster) -> None:
    log = write_search(tmp_path, trials=24, epochs=2, concurrent=6)
    words = ("run", "cars.yaml", "--address", cluster.address, "--executor", "shared", "--name", "shared")
    said = spawn(*words, folder=tmp_path, **cluster.environment).require().stdout.replace("\n", " ")
    assert "2 nodes with 3 CPUs, 3 GPUs and 5 GB of memory: 3 shared passes of 6 trials in all" in said
    assert "each with 1 CPU, 1 GPU and 26" in said and "MB of memory, 2 + 1 on a node." in said
    passes, trained = logged(log, "process"), logged(log, "trials")
    fast, slow = sorted(passes, key=lambda node: -len(passes[node]))
    assert [len(passes[node]) for node in (fast, slow)] == [2, 1], "one a GPU"
    assert sorted(gpu for found in passes[fast] for gpu in found["gpus"]) == [0, 1]
    assert len({tuple(found["place"]) for found in passes[fast]}) == 1, "the data are in memory once on a node"
    by_node = {node: {number for line in trained[node] for number in line["trials"]} for node in (fast, slow)}
    assert len(by_node[slow]) < 4 and len(by_node[fast]) > 20, "of three equal GPUs each would have got eight"

    call("run", "cars.yaml", "--executor", "inline", "--name", "inline", folder=tmp_path).require()
    shared, inline = (facts(RunPaths(tmp_path / "ray_results", name)) for name in ("shared", "inline"))
    assert differences(shared, inline) == []
    assert [trial["state"] for trial in shared["trials"]] == ["complete"] * 24


def test_trials_lie_on_nodes_that_have_the_memory_and_wait_for_it(
    tmp_path: Path, cluster: SmallCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    parts = {"gpus_per_trial": 0.5, "cpus_per_trial": 0.5}
    log = write_search(tmp_path, trials=4, epochs=4, memory_gb_per_trial=1.3, **parts)
    submit, each = ("submit", "cars.yaml", "--address", cluster.url), "resources.memory_gb_per_trial"
    run = ("run", "cars.yaml", "--address", cluster.address)
    later = " (Of nodes that an autoscaler would add nothing is known: have it start one, then submit again.)"
    for done, hint in (
        (call(*submit, "--set", f"{each}=4.5", folder=tmp_path), later),
        (spawn(*run, "--set", f"{each}=4.5", folder=tmp_path), ""),
    ):
        (told,) = errors(done.require(2))
        assert "0.5 CPU, 0.5 GPU and 4.5 GB of memory" in told and "2 CPUs, 2 GPUs and 4 GB of memory" in told
        assert told.endswith(f"add a node with more memory, or lower {each}.{hint}")
    assert not list((tmp_path / "ray_results").glob("cars*"))

    call(*submit, "--name", "first", folder=tmp_path).require()
    call(*submit, "--name", "second", "--set", f"{each}=3", folder=tmp_path).require()
    said, _ = (call("logs", name, "--follow", folder=tmp_path).require().stdout for name in ("first", "second"))
    said = said.replace("\n", " ")
    assert "5 GB of memory: 3 trials at a time, each with 0.5 CPU, 0.5 GPU and 1.3 GB of memory, 3 on a node." in said
    assert "1 of the nodes has too little memory for one." in said
    ((_, placed),) = logged(log, "process").items()
    assert {len(found["gpus"]) for found in placed} == {1}
    for name in ("first", "second"):
        record = RunRecord.load(RunPaths(tmp_path / "ray_results", name))
        assert [trial.state for trial in record.trials] == ["complete"] * 4
    history = JobRecord.load(RunPaths(tmp_path / "ray_results", "second").job_json).history
    waited = [event.why or "" for event in history if event.state == "waiting"]
    assert any("GB memory of the cluster are free" in why and "3 GB of memory on one node" in why for why in waited)

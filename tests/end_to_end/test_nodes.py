"""A node that dies in a cluster of two: its trials go on elsewhere, and the search ends as if nothing had happened."""

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from command_line import call
from processes import Running, recorded_epochs
from small_search import REPOSITORY, differences, environment, facts, make_data, make_spec

from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord

CLUSTER = """
import json, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
node = cluster.add_node(num_cpus=1)
print(json.dumps({"address": cluster.address}), flush=True)
sys.stdin.readline()
cluster.remove_node(node, allow_graceful=False)
print("removed", flush=True)
sys.stdin.readline()
cluster.shutdown()
"""


@pytest.mark.slow
def test_trials_of_a_dead_node_go_on_on_the_other(tmp_path: Path) -> None:
    # Without ASHA, so that the trials' ends do not depend on which of two was faster.
    search = {"sampler": "grid", "pruner": "none"}
    grid = {"fit.lr": [1e-4, 1e-3, 3e-3]}
    spec = tmp_path / "small.yaml"
    resources = {"gpus": [], "concurrent": 2}
    fit = {"epochs": 200, "patience": None}
    make_spec(tmp_path, make_data(tmp_path / "data"), search=search, grid=grid, resources=resources, fit=fit)
    results = tmp_path / "results"
    call("run", spec, "--name", "whole", "--results", results, "--executor", "inline", folder=tmp_path).require()
    expected = facts(RunPaths(results, "whole"))
    cluster = subprocess.Popen(
        [sys.executable, "-c", CLUSTER], env=environment(), cwd=REPOSITORY,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert cluster.stdin is not None and cluster.stdout is not None
    try:
        address = json.loads(cluster.stdout.readline())["address"]
        running = Running("run", spec, "--name", "nodes", "--results", results, "--address", address)
        paths = RunPaths(results, "nodes")
        both = [paths.trial(number).progress_jsonl for number in (0, 1)]
        assert running.wait_for(lambda: all(path.exists() for path in both)), running.end()[1]
        # Neither is over yet, though one began earlier: whichever was on the node has to go on elsewhere.
        assert recorded_epochs(paths.folder) < 200
        cluster.stdin.write("\n")
        cluster.stdin.flush()
        assert cluster.stdout.readline().strip() == "removed"
        code, output = running.end()
        assert code == 0, output
        assert differences(facts(paths), expected) == []
        notes = [note for trial in RunRecord.load(paths).trials for note in trial.notes]
        assert notes, "a trial was on the node that died"
    finally:
        children = psutil.Process(cluster.pid).children(recursive=True)
        cluster.stdin.close()
        time.sleep(1)
        cluster.kill()
        for child in children:
            if child.is_running():
                child.kill()

"""Every task: a search that is killed and resumed, or that loses a node of its cluster, ends as if nothing had been."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import call
from processes import Running, recorded_epochs
from small_cluster import small_cluster
from small_search import differences, facts

from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord
from spectral_search.tasks.spectra.simulator.simulate import simulate

pytestmark = pytest.mark.slow

TASKS: dict[str, dict[str, Any]] = {
    "spectra": {
        "data": {"noise_level": 0.2},
        "model": {"kind": "mlp", "hidden": [16]},
        "fit": {"batch_size": 32, "precision": "float32"},
    },
    "pairs": {
        "data": {"num_train": 400, "num_val": 200, "num_test": 200},
        "model": {"kind": "siamese_cnn", "layers": [1], "width": 8, "feat_dim": 16, "head": [16]},
        "fit": {"batch_size": 32, "loss": "bce", "augment": [{"kind": "affine", "images": 2}]},
    },
    "traffic": {
        "data": {"num_train": 600, "num_val": 100},
        "model": {"kind": "shared_mlp", "hidden": [16], "anchor": True},
        "fit": {"batch_size": 32, "loss": "l1"},
    },
}
"""What a small search of each task trains."""
STOPPING = {"trials": 4, "sampler": "random", "pruner": "halving", "min_epochs": 2, "reduction_factor": 2}
"""Some trials are stopped; who is does not depend on who was faster."""
MANY_EPOCHS = {"spectra": 200, "pairs": 40, "traffic": 60}
"""So that the trials of a cluster are still on their way when a node dies."""


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[object, ...]]:
    """What names the data of each task on the command line; pairs are of digits."""
    folder = tmp_path_factory.mktemp("roots")
    simulate(folder / "spectra", train=200, val=60, test=60, pixels=64, dtype="float32")
    call("simulate", "roads.npz", "--task", "traffic", "--days", 4, "--roads", 2, folder=folder).require()
    return {
        "spectra": ("--data-root", folder / "spectra"),
        "pairs": (),
        "traffic": ("--data-root", folder / "roads.npz"),
    }


def write_spec(folder: Path, task: str, epochs: int, **sections: Any) -> Path:
    document = {"stage": "small", "task": task, **TASKS[task], "resources": {"gpus": [], "concurrent": 2}, **sections}
    document["search"] = {"finalists": 1, "retest_draws": 2, "retest_seeds": 1, **document["search"]}
    document["fit"] = {**document["fit"], "epochs": epochs}
    (folder / "small.yaml").write_text(json.dumps(document))
    return folder / "small.yaml"


def test_a_kill_loses_nothing(task: str, roots: dict[str, tuple[object, ...]], tmp_path: Path) -> None:
    space = {"fit.lr": {"log_uniform": [1e-3, 1e-2]}, "model.dropout": {"choice": [0.0, 0.2]}}
    spec = write_spec(tmp_path, task, 6, space=space, search=STOPPING)
    options = ("--results", tmp_path / "results", "--executor", "inline", "--no-dashboard")
    call("run", spec, *roots[task], "--name", "whole", *options, folder=tmp_path).require()
    expected = facts(RunPaths(tmp_path / "results", "whole"))
    assert {trial["state"] for trial in expected["trials"]} == {"complete", "stopped"}
    paths = RunPaths(tmp_path / "results", "killed")
    running = Running("run", spec, *roots[task], "--name", "killed", *options, log=tmp_path / "log")
    assert running.wait_for(lambda: recorded_epochs(paths.folder) >= 3), (tmp_path / "log").read_text()
    running.kill()
    assert RunRecord.load(paths).manifest.best is None, "it was over before it was killed"
    call("resume", "killed", *options, folder=tmp_path).require()
    assert differences(facts(paths), expected) == []


def test_trials_of_a_dead_node_go_on_on_the_other(
    task: str, roots: dict[str, tuple[object, ...]], tmp_path: Path
) -> None:
    # Without a rule, so that the trials' ends do not depend on which of two was faster.
    search, grid = {"sampler": "grid", "pruner": "none"}, {"fit.lr": [1e-4, 1e-3, 3e-3]}
    spec = write_spec(tmp_path, task, MANY_EPOCHS[task], grid=grid, space={}, search=search)
    results = tmp_path / "results"
    called = ("run", spec, *roots[task], "--results", results)
    call(*called, "--name", "whole", "--executor", "inline", folder=tmp_path).require()
    expected = facts(RunPaths(results, "whole"))
    paths = RunPaths(results, "nodes")
    with small_cluster(tmp_path, {"num_cpus": 1}, {"num_cpus": 1}) as cluster:
        # A process a trial, in which a network that does not stack rounds as it does by itself.
        executor = "auto" if task == "spectra" else "separate"
        options = ("--address", cluster.address, "--executor", executor)
        running = Running(*called, "--name", "nodes", *options, variables=cluster.environment)
        both = [paths.trial(number).progress_jsonl for number in (0, 1)]
        assert running.wait_for(lambda: all(path.exists() for path in both)), running.end()[1]
        # Neither is over yet, though one began earlier: whichever was on the node has to go on elsewhere.
        assert recorded_epochs(paths.folder) < MANY_EPOCHS[task]
        cluster.remove_node()
        code, output = running.end()
    assert code == 0, output
    assert differences(facts(paths), expected) == []
    notes = [note for trial in RunRecord.load(paths).trials for note in trial.notes]
    assert notes, "a trial was on the node that died"

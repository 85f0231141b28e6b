"""Networks that do not fit, and processes that are killed over them: told, failed alone, and the search goes on."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
from processes import Running
from small_search import cli, command, environment, make_data, make_spec

from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord
from spectral_search.run.executor_choice import Executor

VAST = [65536] * 16
"""Hidden layers that take over a TB: more than any machine that runs these tests."""
FATAL = '''
"""Kills the process that is about to train a certain trial, as the kernel would."""
import importlib.abc, importlib.machinery, os, signal, sys

class Patch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "spectral_search.train.trainer":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            sound = module.Trainer.run_epoch
            def run_epoch(trainer, members):
                if int(os.environ["FATAL_TRIAL"]) in [member.number for member in members]:
                    os.kill(os.getpid(), signal.SIGKILL)
                return sound(trainer, members)
            module.Trainer.run_epoch = run_epoch
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Patch())
'''


def record_of(folder: Path, name: str) -> RunRecord:
    return RunRecord.load(RunPaths(folder / "results", name))


@pytest.mark.slow
@pytest.mark.parametrize("executor", get_args(Executor))
def test_a_trial_that_cannot_fit_fails_and_the_search_goes_on(tmp_path: Path, executor: str) -> None:
    search: dict[str, Any] = {"trials": 4, "pruner": "none", "retest_seeds": 2}
    space = {"model.hidden": {"choice": [[16], [8], VAST]}, "fit.weight_decay": {"uniform": [0.0, 1e-3]}}
    make_spec(tmp_path, make_data(tmp_path / "data"), fit={"epochs": 2}, search=search, space=space)
    where = ["--results", tmp_path / "results", "--no-dashboard", "--executor", executor]
    done = cli("run", tmp_path / "small.yaml", "--name", "vast", *where)
    assert done.returncode == 0, done.stdout + done.stderr
    record = record_of(tmp_path, "vast")
    failed = [trial for trial in record.trials if trial.params["model.hidden"] == VAST]
    assert failed, "the seed draws one"
    assert {trial.number for trial in failed} == {trial.number for trial in record.trials if trial.state == "failed"}
    for trial in failed:
        assert trial.error is not None
        assert trial.error.startswith("TooLargeError: This mlp needs about 2,8")
        assert "TooLargeError" in record.paths.trial(trial.number).log_txt.read_text()
    assert record.state == "finished"


@pytest.mark.slow
def test_a_process_that_cannot_have_the_memory_says_so(tmp_path: Path) -> None:
    """`ulimit -v` leaves enough for torch and for small networks; the plan sees the limit, and so does the trial."""
    limit = 3_000_000
    make_spec(tmp_path, make_data(tmp_path / "data"), fit={"epochs": 1}, search={"trials": 1}, space={})
    run = command("run", tmp_path / "small.yaml", "--results", tmp_path / "results", "--executor", "inline")
    shell = ["bash", "-c", f'ulimit -v {limit}; exec "$@"', "-"]
    options = {"env": environment(), "capture_output": True, "text": True, "timeout": 120, "check": False}
    refused = subprocess.run([*shell, *run, "--set", "model.hidden=[10000,10000]"], **options)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "This mlp needs about 4." in refused.stderr
    assert "of 3.07 GB are free on this machine: make model.hidden smaller" in refused.stderr
    assert not (tmp_path / "results").exists()
    fine = subprocess.run([*shell, *run], **options)
    assert fine.returncode == 0, fine.stdout + fine.stderr


def fatal(folder: Path, monkeypatch: pytest.MonkeyPatch, trial: int) -> None:
    """Let every process die that trains a certain trial."""
    (folder / "fatal").mkdir()
    (folder / "fatal" / "sitecustomize.py").write_text(FATAL)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder / "fatal"), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("FATAL_TRIAL", str(trial))


@pytest.mark.slow
def test_a_pass_that_one_member_kills_costs_the_others_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fatal(tmp_path, monkeypatch, 1)
    search, resources = {"trials": 3, "pruner": "none"}, {"concurrent": 3}
    make_spec(tmp_path, make_data(tmp_path / "data"), fit={"epochs": 2}, search=search, resources=resources)
    where = ["--results", tmp_path / "results", "--no-dashboard", "--executor", "shared"]
    code, output = Running("run", tmp_path / "small.yaml", "--name", "killed", *where).end()
    assert code == 0, output
    record = record_of(tmp_path, "killed")
    assert [trial.state for trial in record.trials] == ["complete", "failed", "complete"]
    failed = record.trials[1]
    assert failed.error is not None
    assert failed.error.startswith("the process of its pass died after 4 attempts (see trials/0001/log.txt)")
    assert "This mlp needs about " in failed.error
    # The others trained with it when the pass died first; after that the one to blame was alone.
    assert [len(trial.notes) <= 1 for trial in record.trials] == [True, False, True]
    assert not record.paths.under_way_dir.exists()


@pytest.mark.slow
def test_a_run_that_a_trial_kills_tells_which_and_goes_on_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fatal(tmp_path, monkeypatch, 1)
    make_spec(tmp_path, make_data(tmp_path / "data"), fit={"epochs": 2}, search={"trials": 3, "pruner": "none"})
    where = ["--results", tmp_path / "results", "--executor", "inline"]
    done = cli("run", tmp_path / "small.yaml", "--name", "killed", *where)
    told = []
    for _ in range(4):
        assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
        assert record_of(tmp_path, "killed").trials[1].state == "running"
        done = cli("resume", "killed", *where)
        told.append(done.stdout + done.stderr)
    assert done.returncode == 0, told[-1]
    assert all(
        "The process that trained trial 1 died in its epoch 1: it was killed (signal 9)" in text for text in told
    )
    assert all("It is tried again." in text for text in told[:-1])
    assert "That was 4 times in a row, so the trial has failed." in told[-1]
    record = record_of(tmp_path, "killed")
    assert [trial.state for trial in record.trials] == ["complete", "failed", "complete"]
    assert json.dumps(record.trials[1].error).count("died 4 times in epoch 1") == 1

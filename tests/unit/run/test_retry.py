"""Failed trials that run again: the search then ends as one in which nothing had failed."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from small_search import facts, make_data, make_spec

from spectral_search import service
from spectral_search.errors import RequestError
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord
from spectral_search.service import RunOptions, Shown
from spectral_search.train.member import Member
from spectral_search.train.trainer import Trainer

EPOCHS = 4
SEARCHES: dict[str, dict[str, Any]] = {
    "grid": {"search": {"sampler": "grid", "pruner": "none"}, "grid": {"fit.lr": [1e-4, 3e-3, 1e-3]}},
    "random": {"search": {"sampler": "random", "pruner": "none", "trials": 4}},
}
Fault = Callable[[Member], Exception | None]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data") / "data")


def run(folder: Path, data: Path, kind: str, name: str = "run") -> RunPaths:
    make_spec(folder, data, fit={"epochs": EPOCHS}, **SEARCHES[kind])
    options = RunOptions(name=name, results=str(folder / "results"), executor="inline")
    shown = Shown(Console(file=io.StringIO()))
    service.run(service.plan(str(folder / "small.yaml"), options, shown, dry_run=False), name, options, shown)
    return RunPaths(folder / "results", name)


def retry(paths: RunPaths, *trials: int) -> str:
    said = io.StringIO()
    options = RunOptions(results=str(paths.root), executor="inline")
    service.retry(paths.name, options, Shown(Console(file=said, width=300)), trials)
    return said.getvalue()


def with_fault(fault: Fault, trained: list[tuple[int, int]] | None = None) -> pytest.MonkeyPatch:
    """Let epochs raise what a function of the member says; who trains which epoch is put to a list."""
    patch, sound = pytest.MonkeyPatch(), Trainer.run_epoch

    def run_epoch(self: Trainer, members: list[Member]) -> Any:
        for member in members:
            if trained is not None:
                trained.append((member.number, member.epoch + 1))
            if (error := fault(member)) is not None:
                raise error
        return sound(self, members)

    patch.setattr(Trainer, "run_epoch", run_epoch)
    return patch


def broken(*numbers: int, after: int = 2) -> Fault:
    return lambda member: TypeError("no such thing") if member.number in numbers and member.epoch >= after else None


@pytest.fixture
def failed_run(tmp_path: Path, data: Path) -> Callable[..., RunPaths]:
    def make(kind: str, *numbers: int, after: int = 2) -> RunPaths:
        patch = with_fault(broken(*numbers, after=after))
        try:
            return run(tmp_path, data, kind)
        finally:
            patch.undo()

    return make


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "numbers"), [("grid", (0, 1, 2)), ("random", (1, 3))])
def test_once_mended_the_search_ends_as_one_without_a_failure(
    tmp_path: Path, data: Path, failed_run: Callable[..., RunPaths], kind: str, numbers: tuple[int, ...]
) -> None:
    paths = failed_run(kind, *numbers)
    assert [trial.number for trial in RunRecord.load(paths).trials if trial.state == "failed"] == list(numbers)
    trained: list[tuple[int, int]] = []
    patch = with_fault(broken(), trained)
    try:
        said = retry(paths)
    finally:
        patch.undo()
    assert facts(paths) == facts(run(tmp_path, data, kind, "whole"))
    assert "TypeError: no such thing" in said and "Running again" in said
    own = [(number, epoch) for number, epoch in trained if number in numbers and epoch <= EPOCHS]
    assert {number for number, _ in trained} >= set(numbers)
    assert min(epoch for _, epoch in own) > 1, "from the checkpoint, not anew"
    record = RunRecord.load(paths)
    assert record.failures == [] and record.trials[numbers[0]].notes[-1].startswith("Run again, having failed: Type")


@pytest.mark.slow
def test_the_winner_changes_with_what_is_run_again(failed_run: Callable[..., RunPaths]) -> None:
    paths = failed_run("grid", 1)
    assert (RunRecord.load(paths).manifest.best or {})["trial"] != 1, "the best of the grid failed"
    before = (paths.best_dir / "config.yaml").read_text()
    retry(paths)
    record = RunRecord.load(paths)
    assert (record.manifest.best or {})["trial"] == 1 == (record.manifest.test or {})["trial"]
    assert (paths.best_dir / "config.yaml").read_text() != before


@pytest.mark.slow
def test_one_trial_alone_runs_again_and_the_other_stays_failed(failed_run: Callable[..., RunPaths]) -> None:
    paths = failed_run("random", 1, 3)
    said = retry(paths, 3)
    assert "Running again: trial 3," in said
    assert [trial.state for trial in RunRecord.load(paths).trials] == ["complete", "failed", "complete", "complete"]
    with pytest.raises(RequestError, match="has trial 3 complete, not failed; those that failed are 1"):
        retry(paths, 1, 3)


@pytest.mark.slow
def test_what_fails_again_keeps_the_search_and_its_winner(failed_run: Callable[..., RunPaths]) -> None:
    paths = failed_run("random", 1)
    before = facts(paths)
    patch = with_fault(broken(1))
    try:
        retry(paths)
    finally:
        patch.undo()
    assert facts(paths) == before


@pytest.mark.slow
def test_a_checkpoint_that_is_damaged_begins_anew_and_a_retry_that_is_cut_off_is_resumed(
    tmp_path: Path, data: Path, failed_run: Callable[..., RunPaths]
) -> None:
    paths = failed_run("random", 1, 3)
    paths.trial(1).last_safetensors.write_bytes(b"x" * 99)

    def interrupt(member: Member) -> Exception | None:
        if member.number == 3:
            raise KeyboardInterrupt
        return None

    patch = with_fault(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            retry(paths)
    finally:
        patch.undo()
    assert RunRecord.load(paths).state == "interrupted"
    service.resume("run", RunOptions(results=str(paths.root), executor="inline"), service.silent())
    assert facts(paths) == facts(run(tmp_path, data, "random", "whole"))


def test_where_nothing_failed_there_is_nothing_to_run_again(tmp_path: Path, data: Path) -> None:
    make_spec(tmp_path, data, fit={"epochs": 1}, search={"trials": 1, "retest_seeds": 1})
    options = RunOptions(name="run", results=str(tmp_path / "results"), executor="inline")
    made = service.plan(str(tmp_path / "small.yaml"), options, service.silent(), dry_run=False)
    service.run(made, "run", options, service.silent())
    paths = RunPaths(tmp_path / "results", "run")
    before = paths.manifest_json.read_bytes()
    with pytest.raises(RequestError, match="No trial of run failed, so there is nothing to retry"):
        retry(paths)
    assert paths.manifest_json.read_bytes() == before

"""Trials that raise, diverge or lose their checkpoint: what is tried again, what fails, and that the search goes on."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import call
from rich.console import Console
from small_search import facts, make_data, make_spec

from spectral_search import service
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord, TrialRecord
from spectral_search.service import RunOptions, Shown
from spectral_search.train.member import Member
from spectral_search.train.trainer import Trainer

pytestmark = pytest.mark.slow

Fault = Callable[[Member], Exception | None]
EPOCHS = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data") / "data")


def run(folder: Path, data: Path, **changes: Any) -> RunPaths:
    changes = {"fit": {"epochs": EPOCHS}, "search": {"trials": 3, "pruner": "none"}, **changes}
    make_spec(folder, data, **changes)
    options = RunOptions(name="run", results=str(folder / "results"), executor="inline")
    shown = Shown(Console(file=io.StringIO()))
    made = service.plan(str(folder / "small.yaml"), options, shown, dry_run=False)
    service.run(made, "run", options, shown)
    return RunPaths(folder / "results", "run")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, data: Path) -> dict[str, Any]:
    """The record of the search without any fault."""
    return facts(run(tmp_path_factory.mktemp("whole"), data))


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Callable[[Fault], None]:
    """Let epochs raise what a function of the member says."""

    def install(fault: Fault) -> None:
        sound = Trainer.run_epoch

        def run_epoch(self: Trainer, members: list[Member]) -> Any:
            error = fault(members[0])
            if error is not None:
                raise error
            return sound(self, members)

        monkeypatch.setattr(Trainer, "run_epoch", run_epoch)

    return install


def trial(paths: RunPaths, number: int) -> TrialRecord:
    return RunRecord.load(paths).trials[number]


def test_error_that_passes_is_tried_again_from_the_checkpoint(
    tmp_path: Path, data: Path, faulty: Callable[[Fault], None], whole: dict[str, Any]
) -> None:
    raised: list[int] = []

    def once(member: Member) -> Exception | None:
        if member.number == 1 and member.epoch == 2 and not raised:
            raised.append(1)
            return OSError(5, "Input/output error")
        return None

    faulty(once)
    paths = run(tmp_path, data)
    assert facts(paths) == whole
    assert "OSError: [Errno 5] Input/output error" in trial(paths, 1).notes[0]
    assert "Input/output error" in paths.trial(1).log_txt.read_text()
    assert trial(paths, 0).notes == ()


@pytest.mark.parametrize(("error", "attempts"), [(RuntimeError("device lost"), 4), (ValueError("bad shape"), 1)])
def test_error_that_stays_fails_the_trial_and_the_search_goes_on(
    tmp_path: Path, data: Path, faulty: Callable[[Fault], None], error: Exception, attempts: int
) -> None:
    tried = []

    def always(member: Member) -> Exception | None:
        if member.number != 1:
            return None
        tried.append(1)
        return error

    faulty(always)
    paths = run(tmp_path, data)
    record = RunRecord.load(paths)
    assert [found.state for found in record.trials] == ["complete", "failed", "complete"]
    assert len(tried) == attempts
    failed = record.trials[1].error or ""
    assert failed.startswith(f"{type(error).__name__}: {error or 'no message'}")
    assert "trials/0001/log.txt" in failed
    assert "Traceback" in paths.trial(1).log_txt.read_text()
    assert record.state == "finished"


def test_diverged_trial_fails_with_its_reason(tmp_path: Path, data: Path) -> None:
    grid = [{"fit.lr": [1.0e-3]}, {"fit.lr": [10.0], "fit.weight_decay": [10.0]}]
    changes: dict[str, Any] = {"search": {"sampler": "grid", "pruner": "none"}, "space": {}}
    paths = run(tmp_path, data, grid=grid, **changes)
    record = RunRecord.load(paths)
    assert [found.state for found in record.trials] == ["complete", "failed"]
    assert "lower fit.lr" in (record.trials[1].error or "")
    assert "trials/0001/log.txt" in (record.trials[1].error or "")


@pytest.mark.parametrize(("sound", "code", "state"), [((), 1, "failed"), ((2,), 0, "finished")])
def test_work_failed_only_if_no_trial_succeeded(
    tmp_path: Path, data: Path, faulty: Callable[[Fault], None], sound: tuple[int, ...], code: int, state: str
) -> None:
    faulty(lambda member: None if member.number in sound else ValueError("no good"))
    make_spec(tmp_path, data, fit={"epochs": 1}, search={"trials": 3, "pruner": "none"})
    done = call("run", "small.yaml", "--name", "run", "--executor", "inline", folder=tmp_path).require(code)
    record = RunRecord.load(RunPaths(tmp_path / "ray_results", "run"))
    assert (record.state, record.count("failed")) == (state, 3 - len(sound))
    assert "ValueError: no good (see trials/0000/log.txt)" in " ".join(done.stdout.split())


@pytest.mark.parametrize("damage", ["last cut", "best gone"])
def test_damaged_checkpoint_trains_that_trial_anew(
    tmp_path: Path, data: Path, whole: dict[str, Any], damage: str
) -> None:

    def interrupt(member: Member) -> Exception | None:
        if member.number == 1 and member.epoch == 3:
            raise KeyboardInterrupt
        return None

    with pytest.MonkeyPatch.context() as patch:
        sound = Trainer.run_epoch
        patch.setattr(Trainer, "run_epoch", lambda self, members: interrupt(members[0]) or sound(self, members))
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, data)
    paths = RunPaths(tmp_path / "results", "run")
    which, how = damage.split()
    file = getattr(paths.trial(1), f"{which}_safetensors")
    content = file.read_bytes()
    file.unlink() if how == "gone" else file.write_bytes(content[: len(content) // 2] if how == "cut" else b"x" * 99)
    options = RunOptions(results=str(tmp_path / "results"), executor="inline")
    service.resume("run", options, Shown(Console(file=io.StringIO())))
    assert facts(paths) == whole
    assert "Trained anew from epoch 1" in trial(paths, 1).notes[0]

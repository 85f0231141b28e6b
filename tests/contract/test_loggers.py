"""Every logger: each epoch of each trial once, also after a kill, and never a failure of the search.

Weights & Biases is a wheel of 20 MB (62 MB installed), so that requirements.txt leaves it out: its part runs where it
is installed and is skipped where it is not.
"""

import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import logged_search
import pytest
from logged_search import Search, told
from small_search import environment, make_spec

from spectral_search.errors import RequestError
from spectral_search.record.durable import read_lines
from spectral_search.record.paths import RunPaths
from spectral_search.run.loggers import epoch_sink
from spectral_search.run.loggers.epoch_sink import Logger, Point, numbers, require_loggers
from spectral_search.spec.name_registry import LOGGERS

Shown = dict[int, list[tuple[int, float, float]]]
"""By trial, epoch, val R2 and Unix seconds of every point that is shown."""
READ: dict[str, Callable[[Path], Shown]] = {}
OWN = ["mlflow", "tensorboard", "wandb"]


def reads(name: str) -> Callable[[Callable[[Path], Shown]], None]:
    return lambda read: READ.update({name: read})


@reads("tensorboard")
def _tensorboard(folder: Path) -> Shown:
    from tensorboardX.proto.event_pb2 import Event

    shown: Shown = {}
    for file in sorted(folder.glob("*/events*")):
        content, place = file.read_bytes(), 0
        while place < len(content):
            (length,) = struct.unpack_from("<Q", content, place)
            event = Event.FromString(content[place + 12 : place + 12 + length])
            place += 16 + length
            points = [(event.step, v.simple_value, event.wall_time) for v in event.summary.value if v.tag == "val_r2"]
            shown.setdefault(int(file.parent.name), []).extend(points)
    return shown


@reads("mlflow")
def _mlflow(folder: Path) -> Shown:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    (experiment,) = client.search_experiments(filter_string="name = 'small'")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert all("fit.lr" in run.data.params for run in children)
    points = {int(run.data.tags["trial"]): client.get_metric_history(run.info.run_id, "val_r2") for run in children}
    return {number: [(m.step, m.value, m.timestamp / 1000) for m in shown] for number, shown in points.items()}


@reads("wandb")
def _wandb(folder: Path) -> Shown:
    from wandb.proto import wandb_internal_pb2

    shown: Shown = {}
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        points = shown.setdefault(int(file.stem.rpartition("-")[2]), [])
        for data in _leveldb(file.read_bytes()):
            record = wandb_internal_pb2.Record.FromString(data)
            items = {".".join(i.nested_key) or i.key: i.value_json for i in record.history.item}
            if "val_r2" in items:
                at = float(items["_timestamp"])
                points.append((int(record.history.step.num), float(items["val_r2"]), at))
    return shown


def _leveldb(content: bytes) -> Iterator[bytes]:
    """The records of a log as LevelDB writes it, here in one block after a head of seven bytes."""
    place = 7
    while place + 7 <= min(len(content), 1 << 15):
        length, kind = struct.unpack_from("<HB", content, place + 4)
        assert kind == 1, "a record in one piece"
        yield content[place + 7 : place + 7 + length]
        place += 7 + length


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.slow) for name in OWN])
def name(request: pytest.FixtureRequest) -> str:
    package = LOGGERS.find(request.param).package
    pytest.importorskip(package, reason=f"{package} is not installed: pip install 'spectral-search[{request.param}]'")
    return str(request.param)


@pytest.fixture
def search(tmp_path: Path) -> Iterator[Callable[[list[str]], Search]]:
    made: list[Search] = []

    def make(names: list[str]) -> Search:
        made.append(Search(tmp_path, names))
        made[-1].paths.create()
        return made[-1]

    yield make
    for one in made:
        one.opened.close()


def test_there_are_these() -> None:
    assert LOGGERS.names == OWN == sorted(READ)


def test_each_epoch_is_shown_once_over_a_kill(name: str, search: Callable[[list[str]], Search]) -> None:
    made = search([name])
    killed = subprocess.run([sys.executable, logged_search.__file__, made.folder, name], env=environment(), check=False)
    assert killed.returncode == -signal.SIGKILL
    study = made.take_up()
    again = study.next_trial()
    assert again is not None and again.number == 1
    told(study, 1, 2, 3)
    study.finish(1, "failed", "x")
    made.loggers.close()
    assert made.said == []
    shown = {trial: sorted(points) for trial, points in READ[name](made.paths.logging(name)).items()}
    for trial in (0, 1):
        recorded = read_lines(made.paths.trial(trial).progress_jsonl).records
        assert [line["epoch"] for line in recorded] == [1, 2, 3]
        assert shown.pop(trial) == [
            (line["epoch"], line["val_r2"], pytest.approx(line["at_unix_seconds"], abs=0.01)) for line in recorded
        ]
    assert not shown


def test_a_trial_that_waits_goes_on_or_ends_where_it_waited(name: str, tmp_path: Path) -> None:
    paths = RunPaths(tmp_path, "run").create()
    logger = LOGGERS.find(name)(paths, "small")
    for number in (0, 1):
        logger.begin(number, {"fit.lr": 0.5})
        logger.epochs(number, [Point(1, 10.0, {"val_r2": 0.25})])
        logger.end(number, "waiting")
    logger.end(0, "stopped")
    logger.begin(1, {"fit.lr": 0.5})
    logger.epochs(1, [Point(2, 20.0, {"val_r2": 0.5}), Point(3, 30.0, {"val_r2": 0.75})])
    logger.end(1, "complete")
    logger.close()
    shown = {number: sorted(points) for number, points in READ[name](paths.logging(name)).items()}
    assert shown == {0: [(1, 0.25, 10.0)], 1: [(1, 0.25, 10.0), (2, 0.5, 20.0), (3, 0.75, 30.0)]}


@pytest.mark.slow
def test_more_numbers_than_one_call_of_mlflow_takes_are_all_shown(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path, "run").create()
    logger = LOGGERS.find("mlflow")(paths, "small")
    logger.begin(0, {"fit.lr": 0.5})
    logger.epochs(0, [Point(epoch, 1.0, {"val_r2": 0.5, "train_loss": 1.0}) for epoch in range(1, 602)])
    logger.end(0, "complete")
    logger.close()
    assert sorted(epoch for epoch, *_ in READ["mlflow"](paths.logging("mlflow"))[0]) == list(range(1, 602))


class Broken(Logger):
    """Fails with its third call."""

    package, extra = "json", "broken"
    calls = 0

    def begin(self, number: int, params: Any) -> None: ...

    def epochs(self, number: int, points: Any) -> None:
        self.calls += 1
        if self.calls == 3:
            raise OSError("nobody listens\nat all")
        assert self.calls < 3, "one that failed is asked nothing more"

    def end(self, number: int, state: str) -> None: ...

    def close(self) -> None: ...


def test_a_logger_that_fails_is_said_once_and_the_search_goes_on(
    search: Callable[[list[str]], Search], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LOGGERS._added, "broken", Broken)
    made = search(["broken"])
    study = made.take_up()
    study.next_trial()
    told(study, 0, 1, 2, 3, 4, 5)
    study.finish(0, "complete")
    made.loggers.close()
    assert made.said == ["Nothing more is shown in broken (OSError: nobody listens); the search goes on."]
    assert study.history.trials[0].state == "complete"


def test_a_package_that_is_missing_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch_sink, "find_spec", lambda package: None)
    sentence = r"search.loggers names mlflow, and mlflow is not installed: `pip install 'spectral-search\[mlflow\]'`"
    with pytest.raises(RequestError, match=sentence):
        require_loggers(["mlflow"])
    require_loggers([])


def test_what_is_no_number_is_not_drawn() -> None:
    record = {"epoch": 3, "val_r2": 0.5, "seconds": float("nan"), "note": "x", "at_unix_seconds": 9.0, "ok": True}
    assert numbers(record) == {"val_r2": 0.5}


def test_an_unknown_logger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="search.loggers"):
        make_spec(tmp_path, tmp_path, search={"loggers": ["tensorbord"]})

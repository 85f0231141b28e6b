"""How a run gets its name and its folder, also beside another that begins at the same moment."""

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest
from rich.console import Console
from small_search import make_data, make_spec

from spectral_search import service
from spectral_search.errors import RequestError
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import NameTakenError, RunPaths
from spectral_search.service import RunOptions, Shown
from spectral_search.service.runs import join


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and a spec."""
    folder = tmp_path_factory.mktemp("begin")
    make_spec(folder, make_data(folder / "data"))
    return folder


def test_runs_that_begin_at_one_moment_take_names_one_after_the_other(folder: Path, tmp_path: Path) -> None:
    options = RunOptions(results=str(tmp_path), executor="inline")
    console = Console(file=io.StringIO(), width=200)
    made = service.plan(str(folder / "small.yaml"), options, Shown(console), dry_run=False)
    together = Barrier(3)

    def begin(number: int) -> str:
        name = service.run_name(made.spec, options)
        together.wait()  # all three have been promised the same name
        return service.begin(made, name, options, Shown(console), ["run", str(number)])

    with ThreadPoolExecutor(3) as pool:
        names = list(pool.map(begin, range(3)))
    assert sorted(names) == ["small", "small-2", "small-3"]
    for number, name in enumerate(names):
        manifest = Manifest.load(RunPaths(tmp_path, name).manifest_json)
        assert (manifest.name, manifest.study_name, manifest.command) == (name, name, ["run", str(number)])
        assert service.status(name, str(tmp_path)).trials == []
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert "this one is small-2" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_name_that_was_asked_for_is_that_name_or_none(folder: Path, tmp_path: Path) -> None:
    options = RunOptions(name="mine", results=str(tmp_path), executor="inline")
    made = service.plan(str(folder / "small.yaml"), options, service.silent())
    assert service.begin(made, "mine", options, service.silent()) == "mine"
    with pytest.raises(NameTakenError, match="resume mine"):
        service.begin(made, "mine", options, service.silent())


def test_an_executor_that_is_none_is_refused_where_nothing_is_left_to_train(folder: Path, tmp_path: Path) -> None:
    options = RunOptions(name="over", results=str(tmp_path), executor="inline")
    made = service.plan(str(folder / "small.yaml"), options, service.silent())
    paths = RunPaths(tmp_path, service.begin(made, "over", options, service.silent()))
    manifest = Manifest.load(paths.manifest_json)
    manifest.release("finished", 1.0)
    manifest.save(paths.manifest_json)
    assert service.resume("over", options, service.silent()).state == "finished"
    with pytest.raises(RequestError, match="--executor must be auto, shared, separate or inline, found 'far'"):
        service.resume("over", replace(options, executor="far"), service.silent())


def test_loggers_of_a_run_that_is_joined_are_refused_before_any_work(folder: Path, tmp_path: Path) -> None:
    spec, logged = str(folder / "small.yaml"), ("search.loggers=[tensorboard]",)
    plain, with_logger = (RunOptions(results=str(tmp_path), sets=sets, executor="inline") for sets in ((), logged))
    with pytest.raises(RequestError, match=r"search.loggers \(tensorboard\) .* without --join"):
        join(spec, "shared", with_logger, service.silent())
    assert not list(tmp_path.iterdir())
    # Begun by one process alone, which recorded them.
    service.begin(service.plan(spec, with_logger, service.silent()), "shared", with_logger, service.silent())
    with pytest.raises(RequestError, match=r"search.loggers \(tensorboard\) .* without --join"):
        join(spec, "shared", plain, service.silent())

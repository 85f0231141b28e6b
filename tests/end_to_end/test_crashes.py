"""A search that dies just before any of its writes and is resumed leaves the record of one that never died."""

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from crashes import dies_at
from rich.console import Console
from small_search import differences, facts, make_data, make_spec

from spectral_search import service
from spectral_search.record.paths import RunPaths
from spectral_search.service import RunOptions, Shown

pytestmark = pytest.mark.slow

NAME = "small"
MOST_WRITES = 1000
"""More than a run makes."""
STRIDE = int(os.environ.get("SPECTRAL_SEARCH_TEST_STRIDE", "17"))
"""One write in so many is died at: all of them, at 1, take about 20 minutes."""
ON_THE_WAY = 131
"""A write in the middle of the training."""
LIFETIME = 91
"""Writes between two deaths: enough for the end of a run, which has to be done in one go, and for little more."""
SEARCH: dict[str, Any] = {"trials": 4, "startup_trials": 2, "min_epochs": 1, "retest_seeds": 2}
KINDS: dict[str, dict[str, Any]] = {
    "one after the other": {"search": {**SEARCH, "reduction_factor": 2, "finalists": 1}},
    "by a model, with ASHA": {"search": {**SEARCH, "sampler": "tpe", "pruner": "asha"}},
    # What TPE proposes depends on which trials were over by then, so a death changes it where several are on their way.
    "in one pass": {
        "search": {**SEARCH, "sampler": "grid"},
        "space": {},
        "grid": {"fit.lr": [1e-3, 1e-2, 3e-3, 3e-2, 3e-4]},
        "resources": {"concurrent": 3},
    },
}


class Search:
    """The small search in a folder of its own, begun or gone on with, on the inline executor.

    Args:
        spec: The file.
        results: The results folder.
    """

    def __init__(self, spec: Path, results: Path) -> None:
        self.spec, self.paths = spec, RunPaths(results, NAME)
        self.options = RunOptions(name=NAME, results=str(results), executor="inline")

    def go(self) -> None:
        shown = Shown(Console(file=io.StringIO()))
        if self.paths.exists():
            service.resume(NAME, self.options, shown)
        else:
            made = service.plan(str(self.spec), self.options, shown, dry_run=False)
            service.run(made, NAME, self.options, shown)


@pytest.fixture(scope="module", params=KINDS)
def spec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    make_spec(folder, make_data(folder / "data"), fit={"epochs": 4}, **KINDS[request.param])
    return folder / "small.yaml"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of torch do not survive a fork."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The record of the search that nothing interrupted."""
    search = Search(spec, tmp_path_factory.mktemp("whole"))
    search.go()
    found = facts(search.paths)
    states = {trial["state"] for trial in found["trials"]}
    assert states == {"complete", "stopped"}, "some trials have to be stopped and others spared"
    return found


@pytest.fixture
def search(spec: Path, tmp_path: Path) -> Callable[[str], Search]:
    return lambda name: Search(spec, tmp_path / name)


def test_dying_at_a_write_changes_nothing(search: Callable[[str], Search], whole: dict[str, Any]) -> None:
    one = search("once")
    assert dies_at(ON_THE_WAY, one.go)
    one.go()
    assert differences(facts(one.paths), whole) == []


@pytest.mark.timeout(7200)
def test_dying_at_each_write_in_turn_changes_nothing(search: Callable[[str], Search], whole: dict[str, Any]) -> None:
    for change in range(1, MOST_WRITES, STRIDE):
        one = search(str(change))
        if not dies_at(change, one.go):
            break
        one.go()
        assert differences(facts(one.paths), whole) == [], change
        shutil.rmtree(one.paths.root)
    assert 200 < change < MOST_WRITES, "the deaths reach from the first write to the last"


def test_dying_again_and_again_changes_nothing(search: Callable[[str], Search], whole: dict[str, Any]) -> None:
    one = search("often")
    deaths = 0
    while dies_at(LIFETIME, one.go):
        deaths += 1
        assert deaths < MOST_WRITES / 10, "the search does not get on"
    assert deaths >= 3
    assert differences(facts(one.paths), whole) == []

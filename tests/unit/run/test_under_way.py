"""Which trials a process was training when it died."""

import os
from pathlib import Path

import pytest

from spectral_search.record.paths import RunPaths
from spectral_search.run.under_way import Death, UnderWay, asked_to_end, death_of, forget, found_dead


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path, "run")


def dies(paths: RunPaths, process: str, *trials: int, deaths: int = 0) -> None:
    """Let a process die while it trains."""
    child = os.fork()
    if child == 0:
        with UnderWay(paths.under_way(process), deaths).training(trials):
            os._exit(137)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 137


def test_processes_that_died_tell_what_they_trained_once(paths: RunPaths) -> None:
    dies(paths, "one", 4, 2)
    dies(paths, "other", 3)
    with UnderWay(paths.under_way("sound")).training([7]):
        pass
    assert found_dead(paths) == [2, 3, 4]
    assert found_dead(paths) == []
    assert not paths.under_way_dir.exists()


def test_an_error_is_no_death(paths: RunPaths) -> None:
    with pytest.raises(ValueError, match="bad"), UnderWay(paths.under_way("one")).training([1]):
        raise ValueError("bad")
    assert found_dead(paths) == []


def test_who_was_asked_to_end_is_not_to_blame(paths: RunPaths) -> None:
    dies(paths, "one", 4)
    asked_to_end(paths)
    assert found_dead(paths) == []
    dies(paths, "one", 4)
    assert found_dead(paths) == [4], "that is over"
    dies(paths, "one", 4)
    forget(paths)
    assert found_dead(paths) == []


@pytest.mark.parametrize("left", [None, "", '{"trials": [1', "[]", '{"trials": 5, "deaths": 0}'])
def test_a_file_that_tells_nothing_blames_nobody(paths: RunPaths, left: str | None) -> None:
    if left is not None:
        paths.under_way_dir.mkdir(parents=True)
        paths.under_way("one").write_text(left)
    assert death_of(paths.under_way("one")) == Death()
    assert found_dead(paths) == []


def test_deaths_are_counted_over_restarts(paths: RunPaths) -> None:
    path = paths.under_way("one")
    for deaths in range(3):
        dies(paths, "one", deaths, deaths=deaths)
        assert death_of(path) == Death((deaths,), deaths + 1)

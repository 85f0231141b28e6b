"""What a help says may be given is what may be given."""

import re
from pathlib import Path

import pytest
from command_line import call, errors

from spectral_search.spec.keys import all_leaves, allowed
from spectral_search.spec.task_modules import task_names
from spectral_search.tasks.spectra.report.baseline_methods import METHODS


def help_of(verb: str, folder: Path) -> str:
    return re.sub(r"\s+", " ", call(verb, "--help", folder=folder).require().stdout)


@pytest.mark.parametrize(
    ("verb", "words", "named"),
    [
        ("run", ["step1", "--executor", "x"], "must be (.*), found"),
        ("simulate", ["folder", "--dtype", "x"], "give one of (.*)[.]$"),
        ("evaluate", ["x.yaml", "--data", "folder", "--part", "x"], "one of (.*), found"),
        ("baselines", ["--input", "x"], "baselines read (.*)[.]$"),
        ("bench", ["x"], "choose among (.*)[.]$"),
    ],
)
def test_a_help_names_what_a_refusal_names(verb: str, words: list[str], named: str, tmp_path: Path) -> None:
    (told,) = errors(call(verb, *words, folder=tmp_path).require(2))
    found = re.search(named, told)
    assert found is not None
    taken = re.split(", | or ", found[1])
    assert len(taken) > 1 and [name for name in taken if name not in help_of(verb, tmp_path)] == []


@pytest.mark.parametrize("verb", ["run", "submit"])
def test_a_help_of_a_spec_key_is_what_the_key_allows(verb: str, tmp_path: Path) -> None:
    told = help_of(verb, tmp_path)
    for key in ("search.sampler", "data.input.kind"):
        assert f": {allowed(all_leaves()[key])}." in told
    assert "parzen" in told and "denoised" in told


def test_the_help_of_baselines_names_every_method(tmp_path: Path) -> None:
    told = help_of("baselines", tmp_path)
    assert [name for name in METHODS if name not in told] == []


def test_a_help_names_the_tasks_that_can_be_named(tmp_path: Path) -> None:
    assert f"Whose data they are: {', '.join(task_names())}, or a .py file" in help_of("inspect", tmp_path)

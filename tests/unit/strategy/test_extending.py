"""What docs/extending.md shows of proposers and rules is found by its name and does what it says."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from documented_code import install
from made_histories import HIGHER, LOWER, MIXED, history_of, mirrored, proposed, spec_of

from spectral_search.errors import RequestError
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.history import Trial
from spectral_search.strategy.proposer import proposer_of
from spectral_search.strategy.rule import rule_of


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for section in ("A proposer", "A rule"):
        install("extending.md", section, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield


def test_the_proposer_climbs() -> None:
    spec = spec_of(MIXED, "hill_climbing")
    trials = proposed(proposer_of(spec, HIGHER), 8)
    assert len({json.dumps(trial.params) for trial in trials}) == 8
    best = max(trials, key=lambda trial: trial.gain(HIGHER))
    history = history_of(trials)
    following = proposer_of(spec, HIGHER).propose(history)
    assert following is not None and following.keys() == best.params.keys()
    assert sum(following[key] != best.params[key] for key in best.params) == 1
    assert proposer_of(spec, LOWER).propose(mirrored(history)) == following


def test_the_rule_stops_the_worse_half() -> None:
    search = {"pruner": "median", "min_epochs": 2}
    spec = RunSpec.from_dict({"stage": "s", "model": {"kind": "mlp"}, "fit": {"epochs": 20}, "search": search})
    rule = rule_of(spec, LOWER)
    assert rule.rungs(20) == [2, 4, 8, 16] and "epoch 2" in (rule.told(12, 20) or "")
    trials = [Trial(number, {}, 20, (0.1 * number, 0.1 * number)) for number in range(5)]
    assert [rule.decide(history_of(trials), trial) for trial in trials] == ["go_on"] * 3 + ["stop"] * 2
    assert rule.decide(history_of([replace(trials[0], values=(0.5, 0.9)), *trials[1:]]), trials[3]) == "go_on"


def test_they_are_among_the_names_that_a_refusal_lists() -> None:
    with pytest.raises(RequestError, match="gp, grid, hill_climbing, parzen.*did you mean hill_climbing"):
        spec_of(MIXED, "hill_climbin")

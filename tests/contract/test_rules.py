"""Every rule: a function of the history, in either direction, that brings every search to its end."""

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from made_histories import HIGHER, LOWER, mirrored

from spectral_search.errors import RequestError
from spectral_search.spec.name_registry import RULES
from spectral_search.spec.run import RunSpec
from spectral_search.spec.search import SearchSpec
from spectral_search.strategy.history import History, Trial
from spectral_search.strategy.rule import Decision, Rule
from spectral_search.task.metric import Metric

EPOCHS, TRIALS, AT_A_TIME = 20, 12, 3
Told = tuple[int, int, Decision]


def made(name: str, metric: Metric = HIGHER, **search: Any) -> Rule:
    rule: Rule = RULES.find(name)(SearchSpec(pruner=name, finalists=2, **search), EPOCHS, metric)
    return rule


def curves(seed: int) -> list[list[float]]:
    rng = random.Random(seed)
    return [[round(rng.random(), 1) for _ in range(EPOCHS)] for _ in range(TRIALS)]  # rounded, so that there are ties


class Searched:
    """A search by a rule, a few trials at a time, of curves that are known."""

    def __init__(self, rule: Rule, curves: list[list[float]]) -> None:
        self.rule, self.curves = rule, curves
        self.trials: list[Trial] = []
        self.more = True
        self.decisions: list[Told] = []

    @property
    def history(self) -> History:
        return History(list(self.trials), TRIALS, self.more)

    def step(self) -> bool:
        """Fill the free places and train an epoch; whether anything was left to train."""
        while sum(trial.trains for trial in self.trials) < AT_A_TIME and (self._release() or self._begin()):
            pass
        training = [trial.number for trial in self.trials if trial.trains]
        for number in training:
            values = self.trials[number].values
            self._change(number, values=(*values, self.curves[number][len(values)]))
        for number in training:
            self._judge(self.trials[number])
        return bool(training)

    def _judge(self, trial: Trial) -> None:
        epoch = len(trial.values)
        if epoch == EPOCHS:
            self._change(trial.number, state="complete")
        elif epoch in self.rule.rungs(EPOCHS):
            decision = self.rule.decide(self.history, trial)
            assert decision != "wait" or self.rule.waits, "a rule says that its trials may wait"
            self.decisions.append((trial.number, epoch, decision))
            changes: Mapping[str, dict[str, Any]] = {
                "go_on": {"passed": epoch},
                "stop": {"state": "stopped"},
                "wait": {"held": epoch},
            }
            self._change(trial.number, **changes[decision])

    def _release(self) -> bool:
        decisions = self.rule.release(self.history)
        for number, decision in decisions.items():
            held = self.trials[number].held
            assert held, "only who waits is released"
            self.decisions.append((number, held, decision))
            changes = {"passed": held} if decision == "go_on" else {"state": "stopped"}
            self._change(number, held=0, **changes)
        return bool(decisions)

    def _begin(self) -> bool:
        if len(self.trials) == TRIALS:
            changed, self.more = self.more, False
            return changed
        self.trials.append(Trial(len(self.trials), {"number": len(self.trials)}, EPOCHS))
        return True

    def _change(self, number: int, **changes: Any) -> None:
        self.trials[number] = replace(self.trials[number], **changes)


@pytest.fixture(params=RULES.names)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("search", [{}, {"min_epochs": 2, "reduction_factor": 3}], ids=["default", "given"])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_search_comes_to_its_end_the_same_way(name: str, seed: int, search: dict[str, Any]) -> None:
    one, other = Searched(made(name, **search), curves(seed)), Searched(made(name, **search), curves(seed))
    while one.step():
        assert other.step()
    assert one.trials == other.trials and one.decisions == other.decisions
    assert len(one.trials) == TRIALS and all(trial.state in ("complete", "stopped") for trial in one.trials)
    complete = sum(trial.state == "complete" for trial in one.trials)
    assert complete >= 2 if one.rule.waits else complete >= 1, "all finalists are trained to their end"
    spent = sum(len(trial.values) for trial in one.trials)
    assert spent == TRIALS * EPOCHS if not one.rule.stops else spent < TRIALS * EPOCHS


def test_a_rule_says_beforehand_what_it_does(name: str) -> None:
    rule = made(name)
    rungs = rule.rungs(EPOCHS)
    assert rungs == sorted(set(rungs)) and all(0 < rung < EPOCHS for rung in rungs) and bool(rungs) == rule.stops
    assert rule.planned_epochs(TRIALS, EPOCHS) <= rule.most_epochs(TRIALS, EPOCHS) <= TRIALS * EPOCHS
    assert (rule.told(TRIALS, EPOCHS) is None) == (not rule.stops)
    assert rule.told(1, 1) is None, "one epoch has no rung"


def test_no_search_takes_more_than_a_rule_says_at_most(name: str) -> None:
    """Where each trial is better than those before it, whoever leads by now always goes on."""
    better = [[number + epoch / EPOCHS for epoch in range(EPOCHS)] for number in range(TRIALS)]
    for each in (better, better[::-1]):
        search = Searched(made(name), each)
        while search.step():
            pass
        spent = sum(len(trial.values) for trial in search.trials)
        assert spent <= search.rule.most_epochs(TRIALS, EPOCHS)
        assert name != "promote" or each is not better or spent > search.rule.planned_epochs(TRIALS, EPOCHS)


@pytest.mark.parametrize("seed", [3, 4])
def test_a_search_cut_off_anywhere_goes_on_as_the_uninterrupted_one(name: str, seed: int) -> None:
    """By another rule object, to which nothing is handed but the history."""
    whole, parts = Searched(made(name), curves(seed)), Searched(made(name), curves(seed))
    while whole.step():
        parts.rule = made(name)
        parts.step()
    assert parts.trials == whole.trials and parts.decisions == whole.decisions


@pytest.mark.parametrize("seed", [5, 6])
def test_the_same_search_measured_the_other_way_round_goes_the_same_way(name: str, seed: int) -> None:
    up = Searched(made(name), curves(seed))
    down = Searched(made(name, LOWER), [[-value for value in curve] for curve in curves(seed)])
    while up.step():
        down.step()
    assert down.decisions == up.decisions and mirrored(down.history).trials == up.trials


def test_deciding_changes_nothing_and_asks_nothing_of_order(name: str) -> None:
    searched = Searched(made(name), curves(7))
    while searched.step():
        history = searched.history
        before = list(history.trials)
        rule = made(name)
        released = rule.release(history)
        assert rule.release(history) == released == made(name).release(history) and list(history.trials) == before


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_never_beats_one(name: str, value: float) -> None:
    """Six trials at the first rung: of three nobody knows how good they are."""
    for metric in (HIGHER, LOWER):
        rule = made(name, metric, min_epochs=2, reduction_factor=2)
        trials = [
            Trial(number, {}, EPOCHS, (value, value) if number % 2 else (0.1 * number, 0.2 * number), held=2)
            for number in range(6)
        ]
        for trial in trials:
            history = History([replace(other, held=0) for other in trials], 6)
            if rule.stops and trial.number % 2:
                assert rule.decide(history, history.trials[trial.number]) != "go_on"
        for number, decision in rule.release(History(trials, 6, more=False)).items():
            assert decision == "stop" or number % 2 == 0


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(RequestError, match="search.pruner must be one of asha, .* found 'halvng'; did you mean halvi"):
        RunSpec.from_dict({"stage": "s", "model": {"kind": "mlp"}, "search": {"pruner": "halvng"}})
    with pytest.raises(RequestError, match="no rule 'halvng'. Did you mean halving.*asha, halving, none, promote"):
        RULES.find("halvng")

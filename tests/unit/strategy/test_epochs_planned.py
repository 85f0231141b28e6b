"""How many epochs a search will have taken, told while it is on its way."""

import pytest

from spectral_search.spec.load import load_spec
from spectral_search.strategy.epochs_planned import Reached, planned_epochs
from spectral_search.strategy.rule import Rule, rule_of

EPOCHS = 9


def rule(name: str) -> Rule:
    """Rungs after epochs 1 and 3."""
    changes = {"fit.epochs": EPOCHS, "search.pruner": name, "search.min_epochs": 1, "search.reduction_factor": 3}
    return rule_of(load_spec("step1").override(changes))


def told(trials: list[Reached], planned: int, name: str) -> int:
    return planned_epochs(trials, planned, rule(name), EPOCHS)


@pytest.mark.parametrize("name", ["asha", "halving", "none"])
def test_a_search_whose_trials_are_all_over_takes_no_more(name: str) -> None:
    assert told([Reached(3, EPOCHS, "stopped"), Reached(EPOCHS, EPOCHS, "complete")], 2, name) == 12


@pytest.mark.parametrize("name", ["asha", "none"])
def test_before_any_is_over_each_is_taken_to_train_to_its_end(name: str) -> None:
    assert told([], 4, name) == 4 * EPOCHS
    # One that may take fewer epochs than the others takes no more than those.
    assert told([Reached(2, EPOCHS, "running"), Reached(2, 5, "running")], 4, name) == EPOCHS + 5 + 2 * EPOCHS


def test_what_is_to_come_ends_as_early_as_what_is_over() -> None:
    over = [Reached(1, EPOCHS, "stopped"), Reached(5, EPOCHS, "failed")]
    # The first live one has the mean before it, the second has outlived it.
    live = [Reached(2, EPOCHS, "running"), Reached(4, EPOCHS, "running")]
    assert told([*over, *live], 6, "asha") == 6 + 3 + EPOCHS + 2 * 3


def test_where_trials_wait_the_rule_knows_and_early_ends_spare_epochs() -> None:
    whole = rule("halving").planned_epochs(9, EPOCHS)
    waiting = [Reached(1, EPOCHS, "waiting")] * 8
    assert told([*waiting, Reached(1, EPOCHS, "stopped")], 9, "halving") == whole
    assert told([*waiting, Reached(2, EPOCHS, "failed")], 9, "halving") == whole - 1
    assert told([*waiting, Reached(7, EPOCHS, "complete")], 9, "halving") == whole - 2
    # As many train as the rule never planned for: each comes to its next rung.
    assert told([Reached(4, EPOCHS, "running")] * 9, 9, "halving") == 9 * EPOCHS

"""No trial is stopped for another."""

from spectral_search.strategy.history import History, Trial
from spectral_search.strategy.rule import Decision, Rule


class NoRule(Rule):
    """Has no rungs."""

    stops = False

    def rungs(self, epochs: int) -> list[int]:
        return []

    def decide(self, history: History, trial: Trial) -> Decision:
        return "go_on"


RULE = NoRule

"""Trials that collapsed: that predict the mean label, whatever the example, from their first epoch on.

Whether a trial has is a function of its epochs and of its recipe alone, so that a resumed search decides as the
uninterrupted one, in whatever process. An epoch shows nothing when neither its val value is better than chance nor a
part of the mean label's loss was removed by training: a network that is slow shows one of the two long before it is
good, and one that learns its training examples by heart shows the second. Nothing is decided before the warm-up and
what follows it have given the network a fair chance; of the recorded curves (docs/vit.md) the rule stops none that
comes to anything.
"""

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from spectral_search.spec.families import family_of
from spectral_search.spec.fit import FitSpec
from spectral_search.spec.trial import TrialConfig
from spectral_search.task.metric import Metric

COLLAPSED = "collapsed"
"""User attribute of a trial in the study: that it collapsed, what was seen and why that is likely."""
_NOTHING = 0.02
"""What val is better than chance, and the part of the mean label's loss that training removed, both below which an
epoch shows nothing."""
_FEWEST_EPOCHS, _PART = 12, 5
"""By default a trial is judged after so many epochs, and after one in this many of all, both after its warm-up."""
FEW_STEPS, _PART_OF_FEW = 500, 2
"""One that has taken fewer steps by then is judged later, but after one in this many of its epochs in any case."""
LEARNT = 0.1
"""What the val value of a trial that has learnt something is better than chance."""
_WITNESSES = 2
"""Other trials that must have come as far before one that was stopped earlier is said to have collapsed."""
_FACTOR = 1.5
"""A learning rate so many times above, or below, all with which others learnt is a likely cause."""
_LOW_LR = 1e-6
_FAR_OFF = 1e4
"""A val value beyond which decimals say nothing."""
_SHRINKING, _DROPPING = 1e-2, 0.8

Records = Sequence[Mapping[str, Any]]


def earliest(fit: FitSpec, after: int | None) -> int:
    """The first epoch after which a trial may be said to have collapsed.

    Args:
        fit: Its recipe.
        after: Epochs after the warm-up, as `search.collapse_epochs` gives them; the default rule when None.
    """
    chosen = max(_FEWEST_EPOCHS, math.ceil(fit.epochs / _PART)) if after is None else after
    return math.ceil(fit.warmup_epochs) + chosen


def has_collapsed(records: Records, fit: FitSpec, after: int | None, metric: Metric) -> bool:
    """Whether a trial is to be stopped for having learnt nothing.

    Args:
        records: All its epochs, in order.
        fit: Its recipe.
        after: As for `earliest`.
        metric: The objective.
    """
    epochs = len(records)
    if epochs < earliest(fit, after) or not shows_nothing(records, metric):
        return False
    # Who sets `search.collapse_epochs` means these, however few the steps are.
    few = after is None and records[-1].get("steps", FEW_STEPS) < FEW_STEPS
    return not few or epochs >= math.ceil(fit.epochs / _PART_OF_FEW)


def shows_nothing(records: Records, metric: Metric) -> bool:
    """Whether none of these epochs shows that anything was learnt; one that does not say so counts as having."""
    return bool(records) and not any(
        # `gain` of infinity is the best value in either direction: an absent one counts as having learnt.
        _over_chance(record.get(metric.val_name, metric.gain(math.inf)), metric) >= _NOTHING
        or record.get("train_gain", 1.0) >= _NOTHING
        for record in records
    )


def others_learnt(records: Records, fit: FitSpec, others: Collection[Sequence[float]], metric: Metric) -> bool:
    """Whether others had learnt something by the epoch that a trial, which has not, came to.

    It is what tells a trial that was stopped early for its rank: without it, it may have been stopped too soon to say.

    Args:
        records: The trial's epochs.
        fit: Its recipe.
        others: Of each other trial the objective after each epoch.
        metric: The objective.
    """
    epoch = len(records)
    came = [_over_chance(metric.best(values[:epoch]), metric) for values in others if len(values) >= epoch]
    return epoch > fit.warmup_epochs and len(came) >= _WITNESSES and statistics.median(came) >= LEARNT


def learnt(values: Sequence[float], metric: Metric) -> bool:
    """Whether a trial with these values of the objective has learnt something, as far as anybody can say."""
    return metric.chance is not None and _over_chance(metric.best(values), metric) >= LEARNT


def _over_chance(value: float, metric: Metric) -> float:
    """How much better than chance a value is; 0 where nobody can say, so that training alone shows it."""
    return 0.0 if metric.chance is None else metric.gain(value) - metric.gain(metric.chance)


def verdict(records: Records, cause: str, metric: Metric) -> str:
    """What is told of a trial that collapsed: what was seen, and the likely cause."""
    best = metric.best(record[metric.val_name] for record in records)
    spent = "its only epoch" if len(records) == 1 else f"all its {len(records)} epochs"
    value = metric.told(best) if abs(best) < _FAR_OFF else f"{best:.2g}"
    return f"no better than the mean label in {spent} (best val {metric.label} {value}). {cause}"


def likely_cause(config: TrialConfig, others: Collection[TrialConfig]) -> str:
    """Why a trial may have collapsed, in short sentences with what to change.

    Args:
        config: The trial.
        others: Trials of the same search that have learnt something.
    """
    causes = config.data.input.cause_of_collapse(), _rate(config, others), _network(config), _recipe(config)
    found = [text for text in causes if text]
    if found:
        return "Likely cause: " + " ".join(found[:2])
    if not others:
        return (
            "No trial of this search has learnt anything so far: see whether Ridge does (`spectral-search baselines`)."
        )
    return "Nothing in its configuration stands out: a lower fit.lr or another fit.seed may do."


def _rate(config: TrialConfig, others: Collection[TrialConfig]) -> str | None:
    lr, kind = config.fit.lr, config.model.kind
    rates = sorted(other.fit.lr for other in others if other.model.kind == kind)
    if rates and lr > _FACTOR * rates[-1]:
        return f"fit.lr {lr:.2g} is too high for this network; others learnt with {rates[-1]:.2g} at most."
    # What others of this search learnt with is not too high, whatever holds for the family.
    if lr >= family_of(kind).high_lr and not (rates and lr <= rates[-1]):
        return f"fit.lr {lr:.2g} is too high for most networks of this kind."
    if lr < _LOW_LR:
        return f"with fit.lr {lr:.2g} the weights hardly move."
    if rates and lr < rates[0] / _FACTOR:
        return f"fit.lr {lr:.2g} may be too low; others learnt with {rates[0]:.2g} at least."
    return None


def _network(config: TrialConfig) -> str | None:
    return family_of(config.model.kind).likely_cause_of_collapse(config.model, config.fit)


def _recipe(config: TrialConfig) -> str | None:
    fit = config.fit
    if fit.lr * fit.weight_decay > _SHRINKING:
        return f"fit.weight_decay {fit.weight_decay:.2g} at this fit.lr shrinks weights faster than they learn."
    dropout: float = getattr(config.model, "dropout", 0.0)  # most families have it
    if dropout > _DROPPING:
        return f"model.dropout {dropout:.2g} leaves hardly anything to learn from."
    return None

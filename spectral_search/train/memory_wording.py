"""What people are told of the memory that a network needs. Imports no torch, so that a dry run can say it."""

from spectral_search.record.wording import size
from spectral_search.spec.families import family_of
from spectral_search.spec.run import TrialConfig
from spectral_search.train.capacity import Footprint

_ALLOW = "--set resources.allow_oversize=true"


def needs(config: TrialConfig, one: Footprint) -> str:
    """How much a network needs, and what for."""
    what = "while a checkpoint is written" if one.save > one.step + one.inputs else "for a step on a batch"
    return (
        f"This {config.model.kind} needs about {size(one.peak)} to train ({size(one.state)} for weights, gradients and "
        f"the optimiser, {size(one.peak - one.state)} {what})"
    )


def advice(config: TrialConfig, one: Footprint) -> str:
    """What to change, the largest part first, and the way past the estimate."""
    narrower, batch = family_of(config.model.kind).make_smaller, "lower fit.batch_size"
    first = f"{batch} or {narrower}" if one.step + one.inputs > one.state else narrower
    return f"{first}; where the estimate is wrong, {_ALLOW} tries it all the same"

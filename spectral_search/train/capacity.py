"""How much memory members take while they train, alone and together. Imports no torch, so that a dry run can say it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spectral_search.models.parameter_count import count_parameters
from spectral_search.models.step_memory import step_bytes
from spectral_search.spec.families import family_of
from spectral_search.spec.run import TrialConfig
from spectral_search.train.cpu_formats import cpu_gains_by_bfloat16

_PARAMETER_BYTES = 28
"""Weight, gradient, two moments and the best epoch's weight in float32; copies of weight and gradient for products."""
_ACTIVATION_BYTES = 24
"""Of a hidden unit for one example of the batch, in float32: product, activation, dropout and their gradients."""
_AVERAGE_BYTES = 4
"""Of a weight's average, where there is one; and as bytes, twice, while a checkpoint is written."""
_SUM_BYTES = 4
"""Of the sum of a weight's gradients, where several batches make a step."""
_STATE_BYTES, _SAVE_BYTES = 20, 24
"""Of a weight: itself, its gradient, two moments and the best epoch's; and, while a checkpoint is written, weight and
moments as bytes, twice. 22 and 20 were measured."""
_RIDGE_BYTES = 28
"""Of a pair of features, while a Ridge is fitted: sums, Gram matrix and factor in float64, a product in float32."""
_FEED_ARRAYS = 4
"""Arrays of a batch's values in float32 that a GPU makes its input from; a CPU goes by stripes."""
_FEWEST_ROWS = 64
"""Examples that are predicted at once, at least."""


@dataclass(frozen=True)
class Footprint:
    """Bytes that a network in training needs.

    Attributes:
        state: From its first step to its end.
        step: Beside that, at the fullest moment of a step.
        save: Beside that, while a checkpoint is written, in the host's memory.
        inputs: What all members of a pass share: a batch's input, and the Ridge that they add to.
        joint: Whether its steps are taken together with those of others like it.
    """

    state: int
    step: int
    save: int
    inputs: int
    joint: bool = False

    @property
    def peak(self) -> int:
        """At the fullest moment, alone on a CPU."""
        return together([self])


def footprint(config: TrialConfig, values: int, *, examples: int | None = None, gpu: bool = False) -> Footprint:
    """What one trial needs to train.

    Args:
        config: The trial.
        values: Of an example.
        examples: Of the training set, where it may be smaller than a batch.
        gpu: Whether it trains on one.

    Raises:
        RequestError: The network cannot read such examples.
    """
    given, fit = config.data.input, config.fit
    shape = given.sizes(values)
    weights, element = count_parameters(config.model, **shape), _element_bytes(fit.precision, gpu)
    # Batches differ by one at most: the last of an epoch is shared out among the others (`batch_bounds`).
    batch = fit.batch_size if examples is None else min(fit.batch_size, examples)
    # An input is that of predictions too, which are made of more rows than a small batch has.
    rows = max(batch, _FEWEST_ROWS) if examples is None else max(batch, min(_FEWEST_ROWS, examples))
    step = step_bytes(config.model, **shape, batch=batch, element=element, recomputed=fit.checkpoint_activations)
    casts = weights * element if element < 4 else 0
    features = shape["channels"] * shape["pixels"]
    copies, average = 1 + bool(fit.augment), _average_bytes(config)
    inputs = rows * (copies * features * element + (_FEED_ARRAYS * 4 * values if gpu else 0))
    if fit.target == "ridge_residual":
        # The larger and not the sum: a Ridge is fitted between the steps of networks.
        inputs = max(inputs, _RIDGE_BYTES * features**2)
    return Footprint(
        (_STATE_BYTES + average + _sum_bytes(config)) * weights,
        step + casts,
        (_SAVE_BYTES + 2 * average) * weights,
        inputs,
        joint=family_of(config.model.kind).stack is not None,
    )


def together(members: Sequence[Footprint], *, gpu: bool = False) -> int:
    """Bytes of the members of one pass at its fullest moment, on the device that trains.

    Networks that stack take their steps at the same time, others one after the other, and so are checkpoints written.
    """
    if not members:
        return 0
    joint = sum(member.step for member in members if member.joint)
    step = max(joint, *(member.step for member in members))
    save = 0 if gpu else max(member.save for member in members)
    return sum(member.state for member in members) + max(step + max(member.inputs for member in members), save)


def _element_bytes(precision: str, gpu: bool) -> int:
    """Of a number in a product; see `resolve_precision`."""
    if precision == "auto":
        return 2 if gpu or cpu_gains_by_bfloat16() else 4
    return 4 if precision == "float32" or (precision == "float16" and not gpu) else 2


def _average_bytes(config: TrialConfig) -> int:
    return _AVERAGE_BYTES if config.fit.weight_average != "none" else 0


def _sum_bytes(config: TrialConfig) -> int:
    return _SUM_BYTES if config.fit.accumulate > 1 else 0


def member_bytes(config: TrialConfig, values: int) -> int:
    """What a member adds to a pass, for examples of so many values.

    Only networks that stack hold their activations at the same time; others take their steps one after the other.
    """
    given, model = config.data.input, config.model
    parameters = count_parameters(model, **given.sizes(values))
    units = config.fit.batch_size * family_of(model.kind).stacked_units(model)
    return (_PARAMETER_BYTES + _average_bytes(config) + _sum_bytes(config)) * parameters + _ACTIVATION_BYTES * units


def pack_limit(configs: Iterable[TrialConfig], values: int, free_bytes: float) -> int:
    """How many members fit at once, each as large as the largest of these; at least one."""
    return max(1, int(free_bytes / max(member_bytes(config, values) for config in configs)))

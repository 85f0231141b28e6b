"""What of a recipe has no meaning for a task, told before anything is trained. Imports no torch."""

from collections.abc import Sequence

from spectral_search.errors import RequestError
from spectral_search.spec.families import families, family_of
from spectral_search.spec.spelling import nearest
from spectral_search.spec.trial import TrialConfig
from spectral_search.task.metric import Metric
from spectral_search.task.task import Task
from spectral_search.task.training import InputShape


def require_techniques(config: TrialConfig, task: Task) -> None:
    """Refuse a recipe that a task cannot follow.

    Raises:
        RequestError: All that has no meaning.
    """
    if config.fit.plateau_metric is not None:
        metric_named(config.fit.plateau_metric, task.metrics)
    if family_of(config.model.kind).needs_bin(config.model) and any(
        hasattr(item, "mix") for item in config.fit.augment
    ):
        raise RequestError(
            "fit.augment mixes examples, and the gate of this network is told the bin of each, which a mixture does "
            "not have; leave it out"
        )
    if config.fit.checkpoint_activations and not family_of(config.model.kind).recomputes:
        able = ", ".join(kind for kind, family in families().items() if family.recomputes)
        raise RequestError(
            f"fit.checkpoint_activations has no meaning for {config.model.kind}, whose networks keep what they need; "
            f"set it to false, or use one of {able}"
        )


def require_augmentations(config: TrialConfig, shape: InputShape) -> None:
    """Refuse augmentations that cannot change such inputs.

    Raises:
        RequestError: A sentence for each.
    """
    told = [item.input_faults(shape.channels, shape.length, shape.height) for item in config.fit.augment]
    if faults := [fault for some in told for fault in some]:
        raise RequestError(*faults)


def metric_named(name: str, metrics: Sequence[Metric]) -> Metric:
    """The metric of `fit.plateau_metric`.

    Raises:
        RequestError: The task has none of that name.
    """
    known = {metric.name: metric for metric in metrics}
    if name in known:
        return known[name]
    near = nearest(name, known)
    meant = f"; did you mean {near}?" if near else ""
    raise RequestError(f"fit.plateau_metric must be one of {', '.join(known)}, found {name!r}{meant}")

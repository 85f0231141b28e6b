"""The parameters of a network in groups with rates of their own, as `fit.groups` asks for them."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from spectral_search.errors import RequestError
from spectral_search.models.build import build_model
from spectral_search.spec.fit import FitSpec
from spectral_search.spec.trial import TrialConfig
from spectral_search.task.training import InputShape

_SHOWN = 12
"""Names of parameters that a refusal lists."""


def require_groups(config: TrialConfig, shape: InputShape) -> None:
    """Refuse patterns that no parameter is left for, by the names in a network without weights.

    Raises:
        RequestError: There is such a pattern.
    """
    with torch.device("meta"):
        model = build_model(config.model, **shape.sizes)
    optimiser_groups(model.named_parameters(), config.fit)


def optimiser_groups(named: Iterable[tuple[str, nn.Parameter]], fit: FitSpec) -> list[dict[str, Any]]:
    """Groups for an optimiser: what no pattern matches first, then one for each pattern.

    Args:
        named: The parameters. Each belongs to the first pattern that matches its name.
        fit: The recipe. A group's `initial_lr` is its highest rate, which schedules go by.

    Raises:
        RequestError: A pattern is left without a parameter.
    """
    left = dict(named)
    known, groups = list(left), []
    for place, group in enumerate(fit.groups):
        taken = [name for name in left if fnmatchcase(name, group.match)]
        if not taken:
            raise RequestError(_nothing_left(place, group.match, known))
        weight_decay = fit.weight_decay if group.weight_decay is None else group.weight_decay
        groups.append(_group([left.pop(name) for name in taken], fit.lr * group.lr_factor, weight_decay))
    rest = [_group(list(left.values()), fit.lr, fit.weight_decay)] if left else []
    return rest + groups


def _group(parameters: list[nn.Parameter], highest: float, weight_decay: float) -> dict[str, Any]:
    return {"params": parameters, "lr": highest, "initial_lr": highest, "weight_decay": weight_decay}


def _nothing_left(place: int, pattern: str, known: list[str]) -> str:
    matched = any(fnmatchcase(name, pattern) for name in known)
    what = "only parameters that an earlier group has" if matched else "no parameter of this network"
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"fit.groups.{place}.match {pattern!r} matches {what}; there are {', '.join(known[:_SHOWN])}{more}."

"""Recorded learning curves: every configuration of a grid with its val R2 after each epoch, as a CSV beside its spec.

The spec (curves_NAME.yaml) is one that `run` takes: its grid was run once, with no trial stopped, and its space is what
a search of the same configurations would be given. Shape suffixes: C configurations, E epochs.
"""

import csv
import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spectral_search.spec.load import load_spec
from spectral_search.spec.run import RunSpec

FOLDER = Path(__file__).parent / "curves"
"""Where ours lie."""
Params = dict[str, object]


@dataclass(frozen=True)
class Curves:
    """What every configuration of a grid came to.

    Attributes:
        spec: The spec with space and grid.
        params: Of each configuration.
        val_r2_CE: Val R2 after each epoch.
    """

    spec: RunSpec
    params: list[Params]
    val_r2_CE: np.ndarray

    @property
    def epochs(self) -> int:
        """E."""
        return int(self.val_r2_CE.shape[1])

    @property
    def grid_epochs(self) -> int:
        """Epochs that the whole grid takes."""
        return int(self.val_r2_CE.size)

    @property
    def best(self) -> float:
        """The best val R2 of the whole grid."""
        return float(self.val_r2_CE.max())

    def nearest(self, params: Params, taken: Collection[int] = ()) -> int:
        """The recorded configuration next to a proposal that is not taken, each key on the scale of its domain.

        Another choice is further away than any other value; between equals the first is the one.

        Raises:
            ValueError: A choice that no recorded configuration has, or all are taken.
        """
        choices = [key for key, domain in self.spec.space.items() if domain.choices is not None]
        for key in choices:
            if all(params[key] != recorded[key] for recorded in self.params):
                raise ValueError(f"no recorded configuration has {key} {params[key]!r}")
        free = [place for place in range(len(self.params)) if place not in taken]
        return min(free, key=lambda place: self._distance(params, self.params[place]))

    def _distance(self, params: Params, recorded: Params) -> float:
        total = 0.0
        for key, domain in self.spec.space.items():
            here, there = params[key], recorded[key]
            if domain.choices is not None:
                total += 0.0 if here == there else len(self.spec.space)
            else:
                scale = math.log if domain.is_log else float
                low, high, a, b = (scale(float(str(value))) for value in (domain.low, domain.high, here, there))
                total += ((a - b) / (high - low)) ** 2
        return total


def read_curves(path: Path) -> Curves:
    """Curves from a CSV and the spec of the same name beside it."""
    spec = load_spec(str(path.with_suffix(".yaml")), environ={})
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    epochs = [name for name in rows[0] if name.isdigit()]
    params: list[Params] = [{key: json.loads(row[key]) for key in row if not key.isdigit()} for row in rows]
    return Curves(spec, params, np.array([[float(row[epoch]) for epoch in epochs] for row in rows]))


def write_curves(path: Path, params: list[Params], val_r2_CE: np.ndarray) -> None:
    """One line a configuration: its parameters as JSON, then val R2 after epochs 1 to E."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*params[0], *range(1, val_r2_CE.shape[1] + 1)])
        for point, curve in zip(params, val_r2_CE, strict=True):
            writer.writerow([*(json.dumps(value) for value in point.values()), *(f"{value:.4f}" for value in curve)])

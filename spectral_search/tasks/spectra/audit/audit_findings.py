"""An audit of a data set: what leaks the label, whether recorded noise is what it should be, what stands twice.

Each check is a function from the data to findings; a finding is a sentence that says what was found and what to do.
Shape suffixes: N spectra, L pixels.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from spectral_search.tasks.spectra.baselines.problem import Told
from spectral_search.tasks.spectra.shards.blocks import iter_blocks
from spectral_search.tasks.spectra.shards.data_root import DataRoot, ShardInfo
from spectral_search.tasks.spectra.shards.loaded_spectra import Spectra, load_spectra
from spectral_search.tasks.spectra.shards.split import Selection, Splits

_RUN = 64
"""Consecutive spectra of a sample that are read together, about a chunk."""


@dataclass(frozen=True)
class AuditFinding:
    """One thing that the audit has to say.

    Attributes:
        check: Which check said it.
        level: ok, note (to know) or warning (to act on).
        text: What was found and what to do.
        numbers: What it rests on.
    """

    check: str
    level: Literal["ok", "note", "warning"]
    text: str
    numbers: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Audited:
    """The data under audit.

    Attributes:
        root: All shards.
        splits: Which spectra train, validate and test.
        seed: Of samples, shuffles and bootstraps.
        threads: Cores to use.
        told: Shows progress.
    """

    root: DataRoot
    splits: Splits
    seed: int
    threads: int
    told: Told = lambda title: lambda done, total: None

    @property
    def shards(self) -> list[ShardInfo]:
        """Every shard once."""
        return [*self.root.train, *self.root.val, *self.root.test]

    @property
    def parts(self) -> dict[str, Selection]:
        """Train, val and, where there is one, test."""
        parts = {"train": self.splits.train, "val": self.splits.val, "test": self.splits.test}
        return {name: selection for name, selection in parts.items() if selection is not None}


def sample(selection: Selection, wanted: int, *, noisy: bool = False) -> Spectra:
    """About `wanted` spectra in memory, in short runs spread over a selection; all of it where it holds no more."""
    count = len(selection)
    if count > wanted:
        starts = np.linspace(0, count - _RUN, max(1, wanted // _RUN)).astype(np.int64)
        selection = selection.take(np.unique((starts[:, None] + np.arange(_RUN)).ravel().clip(0, count - 1)))
    return load_spectra(selection, iter_blocks(selection, noisy=noisy))

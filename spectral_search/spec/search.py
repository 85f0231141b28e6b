"""The `search`, `resources` and `inherit` sections: how many trials, who proposes them, what they may use."""

import math
import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator

from spectral_search.spec.base import LARGE, MANY, SEEDS, Section, linked_fault

PASSWORD = re.compile(r"://[^/@]*?:(?P<user>[^@]*)@|[?&](?:\w*password|passwd)=(?P<option>[^&]*)", re.IGNORECASE)
VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")

FIRST_RUNG_PART = 10
"""Without `min_epochs` the first rung is at one in this many epochs."""
DEFAULT_FACTORS = {"halving": 10, "asha": 3}
"""One in this many survives a rung, by pruner."""


class SearchSpec(Section):
    """Who proposes trials and when a trial is stopped early."""

    trials: Annotated[int, Field(ge=1, le=100_000)] = 30
    sampler: Literal["random", "tpe", "grid", "gp"] = "random"
    startup_trials: Annotated[int, Field(ge=1, le=MANY)] = Field(
        8, description="random trials before the sampler models"
    )
    pruner: Literal["halving", "asha", "none"] = Field(
        "halving",
        description="halving: at a rung all trials wait for the last, then the best go on; asha: each is judged",
    )
    min_epochs: Annotated[int, Field(ge=1, le=MANY)] | None = Field(
        None, description="first rung, in epochs; a tenth of fit.epochs when absent"
    )
    reduction_factor: Annotated[int, Field(ge=2, le=MANY)] | None = Field(
        None,
        description="one in this many survives a rung (10 by halving, 3 by asha when absent); by halving at least "
        "`finalists` do",
    )
    seed: Annotated[int, Field(ge=0, lt=SEEDS)] = Field(42, description="seed of the proposals")
    finalists: Annotated[int, Field(ge=1, le=32)] = Field(3, description="best trials that are re-tested")
    retest_draws: Annotated[int, Field(ge=2, le=64)] = Field(5, description="fresh noise draws of the re-test")
    retest_seeds: Annotated[int, Field(ge=1, le=16)] = Field(
        3, description="seeds of a finalist in the re-test, its own included; for the others it is trained anew"
    )
    retest_share: Annotated[float, Field(ge=0.0, le=LARGE)] = Field(
        0.5,
        description="most epochs of training finalists anew, as a part of those of all trials; the winner is trained "
        "with all its seeds in any case",
    )
    storage: str | None = Field(None, description="database URL of the study; SQLite in the run folder when absent")

    @property
    def factor(self) -> int:
        """One in this many survives a rung."""
        return self.reduction_factor or DEFAULT_FACTORS.get(self.pruner, 1)

    def rungs(self, epochs: int) -> list[int]:
        """Epochs after which a trial of so many epochs may be stopped; the last is none of them."""
        rungs, epoch = [], self.min_epochs or math.ceil(epochs / FIRST_RUNG_PART)
        while self.pruner != "none" and epoch < epochs:
            rungs.append(epoch)
            epoch *= self.factor
        return rungs

    def survivors_of(self, trials: int) -> int:
        """Trials that go on, by halving, of so many at a rung; all finalists are to be trained to their end."""
        return min(trials, max(self.finalists, math.ceil(trials / self.factor)))

    def planned_epochs(self, trials: int, epochs: int) -> int:
        """Most epochs that so many trials of so many epochs take: by halving known beforehand, else all."""
        total, done, left = 0, 0, trials
        if self.pruner == "halving":
            for rung in self.rungs(epochs):
                total, done, left = total + left * (rung - done), rung, self.survivors_of(left)
        return total + left * (epochs - done)

    def copies_of(self, best_epochs: Sequence[int], epochs_trained: float) -> list[int]:
        """How many copies of each finalist are trained with other seeds.

        The winner is trained with all its seeds, the others while the budget lasts.

        Args:
            best_epochs: The best epoch of each finalist, for which its copies are trained; the winner's first.
            epochs_trained: Of all trials of the search together.
        """
        budget, spent, counts = self.retest_share * epochs_trained, 0, [0] * len(best_epochs)
        for place, epochs in enumerate(best_epochs):
            for _ in range(1, self.retest_seeds):
                spent += epochs
                counts[place] += place == 0 or spent <= budget
        return counts

    @field_validator("storage")
    @classmethod
    def _password_is_a_variable(cls, storage: str | None) -> str | None:
        """A spec is stored with its run, where a password would be read by whoever reads the run."""
        for match in PASSWORD.finditer(storage or ""):
            if not VARIABLE.fullmatch(match["user"] if match["user"] is not None else match["option"]):
                raise linked_fault(
                    "search.storage holds a password in plain text; put it into the environment and write "
                    "postgresql+psycopg://user:${NAME_OF_VARIABLE}@host/database",
                    "search.storage",
                )
        return storage


Reader = Literal["auto", "ray", "thread"]
LEAST_PART = 0.01
"""The smallest part of a core or a GPU that a trial may have: with less, a hundred processes would share one."""


class ResourcesSpec(Section):
    """What the trials may use."""

    gpus: list[Annotated[int, Field(ge=0, le=65535)]] | Literal["auto"] = Field(
        "auto", description="GPU indices to use"
    )
    gpus_per_trial: Annotated[float, Field(ge=0.0, le=65536.0)] | Literal["auto"] = "auto"
    cpus_per_trial: Annotated[float, Field(ge=LEAST_PART, le=65536.0)] | Literal["auto"] = "auto"
    concurrent: Annotated[int, Field(ge=1, le=MANY)] | None = Field(None, description="most trials at once")
    reader: Reader = Field(
        "auto",
        description="what reads spectra for a run on Ray. ray: processes of Ray Data (but for what is read once and "
        "takes less than 1 GiB); thread: a thread of the process that needs them; auto: ray where they must be "
        "decompressed, else thread, for copying takes less than handing over",
    )
    allow_oversize: bool = Field(
        False,
        description="train what is estimated not to fit into memory all the same, where the estimate is wrong",
    )
    address: str | None = Field(None, description="Ray cluster to join; a local one is started when absent")

    @field_validator("gpus_per_trial")
    @classmethod
    def _part_of_a_gpu(cls, value: float | str) -> float | str:
        if isinstance(value, float) and 0.0 < value < LEAST_PART:
            raise ValueError(f"{value:g} is less than a hundredth of a GPU; use 0 for none, or at least {LEAST_PART:g}")
        return value


class InheritSpec(Section):
    """Keys taken from the best trial of the newest finished search of another stage."""

    from_: str = Field(alias="from")
    keys: Annotated[list[str], Field(min_length=1)]

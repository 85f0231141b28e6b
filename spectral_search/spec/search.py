"""The `search`, `resources` and `inherit` sections: how many trials, who proposes them, what they may use."""

import math
import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator

from spectral_search.spec.base import LARGE, MANY, SEEDS, Section, linked_fault
from spectral_search.spec.copies import Copies, share_budget

PASSWORD = re.compile(r"://[^/@]*?:(?P<user>[^@]*)@|[?&](?:\w*password|passwd)=(?P<option>[^&]*)", re.IGNORECASE)
VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")

FIRST_RUNG_PART = 10
"""Without `min_epochs` the first rung is at one in this many epochs."""
SCREEN_PART, SCREEN_FACTOR = 5, 2
"""By `promote` another rung comes before it, at one in this many of its epochs: half of the trials pass that."""
DEFAULT_FACTORS = {"promote": 10, "halving": 10, "asha": 3}
"""One in this many survives a rung, by pruner."""
WAITING = ("promote", "halving")
"""Pruners by which a trial waits at a rung and may go on later."""


class SearchSpec(Section):
    """Who proposes trials and when a trial is stopped early."""

    trials: Annotated[int, Field(ge=1, le=100_000)] = 30
    sampler: Literal["random", "tpe", "grid", "gp", "parzen"] = Field(
        "parzen",
        description="parzen: points like those that led at the last rung they reached, unlike the others; tpe and gp "
        "are Optuna's",
    )
    startup_trials: Annotated[int, Field(ge=1, le=MANY)] = Field(
        8, description="random trials before the sampler models"
    )
    pruner: Literal["promote", "halving", "asha", "none"] = Field(
        "promote",
        description="promote: trials wait at a rung, and whichever comes to be among the best there goes on; halving: "
        "all wait for the last one, then the best go on together; asha: each is judged once, as it comes",
    )
    min_epochs: Annotated[int, Field(ge=1, le=MANY)] | None = Field(
        None,
        description="first rung, in epochs; when absent a tenth of fit.epochs, and by promote a fiftieth before it",
    )
    reduction_factor: Annotated[int, Field(ge=2, le=MANY)] | None = Field(
        None,
        description="one in this many survives a rung (10 by promote and halving, 3 by asha when absent); in the end "
        "at least `finalists` do by promote and halving",
    )
    collapse_epochs: Annotated[int, Field(ge=1, le=MANY)] | None = Field(
        None,
        description="stop a trial that has learnt nothing in so many epochs after its warm-up; when absent a fifth of "
        "fit.epochs, and at least 12; more than fit.epochs for never",
    )
    seed: Annotated[int, Field(ge=0, lt=SEEDS)] = Field(42, description="seed of the proposals")
    finalists: Annotated[int, Field(ge=1, le=32)] = Field(3, description="best trials that are re-tested")
    retest_draws: Annotated[int, Field(ge=2, le=64)] = Field(5, description="fresh noise draws of the re-test")
    retest_seeds: Annotated[int, Field(ge=1, le=16)] = Field(
        3, description="seeds of a finalist in the re-test, its own included; for the others it is trained anew"
    )
    retest_share: Annotated[float, Field(ge=0.0, le=LARGE)] = Field(
        0.2,
        description="most that training finalists anew may cost, as a part of training all trials; where whole copies "
        "of the winner cost more, they are stopped earlier and compared with it as it was by then",
    )
    storage: str | None = Field(None, description="database URL of the study; SQLite in the run folder when absent")

    @property
    def factor(self) -> int:
        """One in this many survives a rung."""
        return self.reduction_factor or DEFAULT_FACTORS.get(self.pruner, 1)

    @property
    def waits(self) -> bool:
        """Whether a trial that must stop at a rung waits there and may go on later."""
        return self.pruner in WAITING

    def rungs(self, epochs: int) -> list[int]:
        """Epochs after which a trial of so many epochs may be stopped; the last is none of them."""
        first = self.min_epochs or math.ceil(epochs / FIRST_RUNG_PART)
        screen = self._screen(epochs)
        rungs, epoch = [] if screen is None else [screen], first
        while self.pruner != "none" and epoch < epochs:
            rungs.append(epoch)
            epoch *= self.factor
        return rungs

    def factor_at(self, rung: int, epochs: int) -> int:
        """One in this many survives a rung of trials of so many epochs."""
        return SCREEN_FACTOR if rung == self._screen(epochs) else self.factor

    def _screen(self, epochs: int) -> int | None:
        """A rung before the first one, where only the worse half is left behind; none where `min_epochs` is given."""
        first = math.ceil(epochs / FIRST_RUNG_PART)
        screen = math.ceil(first / SCREEN_PART)
        chosen = self.pruner == "promote" and self.min_epochs is None and self.factor > SCREEN_FACTOR
        return screen if chosen and screen < first else None

    def survivors_of(self, trials: int, factor: int | None = None) -> int:
        """Trials that go on of so many at a rung, once all are there; all finalists are to be trained to their end."""
        return min(trials, max(self.finalists, math.ceil(trials / (factor or self.factor))))

    def planned_epochs(self, trials: int, epochs: int) -> int:
        """Epochs that so many trials of so many epochs take: by halving known beforehand and the most they can take.

        By promote it is about as many, since one that leads for a while goes on too; by other rules the most.
        """
        total, done, left = 0, 0, trials
        if self.waits:
            for rung in self.rungs(epochs):
                total, done = total + left * (rung - done), rung
                left = self.survivors_of(left, self.factor_at(rung, epochs))
        return total + left * (epochs - done)

    def copies_of(self, best_epochs: Sequence[int], epochs_trained: float) -> list[Copies]:
        """How many copies of each finalist are trained with other seeds, and for how many epochs.

        Args:
            best_epochs: The best epoch of each finalist, the winner's first.
            epochs_trained: Of all trials of the search together.
        """
        # As a pass costs something beside its members, and trials share theirs at best: there were as many as the
        # longest trial has epochs, at least.
        searched = epochs_trained + max(best_epochs, default=0)
        return share_budget(best_epochs, self.retest_seeds - 1, self.retest_share * searched)

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

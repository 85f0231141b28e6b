"""The `search`, `resources` and `inherit` sections: how many trials, who proposes them, what they may use."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from spectral_search.spec.base import Section, linked_fault

PASSWORD = re.compile(r"://[^/@]*?:(?P<user>[^@]*)@|[?&](?:\w*password|passwd)=(?P<option>[^&]*)", re.IGNORECASE)
VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")


class SearchSpec(Section):
    """Who proposes trials and when a trial is stopped early."""

    trials: Annotated[int, Field(ge=1, le=100_000)] = 30
    sampler: Literal["tpe", "random", "grid", "gp"] = "tpe"
    startup_trials: Annotated[int, Field(ge=1)] = Field(8, description="random trials before the sampler models")
    pruner: Literal["asha", "none"] = "asha"
    min_epochs: Annotated[int, Field(ge=1)] = Field(5, description="asha: first rung, in epochs")
    reduction_factor: Annotated[int, Field(ge=2)] = Field(3, description="asha: one in this many survives a rung")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(42, description="seed of the proposals")
    finalists: Annotated[int, Field(ge=1, le=32)] = Field(3, description="best trials that are re-tested")
    retest_draws: Annotated[int, Field(ge=2, le=64)] = Field(5, description="fresh noise draws of the re-test")
    retest_seeds: Annotated[int, Field(ge=1, le=16)] = Field(
        3, description="seeds of a finalist in the re-test, its own included; for the others it is trained anew"
    )
    retest_share: Annotated[float, Field(ge=0.0)] = Field(
        0.5,
        description="most epochs of training finalists anew, as a part of those of all trials; the winner is trained "
        "with all its seeds in any case",
    )
    storage: str | None = Field(None, description="database URL of the study; SQLite in the run folder when absent")

    def rungs(self, epochs: int) -> list[int]:
        """Epochs after which ASHA may stop a trial of so many epochs; the last is none of them."""
        rungs, epoch = [], self.min_epochs
        while self.pruner == "asha" and epoch < epochs:
            rungs.append(epoch)
            epoch *= self.reduction_factor
        return rungs

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


class ResourcesSpec(Section):
    """What the trials may use."""

    gpus: list[Annotated[int, Field(ge=0)]] | Literal["auto"] = Field("auto", description="GPU indices to use")
    gpus_per_trial: Annotated[float, Field(ge=0.0)] | Literal["auto"] = "auto"
    cpus_per_trial: Annotated[float, Field(gt=0.0)] | Literal["auto"] = "auto"
    concurrent: Annotated[int, Field(ge=1)] | None = Field(None, description="most trials at once")
    address: str | None = Field(None, description="Ray cluster to join; a local one is started when absent")


class InheritSpec(Section):
    """Keys taken from the best trial of the newest finished search of another stage."""

    from_: str = Field(alias="from")
    keys: Annotated[list[str], Field(min_length=1)]

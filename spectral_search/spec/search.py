"""The `search`, `resources` and `inherit` sections: how many trials, who proposes them, what they may use."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator

from spectral_search.errors import RequestError
from spectral_search.places import is_store_url, store_place
from spectral_search.spec.base import LARGE, MANY, SEEDS, Section, linked_fault
from spectral_search.spec.copies import Copies, share_budget
from spectral_search.spec.name_registry import LOGGERS, PAUSES, PROPOSERS, RULES

_PASSWORD = re.compile(r"://[^/@]*?:(?P<user>[^@]*)@|[?&](?:\w*password|passwd)=(?P<option>[^&]*)", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")


class SearchSpec(Section):
    """Who proposes trials and when a trial is stopped early."""

    trials: Annotated[int, Field(ge=1, le=100_000)] = 30
    sampler: Annotated[str, PROPOSERS] = Field(
        "parzen",
        description="parzen: points like those that led at the last rung they reached, unlike the others; tpe and gp "
        "are Optuna's",
    )
    startup_trials: Annotated[int, Field(ge=1, le=MANY)] = Field(
        8, description="random trials before the sampler models"
    )
    pruner: Annotated[str, RULES] = Field(
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
    pause: Annotated[str, PAUSES] = Field(
        "repeated",
        description="repeated: where trials failed of one cause, and no other trial lies, nothing more is proposed",
    )
    pause_after: Annotated[int, Field(ge=0, le=MANY)] = Field(
        3, description="failures of one cause after which their part of the space gets no more trials; 0 for never"
    )
    seed: Annotated[int, Field(ge=0, lt=SEEDS)] = Field(42, description="seed of the proposals")
    pass_seed: Annotated[int, Field(ge=0, lt=SEEDS)] | None = Field(
        None,
        description="of the order of the examples and their random draws, for trials of several fit.seed that are to "
        "share their passes; fit.seed of each when absent",
    )
    finalists: Annotated[int, Field(ge=1, le=32)] = Field(3, description="best trials that are re-tested")
    retest_draws: Annotated[int, Field(ge=2, le=64)] = Field(
        5, description="fresh draws of the val examples in the re-test, where anything about them is random"
    )
    retest_seeds: Annotated[int, Field(ge=1, le=16)] = Field(
        3, description="seeds of a finalist in the re-test, its own included; for the others it is trained anew"
    )
    retest_share: Annotated[float, Field(ge=0.0, le=LARGE)] = Field(
        0.2,
        description="most that training finalists anew may cost, as a part of training all trials; where whole copies "
        "of the winner cost more, they are stopped earlier and compared with it as it was by then",
    )
    loggers: list[Annotated[str, LOGGERS]] = Field(
        [], description="where epochs are shown too, from a folder of the run: tensorboard, mlflow, wandb"
    )
    storage: str | None = Field(None, description="database URL of the study; SQLite in the run folder when absent")

    @property
    def exhaustive(self) -> bool:
        """Whether the trials are the points of the grid, each once, and the space is left alone; the proposer says."""
        return bool(PROPOSERS.find(self.sampler).exhaustive)

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
        for match in _PASSWORD.finditer(storage or ""):
            if not _VARIABLE.fullmatch(match["user"] if match["user"] is not None else match["option"]):
                raise linked_fault(
                    "search.storage holds a password in plain text; put it into the environment and write "
                    "postgresql+psycopg://user:${NAME_OF_VARIABLE}@host/database",
                    "search.storage",
                )
        return storage


Reader = Literal["auto", "ray", "thread"]
_LEAST_PART = 0.01
"""The smallest part of a core or a GPU that a trial may have: with less, a hundred processes would share one."""


class ResourcesSpec(Section):
    """What the trials may use."""

    gpus: list[Annotated[int, Field(ge=0, le=65535)]] | Literal["auto"] = Field(
        "auto", description="GPU indices to use"
    )
    gpus_per_trial: Annotated[float, Field(ge=0.0, le=65536.0)] | Literal["auto"] = "auto"
    cpus_per_trial: Annotated[float, Field(ge=_LEAST_PART, le=65536.0)] | Literal["auto"] = "auto"
    memory_gb_per_trial: Annotated[float, Field(ge=0.0, le=LARGE)] | Literal["auto"] = Field(
        "auto",
        description="memory of the machine for a trial, its process included, in GB; auto: as the largest network is "
        "estimated to need; 0: it is not looked at when trials are put on the nodes of a cluster",
    )
    concurrent: Annotated[int, Field(ge=1, le=MANY)] | None = Field(None, description="most trials at once")
    reader: Reader = Field(
        "auto",
        description="what reads examples for a run on Ray. ray: processes of Ray Data (but for what is read once and "
        "takes less than 1 GiB); thread: a thread of the process that needs them; auto: ray where they must be "
        "decompressed, else thread, for copying takes less than handing over",
    )
    allow_oversize: bool = Field(
        False,
        description="train what is estimated not to fit into memory all the same, where the estimate is wrong",
    )
    address: str | None = Field(None, description="Ray cluster to join; a local one is started when absent")
    copy_to: str | None = Field(
        None,
        description="s3://BUCKET/FOLDER, where the run is copied to while it goes on, below its name; "
        "`resume s3://BUCKET/FOLDER/NAME` goes on with it elsewhere",
    )
    copy_seconds: Annotated[float, Field(gt=0.0, le=LARGE)] = Field(60.0, description="between two such copies")

    @property
    def memory_bytes_per_trial(self) -> int | None:
        """Memory of the machine for a trial, its process included; None where that is to be estimated."""
        given = self.memory_gb_per_trial
        return None if given == "auto" else round(given * 1e9)

    def place_of_copy(self, name: str) -> str | None:
        """The URL of a run's copy; None where it is not copied."""
        if self.copy_to is None:
            return None
        place, mark, query = self.copy_to.partition("?")
        return f"{place.rstrip('/')}/{name}{mark}{query}"

    @field_validator("copy_to")
    @classmethod
    def _is_a_place(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            if not is_store_url(value):
                raise RequestError("the place of copies is no URL of an object store: write s3://BUCKET/FOLDER.")
            store_place(value, "the place of copies")
        except RequestError as error:
            # Linked, since other faults quote what was found, and that may have keys in it.
            raise linked_fault(str(error).removesuffix("."), "resources.copy_to") from None
        return value

    @field_validator("gpus_per_trial")
    @classmethod
    def _part_of_a_gpu(cls, value: float | str) -> float | str:
        if isinstance(value, float) and 0.0 < value < _LEAST_PART:
            raise ValueError(f"{value:g} is less than a hundredth of a GPU; use 0 for none, or at least {_LEAST_PART}")
        if isinstance(value, float) and value > 1.0 and not value.is_integer():
            raise ValueError(f"{value:g} is neither a part of one GPU nor a whole number of them")
        return value


class InheritSpec(Section):
    """Keys taken from the best trial of the newest finished search of another stage."""

    from_: str = Field(alias="from")
    keys: Annotated[list[str], Field(min_length=1)]

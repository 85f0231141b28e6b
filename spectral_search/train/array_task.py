"""Tasks whose examples are arrays in memory: whoever brings one says where the arrays are and how they are measured.

Inputs are standardised by the mean and the spread of the training set, column by column. Nothing about the examples is
random, so that a re-test measures the val set once more, with the interval of its bootstrap.
Shape suffixes: N examples, F features.
"""

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
from pydantic import Field

from spectral_search.errors import RequestError
from spectral_search.record.fetched_data import local_path
from spectral_search.spec.data_section import DataSection, InputSection
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.task.data_plan import CheckNetworks, Sizes, Traits
from spectral_search.task.preparation import Examined
from spectral_search.task.task import Task
from spectral_search.task.training import InputShape
from spectral_search.task.verbs import Verb, VerbOptions


class ArrayData(DataSection):
    """Where the arrays are."""

    root: str | list[str] | None = Field(None, description="where the data are")
    split_seed: int = Field(42, description="fixes the split, apart from the training seed")
    input: InputSection = InputSection()

    @property
    def path(self) -> Path:
        """The one place of the data.

        Raises:
            RequestError: None is named, or several are, or a URL cannot be fetched from.
        """
        if len(self.roots) != 1:
            found = f"{len(self.roots)} are named" if self.roots else "none is named"
            raise RequestError(f"One place of the data is needed and {found}: give one --data-root, or set data.root.")
        return local_path(self.roots[0], "data.root")


class Part(Protocol):
    """Examples of one part, all of them in memory."""

    def __len__(self) -> int: ...

    @property
    def values(self) -> int:
        """Numbers of an example."""

    @property
    def nbytes(self) -> int:
        """That it takes."""

    def sha256(self) -> str:
        """Of all values."""


P = TypeVar("P", bound=Part)


@dataclass(frozen=True)
class Arrays:
    """Examples of one part: features, float32 of shape (N, F), and what is to be predicted, float32 of shape (N,)."""

    x_NF: np.ndarray
    y_N: np.ndarray

    def __len__(self) -> int:
        return len(self.y_N)

    @property
    def values(self) -> int:
        return int(self.x_NF.shape[1])

    @property
    def nbytes(self) -> int:
        return self.x_NF.nbytes + self.y_N.nbytes

    def sha256(self) -> str:
        """Of all values."""
        return sha256(self.x_NF.tobytes() + self.y_N.tobytes()).hexdigest()


Parts = Mapping[str, Arrays]
"""train, val and, where there is one, test."""


class InMemoryTask(Task):
    """A task whose parts are all in memory, with the hash of each in the record of a run, see `ArrayPlan`."""

    def require_same(self, run: Any, data: Any, say: Callable[[str], None]) -> dict[str, Any]:
        from spectral_search.record.manifest import Manifest

        known = Manifest.load(run.manifest_json).data.get("sha256", {})
        present = data.record()["sha256"]
        # Sorted, since a set of texts comes in another order in each process.
        if changed := sorted(part for part in {*known, *present} if known.get(part) != present.get(part)):
            raise RequestError(
                f"{' and '.join(changed)} changed since run {run.name} began: restore the data, or start a new run."
            )
        return dict(data.record())

    def parent_note(self, parent: Any, opened: Any) -> str | None:
        return None

    def input_note(self, parent: RunSpec, name: str, params: Mapping[str, Any], spec: RunSpec) -> str | None:
        return None


class ArrayTask(InMemoryTask):
    """A task of arrays: a subclass names itself and its metrics, and loads its parts."""

    data_section: ClassVar[type[ArrayData]] = ArrayData
    redraws, retested_on = False, "the same examples"

    @abstractmethod
    def load(self, data: Any) -> Parts:
        """The arrays that a data section names.

        Raises:
            RequestError: They are not there, or are none.
        """

    def parts(self, data: Any) -> Parts:
        """What `load` gives, checked and in float32.

        Raises:
            RequestError: A part is empty, of another shape, or holds values that are not finite.
        """
        return {name: _checked(name, part) for name, part in self.load(data).items()}

    def open(self, spec: RunSpec) -> Parts:
        parts = self.parts(spec.data)
        if missing := [name for name in ("train", "val") if name not in parts]:
            raise RequestError(f"{spec.data.path} has no {' and no '.join(missing)} examples.")
        return parts

    def look_at(
        self, spec: RunSpec, opened: Parts, explicit: Collection[str], check_networks: CheckNetworks
    ) -> "FoundArrays":
        plan = ArrayPlan(spec, opened, self)
        check_networks(spec, plan.shape)
        return FoundArrays(plan)

    def recorded(self, spec: RunSpec, opened: Parts, arrays: Mapping[str, np.ndarray]) -> "ArrayPlan[Arrays]":
        return ArrayPlan(spec, opened, self)

    def evaluate(self, model: Path, data: Path, part: str, run: Any, *, observed: bool = False) -> dict[str, Any]:
        from spectral_search.train.array_run import evaluated

        return evaluated(self, model, data, part)

    def examined(self, bundle: Any, data: Path, part: str) -> Examined:
        from spectral_search.train.array_run import examined

        return examined(self, bundle, data, part)

    def predict(
        self, model: Path, data: Path, file: Path, *, called: str = "", observed: bool = False
    ) -> dict[str, Any]:
        from spectral_search.train.array_run import predicted

        return predicted(self, model, data, file)

    def verbs(self) -> Mapping[str, Verb[Any, Any]]:
        from spectral_search.train.array_inspection import inspect_arrays

        told = f"Show how many {self.examples} there are and the ranges of their values; the exit code is 1 at a fault."
        return {"inspect": Verb(told, VerbOptions, partial(inspect_arrays, self), of="Where the arrays are.")}


def _checked(name: str, part: Arrays) -> Arrays:
    x_NF, y_N = (np.ascontiguousarray(values, np.float32) for values in (part.x_NF, part.y_N))
    if x_NF.ndim != 2 or y_N.ndim != 1 or len(x_NF) != len(y_N):
        raise RequestError(
            f"{name} must have features of shape (N, F) and targets of shape (N,), found {x_NF.shape} and {y_N.shape}."
        )
    if not len(y_N):
        raise RequestError(f"{name} has no examples.")
    # After the cast: what is too large for float32 has become infinite by it.
    if not (np.isfinite(x_NF).all() and np.isfinite(y_N).all()):
        raise RequestError(f"{name} holds values that are not finite: leave them out, or fill them in.")
    return replace(part, x_NF=x_NF, y_N=y_N)


@dataclass(frozen=True)
class FoundArrays:
    """See `task.data_plan.FoundData`."""

    plan: "ArrayPlan[Any]"

    def decided(self, results: Path | None) -> "ArrayPlan[Any]":
        return self.plan


@dataclass(frozen=True)
class ArrayPlan(Generic[P]):
    """See `task.data_plan.DataPlan`."""

    spec: RunSpec
    parts: Mapping[str, P]
    task: Any
    notes: tuple[str, ...] = ()
    mismatches: tuple[str, ...] = ()

    @property
    def sizes(self) -> Sizes:
        test = self.parts.get("test")
        return Sizes(len(self.parts["train"]), len(self.parts["val"]), None if test is None else len(test))

    @property
    def traits(self) -> Traits:
        val = self.parts["val"].nbytes
        return Traits(
            values=self.parts["train"].values,
            train=self.sizes.train,
            kept_bytes=self.parts["train"].nbytes,
            window_bytes=0,
            streams=False,
            streams_on_ray=False,
            val_bytes=val,
            store_val_bytes=2 * val,
            cheap=lambda config: True,
            all_cheap=True,
            less="give fewer of them",
            examples_name=self.task.examples,
        )

    def shape(self, config: TrialConfig) -> InputShape:
        return InputShape.of(config.data.input, self.traits.values)

    def reader_note(self) -> str | None:
        return None

    def rows(self) -> list[tuple[str, str]]:
        counts = ", ".join(f"{len(part):,} {name}" for name, part in self.parts.items())
        return [(self.task.examples, f"{counts}, {self.traits.values:,} features")]

    def document(self) -> dict[str, Any]:
        counts = {f"{name}_{self.task.examples}": len(part) for name, part in self.parts.items()}
        return {**counts, "features": self.traits.values}

    def record(self) -> dict[str, Any]:
        return {"sha256": {name: part.sha256() for name, part in self.parts.items()}}

    def arrays(self) -> Mapping[str, np.ndarray]:
        return {f"{name}_rows": np.arange(len(part)) for name, part in self.parts.items()}

    def preparation(self, run: Any, told: Callable[[int, int], None]) -> Any:
        # Imported here, as by the task's methods above: a plan needs no torch.
        from spectral_search.train.array_run import ArrayPreparation

        return ArrayPreparation(self, run)

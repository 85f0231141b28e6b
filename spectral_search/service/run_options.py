"""What the options of `run`, `train` and `resume` say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spectral_search.places import given_root
from spectral_search.spec.load import parse_set

if TYPE_CHECKING:
    from spectral_search.run.plan import Plan

HERE = "none"
"""What --address says for this machine, and --copy-to for no other place."""


@dataclass(frozen=True)
class RunOptions:
    """What the options of `run` and `train` say; None and empty leave the spec as it is.

    Attributes:
        data_root: Data roots, globs allowed, or URLs of an object store.
        name: Name of the run; the stage's, numbered, when absent.
        sets: KEY=VALUE overrides.
        num_train: Training examples.
        trials: Trials of the search.
        epochs: Most epochs of a trial.
        sampler: Who proposes trials, as `search.sampler`.
        input_kind: What networks see of an example; for all trials, also where the stage searches it.
        gpus: GPU indices; an empty tuple runs on the CPU, None leaves the spec as it is.
        concurrent: Most trials at a time.
        address: Ray cluster to join; `none` for this machine, where the spec names one.
        copy_to: URL below which the run is copied; `none` for nowhere, where the spec names one.
        quick: Shrink the stage to minutes on two cores.
        results: The results folder.
        executor: auto, shared (passes that trials share, on Ray), separate (a process a trial, on Ray) or inline (this
            process).
        dashboard: Whether a local Ray gets its dashboard.
        reserved: Whether the run is a submitted job's, whose folder is there.
        room: Waits until the cluster has room for a plan; what it may use of each node.
        stranded: As of `Surroundings`.
    """

    data_root: tuple[str, ...] = ()
    name: str | None = None
    sets: tuple[str, ...] = ()
    num_train: int | None = None
    trials: int | None = None
    epochs: int | None = None
    sampler: str | None = None
    input_kind: str | None = None
    gpus: tuple[int, ...] | None = None
    concurrent: int | None = None
    address: str | None = None
    copy_to: str | None = None
    quick: bool = False
    results: str | None = None
    executor: str = "auto"
    dashboard: bool = True
    reserved: bool = False
    room: "Callable[[Plan], Sequence[Mapping[str, float]]] | None" = None
    stranded: Callable[[str | None], None] = lambda asked: None

    def overrides(self) -> dict[str, Any]:
        """The options as spec keys."""
        values = {
            "data.num_train": self.num_train,
            "search.trials": self.trials,
            "fit.epochs": self.epochs,
            "search.sampler": self.sampler,
            "data.input.kind": self.input_kind,
            "resources.gpus": None if self.gpus is None else list(self.gpus),
            "resources.concurrent": self.concurrent,
            "resources.address": self.address,
            "resources.copy_to": self.copy_to,
            "data.root": [given_root(root, "--data-root") for root in self.data_root] or None,
        }
        given = {key: value for key, value in values.items() if value is not None}
        # The spec of a run that was begun on a cluster has its address, and this machine is another place to go on.
        elsewhere = ("resources.address", "resources.copy_to")
        return {key: None if value == HERE and key in elsewhere else value for key, value in given.items()}

    def explicit(self) -> set[str]:
        """Keys that the user gave."""
        return {*self.overrides(), *(parse_set(text)[0] for text in self.sets)}

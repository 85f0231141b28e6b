"""What planning asks of pairs, see `task.data_plan`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from spectral_search.errors import RequestError
from spectral_search.spec.families import families, family_of
from spectral_search.spec.fit import OF_CLASSES
from spectral_search.spec.name_registry import LOSSES
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.strategy.candidate_configs import candidates
from spectral_search.task.data_plan import Traits
from spectral_search.tasks.pairs.images.pair_part import PairPart
from spectral_search.tasks.pairs.images.pair_source import FoundPairs
from spectral_search.train.array_task import ArrayPlan

if TYPE_CHECKING:
    from spectral_search.tasks.pairs.training.pair_preparation import PairPreparation


@dataclass(frozen=True)
class PairsPlan(ArrayPlan[PairPart]):
    """Pairs of images as a search will use them."""

    about: str = ""

    @classmethod
    def of(cls, spec: RunSpec, found: FoundPairs, task: Any) -> "PairsPlan":
        """The plan of a search on what was found."""
        decided = spec.model_copy(update={"data": found.data})
        if found.data.images_a_class is not None and found.parts["train"].class_M is None:
            raise RequestError(
                f"data.images_a_class needs images whose classes are known, and {found.about} are pairs: leave it out."
            )
        return cls(decided, found.parts, task, notes=found.notes, about=found.about)

    @property
    def traits(self) -> Traits:
        return replace(super().traits, less="set a smaller data.size or data.num_val")

    def rows(self) -> list[tuple[str, str]]:
        side = self.parts["train"].side
        counts = ", ".join(f"{len(part):,} {name}" for name, part in self.parts.items())
        fresh = "train anew each epoch" if self.drawn_anew else "the same each epoch"
        if (each := self.spec.data.images_a_class) is not None:
            fresh = f"train: images, {each} of a class in a batch, each compared with all others there"
        images = f"{self.about}, as {side} x {side} pixels"
        return [("images", images), (self.task.examples, f"{counts}; {fresh}")]

    def document(self) -> dict[str, Any]:
        counts = {f"{name}_{self.task.examples}": len(part) for name, part in self.parts.items()}
        images = {f"{name}_images": len(part.images_MP) for name, part in self.parts.items()}
        return {**counts, **images, "side": self.parts["train"].side, "fresh_pairs": self.drawn_anew}

    @property
    def drawn_anew(self) -> bool:
        """Whether each epoch trains on pairs of its own."""
        return self.spec.data.fresh_pairs and self.parts["train"].class_M is not None

    def preparation(self, run: Any, told: Callable[[int, int], None]) -> "PairPreparation":
        from spectral_search.tasks.pairs.training.pair_preparation import PairPreparation

        return PairPreparation(self, run)


def _faults_of_comparing(config: TrialConfig) -> Iterator[str]:
    """Why images of a batch cannot be compared with each other."""
    kind, mixing = config.model.kind, [item.kind for item in config.fit.augment if hasattr(item, "mix")]
    if not family_of(kind).compares:
        told = ", ".join(family.kind for family in families().values() if family.compares)
        yield f"data.images_a_class is for networks that encode images one by one ({told}), not {kind}: leave it out."
    if mixing:
        yield f"data.images_a_class and fit.augment {mixing[0]} exclude each other: leave one of them out."


def require_answers(spec: RunSpec) -> None:
    """Refuse recipes whose networks would not learn a yes or no.

    Raises:
        RequestError: The loss is of numbers, or a Ridge is to be added to.
    """
    faults: dict[str, None] = {}
    for config in candidates(spec):
        loss = config.fit.loss
        if LOSSES.is_own(loss) and loss not in OF_CLASSES:
            faults[f"fit.loss is {loss}, and pairs are the same or not: use {' or '.join(OF_CLASSES)}."] = None
        if config.fit.target != "direct":
            faults[f"fit.target is {config.fit.target}, which is for numbers, not for a yes or no: use direct."] = None
        if spec.data.images_a_class is not None:
            faults |= dict.fromkeys(_faults_of_comparing(config))
    if faults:
        raise RequestError(*faults)

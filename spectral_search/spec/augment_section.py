"""An item of `fit.augment`: a section of the class that its kind has."""

from typing import Annotated, Any, ClassVar

from pydantic import PlainValidator, SerializeAsAny

from spectral_search.spec.base import Section
from spectral_search.spec.name_registry import AUGMENTATIONS


class AugmentSection(Section):
    """What every augmentation has; the rest is its own."""

    kind: Annotated[str, AUGMENTATIONS]

    EXACT: ClassVar[bool] = True
    """Whether what it does commutes with rounding to a narrower number format, as moving and hiding values does."""

    def input_faults(self, channels: int, length: int, height: int) -> list[str]:
        """Why it cannot change such inputs, one plain sentence a fault; empty where it can.

        Args:
            channels: Of an example.
            length: Values of a channel; of an image row by row.
            height: Rows of an image, 1 of what is none.
        """
        return []

    @classmethod
    def of(cls, raw: Any) -> type[Section]:
        kind = raw.get("kind") if isinstance(raw, dict) else None
        known: type[Section] = AUGMENTATIONS.find(kind) if kind in AUGMENTATIONS.names else AugmentSection
        return known


def _of_its_kind(raw: Any) -> Section:
    if isinstance(raw, AugmentSection):
        return raw
    if not isinstance(raw, dict):
        return AugmentSection.model_validate(raw)
    named = AugmentSection.model_validate({"kind": raw["kind"]} if "kind" in raw else {})
    section: type[Section] = AUGMENTATIONS.find(named.kind)
    return section.model_validate(raw)


AugmentItem = Annotated[SerializeAsAny[AugmentSection], PlainValidator(_of_its_kind)]

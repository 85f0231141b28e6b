"""An item of `fit.augment`: a section of the class that its kind has."""

from typing import Annotated, Any

from pydantic import PlainValidator, SerializeAsAny

from spectral_search.spec.base import Section
from spectral_search.spec.technique_names import AUGMENTATIONS, NameOf


class AugmentSection(Section):
    """What every augmentation has; the rest is its own."""

    kind: Annotated[str, NameOf(AUGMENTATIONS)]

    @classmethod
    def of(cls, raw: Any) -> type[Section]:
        kind = raw.get("kind") if isinstance(raw, dict) else None
        known: type[Section] = AUGMENTATIONS.get(kind) if kind in AUGMENTATIONS.names() else AugmentSection
        return known


def _of_its_kind(raw: Any) -> Section:
    if isinstance(raw, AugmentSection):
        return raw
    if isinstance(raw, dict):
        AugmentSection.model_validate({"kind": raw["kind"]} if "kind" in raw else {})
    return AugmentSection.of(raw).model_validate(raw)


AugmentItem = Annotated[SerializeAsAny[AugmentSection], PlainValidator(_of_its_kind)]

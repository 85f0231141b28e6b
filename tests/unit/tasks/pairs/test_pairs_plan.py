"""Recipes that pairs refuse."""

from typing import Any, Literal

import pytest

from spectral_search.errors import RequestError
from spectral_search.spec.augment_section import AugmentSection
from spectral_search.spec.name_registry import AUGMENTATIONS
from spectral_search.spec.run import RunSpec
from spectral_search.tasks.pairs.pairs_plan import require_answers


class OwnMixing(AugmentSection):
    """An augmentation of another package that mixes examples."""

    kind: Literal["own_mixing"]

    def mix(self, x_BCL: Any, target_B: Any, seed: int, height: int = 1) -> tuple[Any, Any]:
        return x_BCL, target_B


@pytest.mark.parametrize("kind", ["mixup", "cutmix", "own_mixing"])
def test_images_that_are_compared_in_a_batch_are_mixed_by_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(AUGMENTATIONS._added, "own_mixing", OwnMixing)
    spec = {"stage": "some", "task": "pairs", "model": {"kind": "siamese_cnn"}}
    fit = {"loss": "bce", "augment": [{"kind": "noise", "sigma": 0.1}, {"kind": kind}]}
    require_answers(RunSpec.from_dict({**spec, "fit": fit}))
    with pytest.raises(RequestError, match=f"images_a_class and fit.augment {kind} exclude each other"):
        require_answers(RunSpec.from_dict({**spec, "fit": fit, "data": {"images_a_class": 4}}))

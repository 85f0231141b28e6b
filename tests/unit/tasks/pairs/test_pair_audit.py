"""What an audit of pairs finds, and that it finds nothing where there is nothing."""

from dataclasses import replace
from typing import Any

import numpy as np
from small_pairs import drawings

from spectral_search.tasks.pairs.images.pair_part import PairPart, drawn_pairs
from spectral_search.tasks.pairs.pair_audit import audit_pairs


def part(seed: int) -> PairPart:
    images_MHW, class_M = drawings(4, 10, 12, seed)
    return drawn_pairs(images_MHW.reshape(40, 144), class_M, 60, tuple("abcd"), seed, "pairs")


PARTS = {"train": part(0), "val": part(1), "test": part(2)}


def faults(**changed: PairPart) -> dict[str, dict[str, Any]]:
    return {name: found for name, found in audit_pairs({**PARTS, **changed}).items() if found["fault"]}


def test_sound_pairs_have_no_faults() -> None:
    found = audit_pairs(PARTS)
    assert not [name for name, finding in found.items() if finding["fault"]]
    assert len(found) == 2 * 3 + 2 * 3


def test_an_image_in_two_parts_is_found() -> None:
    images_MP = PARTS["test"].images_MP.copy()
    images_MP[3] = PARTS["train"].images_MP[5]
    found = faults(test=replace(PARTS["test"], images_MP=images_MP))
    assert set(found) == {"same images in train and test"}
    assert found["same images in train and test"]["rows"] == [3]


def test_a_nearly_equal_image_is_found_by_itself() -> None:
    images_MP = PARTS["val"].images_MP.copy()
    images_MP[4] = np.clip(PARTS["train"].images_MP[9].astype(int) + 2, 0, 255)
    found = faults(val=replace(PARTS["val"], images_MP=images_MP))
    assert set(found) == {"nearly equal images in train and val"}
    assert found["nearly equal images in train and val"]["rows"] == [4]


def test_answers_out_of_balance_and_pairs_of_one_image_are_found() -> None:
    mostly_N = np.ones(60, np.float32)
    mostly_N[:10] = 0.0
    second_N = PARTS["train"].second_N.copy()
    second_N[[0, 20]] = PARTS["train"].first_N[[0, 20]]
    found = faults(train=replace(PARTS["train"], same_N=mostly_N, second_N=second_N))
    assert set(found) == {"labels of train", "images beside themselves in train"}
    assert found["labels of train"]["told"] == "83.3% of 60 pairs show the same"
    assert found["images beside themselves in train"]["rows"] == [0, 20]
    assert "2 pairs are of two equal images, 1 of them" in found["images beside themselves in train"]["told"]

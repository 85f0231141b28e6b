"""The `data` section: where the images are, how they are split, and how many pairs are made of them."""

from collections.abc import Mapping
from math import isqrt
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from spectral_search.errors import RequestError
from spectral_search.record.fetched_data import local_path
from spectral_search.spec.base import MANY, linked_fault
from spectral_search.spec.data_section import DataSection, InputSection

_IMAGES = 2
"""Of a pair."""
MOST_SIDE = 512
"""The largest side of the images that networks see."""
Fraction = Annotated[float, Field(gt=0.0, lt=0.9)]
Count = Annotated[int, Field(ge=4, le=MANY)]


class PairInput(InputSection):
    """Both images, grey, one a channel, row by row."""

    @property
    def channels(self) -> int:
        """One an image."""
        return _IMAGES

    def length(self, values: int) -> int:
        """Pixels of an image."""
        return values // _IMAGES

    def height(self, values: int) -> int:
        """Rows of an image; images are squares."""
        return isqrt(values // _IMAGES)


class PairData(DataSection):
    """Images of things, or pairs of images with labels."""

    root: str | list[str] | None = Field(
        None,
        description="a folder or a zip with a folder of images for each class, an .npz of pairs, or a folder with "
        "train.npz and perhaps val.npz and test.npz or test_public.npz; digits: those of scikit-learn, as when absent",
    )
    size: Annotated[int, Field(ge=4, le=MOST_SIDE)] | None = Field(
        None, description="side of the images that networks see, in pixels; null: as they are, where they are all alike"
    )
    first: Annotated[str, Field(min_length=1)] = Field("xa", description="npz: the array of the first images")
    second: Annotated[str, Field(min_length=1)] = Field("xb", description="npz: the array of the second images")
    label: Annotated[str, Field(min_length=1)] = Field(
        "y", description="npz: the array of the labels, 1 where both show the same"
    )
    split_by: Literal["auto", "class", "image"] = Field(
        "auto",
        description="class: val and test show classes that training does not; image: other images of the same ones; "
        "auto: class, where there are 20 of them or more",
    )
    val_fraction: Fraction = Field(0.15, description="part of the classes, or images, for val where none are set apart")
    test_fraction: Fraction = Field(0.15, description="the same for test")
    split_seed: int = Field(42, description="fixes the splits and the pairs of val and test, apart from training")
    num_train: Count | None = Field(None, description="pairs of an epoch; all of an npz, else 8,000")
    num_val: Count | None = Field(None, description="pairs of val; all of an npz, else 2,000")
    num_test: Count | None = Field(None, description="pairs of test; all of an npz, else 4,000")
    fresh_pairs: bool = Field(
        True, description="each epoch trains on pairs of its own, where the classes of the images are known"
    )
    images_a_class: Annotated[int, Field(ge=2, le=64)] | None = Field(
        None,
        description="so many images of each class in a training batch, all of which are compared with each other, half "
        "of the pairs of one class: batch_size and num_train then count images, and each is encoded once for all its "
        "pairs; drawing these takes time that grows with the square of batch_size; null: every image is in one pair",
    )
    quarter_turns: bool = Field(
        False,
        description="a class that is turned by 90, 180 or 270 degrees is one more class to train on; not where a "
        "turned image may be of another class, as 6 and 9 are",
    )
    input: PairInput = PairInput()

    SETTING = ("num_train", "images_a_class", "quarter_turns")

    @model_validator(mode="after")
    def _parts_leave_some(self) -> "PairData":
        if self.val_fraction + self.test_fraction > 0.9:
            message = (
                f"val_fraction ({self.val_fraction:g}) and test_fraction ({self.test_fraction:g}) leave less than a "
                "tenth to train on; lower them"
            )
            raise linked_fault(message, "data.val_fraction", "data.test_fraction")
        return self

    @property
    def place(self) -> Path | None:
        """The one place of the data; None where none is named.

        Raises:
            RequestError: Several are, or a URL cannot be fetched from.
        """
        if len(self.roots) > 1:
            raise RequestError(f"Pairs come from one place, and {len(self.roots)} are named: give one --data-root.")
        return local_path(self.roots[0], "data.root") if self.roots else None

    def wanted(self, part: str) -> int | None:
        """How many pairs a part is to have, where that is said."""
        return {"train": self.num_train, "val": self.num_val, "test": self.num_test}[part]

    @classmethod
    def quick(cls, limits: Mapping[str, int]) -> dict[str, int]:
        # Pairs are small, and few of them show nothing.
        return {"num_train": max(limits["train"], 2000), "num_val": limits["val"], "num_test": limits["val"]}


DATA = PairData

"""What fits is kept, in float32 where it can be, and the decision is written down."""

from pathlib import Path
from typing import Any

import pytest
from small_shards import PIXELS, make_shard

from spectral_search.spec.load import load_spec
from spectral_search.spec.run import RunSpec
from spectral_search.spec.search import Reader, ResourcesSpec
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.split import Selection, Splits, make_splits
from spectral_search.tasks.spectra.training import residency
from spectral_search.tasks.spectra.training.residency import (
    HOST_SHARE,
    Room,
    decide_residency,
    loads_on_ray,
    reads_on_ray,
    tell_reader,
)

FLOAT32 = 2 * 4 * PIXELS * 64


@pytest.fixture
def splits(tmp_path: Path) -> Splits:
    """64 training spectra."""
    make_shard(tmp_path / "train/dataset.h5", 64)
    make_shard(tmp_path / "val/dataset.h5", 16)
    return make_splits(DataRoot.find(tmp_path), spec_with().data)


def spec_with(**data: Any) -> RunSpec:
    return load_spec("step1").override(
        {"data.num_train": None, **{f"data.{key}": value for key, value in data.items()}}
    )


def decided(splits: Splits, room: Room, **data: Any) -> tuple[str, str, str]:
    spec, told = decide_residency(spec_with(**data), splits, room)
    return spec.data.residency, spec.data.stored_as, told


@pytest.mark.parametrize(
    ("fits", "asked", "expected"),
    [
        (1.0, {}, ("resident", "float32")),
        (0.99, {}, ("resident", "float16")),
        (0.49, {}, ("stream", "float32")),
        (0.99, {"stored_as": "float32"}, ("stream", "float32")),
        (2.0, {"stored_as": "float16"}, ("resident", "float16")),
        (0.49, {"residency": "resident"}, ("resident", "float16")),
        (2.0, {"residency": "stream"}, ("stream", "float32")),
    ],
)
def test_float32_if_it_fits_else_float16_else_streamed(
    splits: Splits, fits: float, asked: dict[str, str], expected: tuple[str, str]
) -> None:
    """`fits` is the room for spectra in units of what they take as float32."""
    residency, stored_as, told = decided(splits, Room(int(fits * FLOAT32 / HOST_SHARE) + 1), **asked)
    assert (residency, stored_as) == expected
    assert told.startswith("64 training spectra take ")
    assert ("kept in memory as float16" in told) == (expected == ("resident", "float16"))
    assert ("as data.residency says" in told) == ("residency" in asked)


@pytest.mark.parametrize(("gpu", "stored_as"), [(1.0, "float32"), (0.9, "float16"), (0.4, "float32")])
def test_float16_is_taken_where_it_lets_the_set_fit_the_gpu(splits: Splits, gpu: float, stored_as: str) -> None:
    assert decided(splits, Room(1 << 40, gpu * FLOAT32))[:2] == ("resident", stored_as)


def test_a_resumed_run_does_not_change_its_mind(splits: Splits) -> None:
    first, _ = decide_residency(spec_with(), splits, Room(int(0.6 * FLOAT32 / HOST_SHARE)))
    again, _ = decide_residency(first, splits, Room(1 << 40))
    assert again.data == first.data
    assert first.fixed({}).data.stored_as == "auto"


@pytest.mark.parametrize(
    ("reader", "compression", "expected", "why"),
    [
        ("auto", None, False, "by a thread of the process that trains (they are not compressed)"),
        ("auto", "gzip", True, "by processes of Ray Data (they are compressed)"),
        ("ray", None, True, "by processes of Ray Data (as resources.reader says)"),
        ("thread", "gzip", False, "by a thread of the process that trains (as resources.reader says)"),
    ],
)
def test_processes_read_what_must_be_decompressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: Reader, compression: str | None, expected: bool, why: str
) -> None:
    make_shard(tmp_path / "train_0/dataset.h5", 16)
    make_shard(tmp_path / "train_1/dataset.h5", 16, compression=compression)
    selection, resources = Selection.all_of(DataRoot.find(tmp_path).train), ResourcesSpec(reader=reader)
    assert reads_on_ray(resources, selection) == expected
    assert why in tell_reader(resources, selection)
    assert not loads_on_ray(resources, selection), "too little to start readers for"
    monkeypatch.setattr(residency, "SMALL_BYTES", 0)
    assert loads_on_ray(resources, selection) == expected

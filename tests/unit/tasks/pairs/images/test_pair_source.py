"""What pairs are made of, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_pairs import drawings, pair_arrays, write_folders, write_zip

from spectral_search.errors import RequestError
from spectral_search.tasks.pairs.images.image_splits import content_ids
from spectral_search.tasks.pairs.images.pair_part import PairPart
from spectral_search.tasks.pairs.images.pair_source import FoundPairs, find_pairs
from spectral_search.tasks.pairs.section import PairData


def found(root: Path, **keys: Any) -> FoundPairs:
    return find_pairs(PairData(root=str(root), **keys))


def shown(part: PairPart) -> set[str]:
    """The classes of a part."""
    assert part.class_M is not None
    return {part.names[label] for label in part.class_M}


def images_of(part: PairPart) -> set[bytes]:
    return {row.tobytes() for row in part.images_MP}


def require_pairs(part: PairPart) -> None:
    """Half of the pairs show one class, no image is paired with itself, and labels are true."""
    assert part.class_M is not None
    first_N, second_N = part.class_M[part.first_N], part.class_M[part.second_N]
    assert np.array_equal(first_N == second_N, part.same_N == 1.0)
    assert abs(part.same_N.mean() - 0.5) <= 0.5 / len(part)
    assert not (part.first_N == part.second_N).any()


def test_digits_are_there_without_any_data() -> None:
    digits = find_pairs(PairData(num_train=400, num_val=100))
    assert {name: len(part) for name, part in digits.parts.items()} == {"train": 400, "val": 100, "test": 4000}
    assert digits.data.size == 8 and digits.data.split_by == "image"
    for part in digits.parts.values():
        require_pairs(part)
        assert shown(part) == set("0123456789")
    named = find_pairs(PairData(root="digits", num_train=400, num_val=100))
    assert [part.sha256() for part in named.parts.values()] == [part.sha256() for part in digits.parts.values()]


def test_no_image_is_in_two_parts(tmp_path: Path) -> None:
    for by in ("image", "class"):
        parts = found(write_folders(tmp_path, 12), split_by=by).parts
        sets = [images_of(part) for part in parts.values()]
        assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])
    apart = [shown(part) for part in parts.values()]
    assert not (apart[0] & apart[1] or apart[0] & apart[2] or apart[1] & apart[2])


def test_many_classes_are_split_by_class(tmp_path: Path) -> None:
    few, many = (found(write_folders(tmp_path / str(count), count, 6)) for count in (8, 24))
    assert (few.data.split_by, many.data.split_by) == ("image", "class")


def test_a_zip_is_read_like_its_folder(tmp_path: Path) -> None:
    folder = write_folders(tmp_path / "shapes")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "._0000.png").write_bytes(b"none")
    zipped = found(write_zip(tmp_path / "shapes.zip", folder))
    unpacked = found(folder)
    assert zipped.parts["train"].images_MP.shape == unpacked.parts["train"].images_MP.shape
    assert [part.sha256() for part in zipped.parts.values()] == [part.sha256() for part in unpacked.parts.values()]


def test_an_image_that_is_there_twice_is_in_one_part(tmp_path: Path) -> None:
    write_folders(tmp_path, 12)
    one = next(tmp_path.rglob("*.png")).read_bytes()
    for folder in {path.parent for path in tmp_path.rglob("*.png")}:
        (folder / "copy.png").write_bytes(one)
    parts = found(tmp_path, split_by="class")
    sets = [images_of(part) for part in parts.parts.values()]
    assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])
    assert "equal one of another part" in parts.notes[0]


def test_folders_may_say_their_parts(tmp_path: Path) -> None:
    for part, seed in (("train", 4), ("val", 3), ("test", 2)):
        write_folders(tmp_path / part, seed, 5, top=part)
    parts = found(tmp_path).parts
    assert {name: len(shown(part)) for name, part in parts.items()} == {"train": 4, "val": 3, "test": 2}


def test_quarter_turns_are_classes_of_training_alone(tmp_path: Path) -> None:
    plain, turned = (found(write_folders(tmp_path), quarter_turns=turns).parts for turns in (False, True))
    assert len(shown(turned["train"])) == 4 * len(shown(plain["train"]))
    assert shown(turned["val"]) == shown(plain["val"])
    require_pairs(turned["train"])
    side = plain["train"].side
    first = plain["train"].images_MP[0].reshape(side, side)
    assert np.rot90(first).tobytes() in images_of(turned["train"])


def test_images_of_any_size_become_squares(tmp_path: Path) -> None:
    images_MHW, class_M = drawings(3, 10, 20)
    for row, (image, label) in enumerate(zip(images_MHW, class_M, strict=True)):
        (tmp_path / str(label)).mkdir(exist_ok=True)
        Image.fromarray(image[: 20 - row % 2]).convert("RGB").save(tmp_path / str(label) / f"{row}.bmp")
    for size, side in ((None, 20), (8, 8)):
        assert found(tmp_path, size=size).parts["val"].side == side


def save(root: Path, name: str = "pairs.npz", **arrays: Any) -> Path:
    root.mkdir(exist_ok=True)
    np.savez(root / name, **arrays)
    return root / name


def test_pairs_of_one_file_are_shared_out(tmp_path: Path) -> None:
    arrays = pair_arrays(80)
    renamed = {"left": arrays["xa"], "right": arrays["xb"], "equal": arrays["y"]}
    plain = found(save(tmp_path, **arrays))
    named = found(save(tmp_path, "named.npz", **renamed), first="left", second="right", label="equal")
    assert [part.sha256() for part in named.parts.values()] == [part.sha256() for part in plain.parts.values()]
    sizes = {name: len(part) for name, part in plain.parts.items()}
    assert sizes == {"train": 56, "val": 12, "test": 12} and not plain.notes


def test_pairs_that_share_images_keep_them_in_one_part(tmp_path: Path) -> None:
    images_MHW, class_M = drawings(4, 20)
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 80, (2, 900))
    plain = found(save(tmp_path, xa=images_MHW[first], xb=images_MHW[second], y=class_M[first] == class_M[second]))
    sets = [images_of(part) for part in plain.parts.values()]
    assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])
    assert "pairs are left out" in plain.notes[0]


def test_a_folder_of_pairs_keeps_its_parts(tmp_path: Path) -> None:
    for name, seed, count in (("train", 0, 60), ("val", 1, 20), ("test_public", 2, 24)):
        save(tmp_path, f"{name}.npz", **pair_arrays(count, seed=seed))
    parts = found(tmp_path, num_train=30).parts
    assert {name: len(part) for name, part in parts.items()} == {"train": 30, "val": 20, "test": 24}


def test_images_in_two_given_parts_are_told_of(tmp_path: Path) -> None:
    for name in ("train", "val"):
        save(tmp_path, f"{name}.npz", **pair_arrays(20))
    assert "40 images are in two of train, val and test" in found(tmp_path).notes[0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda held: held | {"y": held["y"][:-1]}, "must be of one length, found xa 20, xb 20, y 19"),
        (lambda held: held | {"xa": held["xa"].astype("S4")}, "xa of .* must hold numbers, found |S4"),
        (lambda held: held | {"xa": held["xa"][:, :, :-1]}, "must hold square grey images"),
        (lambda held: held | {"xa": held["xa"][:, :6, :6]}, "must hold images of one size"),
        (lambda held: held | {"xb": held["xb"] - 300.0}, "must hold pixels from 0 to 255"),
        (lambda held: held | {"xb": np.full((20, 12, 12), np.nan)}, "must hold pixels from 0 to 255"),
        (lambda held: held | {"y": held["y"] + 1}, "must be 1 where both images show the same and else 0, found 2"),
        (lambda held: held | {"y": np.ones(20)}, "both 0 and 1 are needed"),
        (lambda held: held | {"y": held["y"].astype(str)}, "must hold a number for each pair"),
        (lambda held: {"xa": held["xa"], "x2": held["xb"]}, "has no xb and no y; it has xa, x2"),
        (lambda held: held | {"y": held["y"].astype(object)}, "cannot be read as .npz"),
        (lambda held: {name: array[:0] for name, array in held.items()}, "holds no pairs"),
        (lambda held: {name: array[:6] for name, array in held.items()}, "four pairs or more"),
    ],
)
def test_arrays_that_are_no_pairs_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]], told: str
) -> None:
    with pytest.raises(RequestError, match=told) as refused:
        found(save(tmp_path, **change(pair_arrays(20))))
    assert len(refused.value.faults) == 1


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda root: write_folders(root, 1), "holds one class, shape00"),
        (lambda root: write_folders(root, 3, 3), "has too few images for"),
        (lambda root: root.mkdir(exist_ok=True), "holds no images"),
        (lambda root: (write_folders(root) / "loose.png").write_bytes(b"x"), "loose.png cannot be read"),
        (lambda root: Image.new("L", (4, 4)).save(write_folders(root) / "loose.png"), "lies in no folder of a class"),
    ],
)
def test_folders_that_make_no_pairs_are_refused(tmp_path: Path, make: Callable[[Path], Any], told: str) -> None:
    make(tmp_path)
    with pytest.raises(RequestError, match=told) as refused:
        found(tmp_path)
    assert len(refused.value.faults) == 1


def test_places_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    (tmp_path / "broken.npz").write_bytes(b"none")
    (tmp_path / "broken.zip").write_bytes(b"none")
    save(tmp_path / "half", "val.npz", **pair_arrays(20))
    for name, told in (
        ("gone", "does not exist"),
        ("notes.txt", "is neither a .zip of images nor an .npz"),
        ("broken.npz", "cannot be read as .npz"),
        ("broken.zip", "cannot be read"),
        ("half", "holds val.npz and no train.npz"),
    ):
        with pytest.raises(RequestError, match=told):
            found(tmp_path / name)
    with pytest.raises(RequestError, match="2 are named"):
        find_pairs(PairData(root=["a", "b"]))


def test_equal_images_have_one_number() -> None:
    ids = content_ids(np.array([[1, 2], [3, 4], [1, 2]], np.uint8))
    assert ids[0] == ids[2] != ids[1]

"""Bounds of what is read: nothing is unpacked that could fill a memory."""

import zipfile
from pathlib import Path

import pytest
from PIL import Image
from small_pairs import write_folders, write_zip

from spectral_search.errors import RequestError
from spectral_search.tasks.pairs.images import image_files
from spectral_search.tasks.pairs.images.image_files import class_images


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "bomb.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/0.png", bytes(image_files.MOST_FILE_BYTES + 1))
    assert file.stat().st_size < 1e6
    with pytest.raises(RequestError, match=r"a/0.png takes 33,554,433 bytes unpacked, more than 32 MiB"):
        class_images(file, None)


def test_an_archive_that_lies_about_sizes_is_no_way_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_zip(tmp_path / "shapes.zip", write_folders(tmp_path / "shapes", 2, 2))
    monkeypatch.setattr(image_files, "MOST_FILE_BYTES", 20)
    monkeypatch.setattr(zipfile.ZipInfo, "file_size", property(lambda self: 1, lambda self, value: None), raising=False)
    with pytest.raises(RequestError, match=r"more than|cannot be read"):
        class_images(file, None)


def test_an_image_with_too_many_pixels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.new("1", (5000, 4000)).save(tmp_path / "a" / "0.png")
    with pytest.raises(RequestError, match="has 5000 x 4000 pixels"):
        class_images(tmp_path, 28)


def test_a_file_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "MOST_FILE_BYTES", 10)
    with pytest.raises(RequestError, match="bytes unpacked, more than"):
        class_images(write_folders(tmp_path, 2, 2), None)


def test_more_than_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "MOST_BYTES", 4 * 512 * 512 - 1)
    with pytest.raises(RequestError, match="4 images of 512 x 512 pixels take more than"):
        class_images(write_folders(tmp_path, 2, 2), 512)


def test_large_images_are_made_smaller_and_small_ones_are_not(tmp_path: Path) -> None:
    assert class_images(write_folders(tmp_path / "small", 2, 2, 64), None).images_MP.shape[1] == 64**2
    assert class_images(write_folders(tmp_path / "large", 2, 2, 80), None).images_MP.shape[1] == 32**2

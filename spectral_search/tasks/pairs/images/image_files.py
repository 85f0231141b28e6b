"""Images in folders, one a class, of a directory or of a zip that is read as it lies.

A class is the folder that an image lies in, whatever the folders around it: `Futurama/character01/0001_01.png`.
"""

import os.path
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.tasks.pairs.images.pixels import decoded

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
_MOST_FILES = 1_000_000
MOST_FILE_BYTES = 32 * 2**20
"""Of one image file, unpacked."""
MOST_BYTES = 4 * 2**30
"""Of all images as networks see them."""
_SMALL_SIDE, _USUAL_SIDE = 64, 32
"""Images up to the one are taken as they are, others brought to the other, where nothing is said."""
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class ClassImages:
    """Images with what they show.

    Attributes:
        images_MP: uint8, square, row by row.
        class_M: Numbers of classes, int32.
        names: Of the classes.
        part_M: The part that each is set apart for, an index of PARTS; None where no part is named.
    """

    images_MP: np.ndarray
    class_M: np.ndarray
    names: tuple[str, ...]
    part_M: np.ndarray | None = None


def class_images(place: Path, size: int | None) -> ClassImages:
    """The images of a folder or a zip; folders train, val and test at its top set parts of them apart.

    Raises:
        RequestError: There are none, one cannot be read, or they are of several sizes and none is asked for.
    """
    with _files(place) as (names, read):
        images = sorted(name for name in names if _is_image(name))
        if not images:
            raise RequestError(f"{place} holds no images ({', '.join(sorted(ENDINGS))}): give a folder for each class.")
        if len(images) > _MOST_FILES:
            raise RequestError(f"{place} holds {len(images):,} images, more than {_MOST_FILES:,}: give a part of them.")
        side = size or _side(read(images[0]), images[0])
        if len(images) * side * side > MOST_BYTES:
            raise RequestError(
                f"{len(images):,} images of {side} x {side} pixels take more than {MOST_BYTES // 2**30} GiB: set a "
                "smaller data.size, or give a part of them."
            )
        images_MP = np.empty((len(images), side * side), np.uint8)
        for row, name in enumerate(images):
            pixels = decoded(read(name), name, side)
            images_MP[row] = pixels.ravel()
    return _of_folders(place, images, images_MP)


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return path.suffix.lower() in ENDINGS and not hidden


def _side(content: bytes, name: str) -> int:
    """Of the images as networks see them, where no size is asked for: that of the first."""
    longest = max(decoded(content, name, None).shape)
    return longest if longest <= _SMALL_SIDE else _USUAL_SIDE


def _of_folders(place: Path, names: list[str], images_MP: np.ndarray) -> ClassImages:
    folders = [PurePosixPath(name).parent for name in names]
    part_M: np.ndarray | None = None
    tops = {folder.parts[0] if folder.parts else "" for folder in folders}
    # A class may be called test: they are parts only where nothing else lies beside them.
    if "train" in tops and tops <= set(PARTS):
        part_M = np.array([PARTS.index(folder.parts[0]) for folder in folders], np.int8)
        folders = [PurePosixPath(*folder.parts[1:]) for folder in folders]
    classes = sorted({str(folder) for folder in folders})
    if "." in classes:
        loose = next(name for name, folder in zip(names, folders, strict=True) if str(folder) == ".")
        raise RequestError(f"The image {loose} of {place} lies in no folder of a class: give a folder for each class.")
    number = {name: at for at, name in enumerate(classes)}
    class_M = np.array([number[str(folder)] for folder in folders], np.int32)
    # The folder that a zip or a root holds all the others in tells nothing of a class.
    around = os.path.commonpath([str(PurePosixPath(name).parent) for name in classes])
    return ClassImages(
        images_MP, class_M, tuple(str(PurePosixPath(name).relative_to(around)) for name in classes), part_M
    )


@contextmanager
def _files(place: Path) -> Iterator[tuple[list[str], Callable[[str], bytes]]]:
    """The names of all files below a place, and what reads one."""
    if place.is_dir():

        def read(name: str) -> bytes:
            file = place / name
            if (found := file.stat().st_size) > MOST_FILE_BYTES:
                raise _too_long(name, found)
            return file.read_bytes()

        yield [path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()], read
        return
    try:
        with zipfile.ZipFile(place) as archive:

            def unpacked(name: str) -> bytes:
                if (said := archive.getinfo(name).file_size) > MOST_FILE_BYTES:
                    raise _too_long(name, said)
                with archive.open(name) as file:
                    content = file.read(MOST_FILE_BYTES + 1)  # whatever the archive says of itself
                if len(content) > MOST_FILE_BYTES:
                    raise _too_long(name, len(content))
                return content

            yield [entry.filename for entry in archive.infolist() if not entry.is_dir()], unpacked
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise RequestError(f"The zip {place} cannot be read ({error}): copy it anew.") from None


def _too_long(name: str, found: int) -> RequestError:
    return RequestError(
        f"The image {name} takes {found:,} bytes unpacked, more than {MOST_FILE_BYTES // 2**20} MiB: leave it out."
    )

"""Small data of pairs: drawings of shapes in folders, zips and arrays."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def drawings(classes: int, each: int, side: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 of shape (M, H, W), whose class is the pattern below their noise, and classes (M,)."""
    rng = np.random.default_rng(seed)
    patterns = rng.integers(0, 2, (classes, side // 2, side // 2)).repeat(2, 1).repeat(2, 2) * 160
    class_M = np.repeat(np.arange(classes), each)
    return (patterns[class_M] + rng.integers(0, 90, (len(class_M), side, side))).astype(np.uint8), class_M


def write_folders(root: Path, classes: int = 6, each: int = 10, side: int = 12, top: str = "drawn") -> Path:
    """A folder a class below folders of families of them."""
    images_MHW, class_M = drawings(classes, each, side)
    for row, (image, label) in enumerate(zip(images_MHW, class_M, strict=True)):
        folder = root / f"{top}{label % 2}" / f"shape{label:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{row:04d}.png")
    return root


def write_zip(file: Path, folder: Path) -> Path:
    """A folder as a zip."""
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder.parent))
    return file


def pair_arrays(pairs: int = 80, side: int = 12, seed: int = 0, classes: int = 5) -> dict[str, Any]:
    """Arrays xa, xb and y, no image in two pairs."""
    images_MHW, class_M = drawings(classes, 2 * pairs, side, seed)
    rng = np.random.default_rng(seed)
    own = {label: list(rng.permutation(np.flatnonzero(class_M == label))) for label in range(classes)}
    y_N = np.arange(pairs) % 2
    rows = []
    for at, same in enumerate(y_N):
        label = at % classes
        rows.append((own[label].pop(), own[label if same else (label + 1) % classes].pop()))
    first, second = np.array(rows).T
    return {"xa": images_MHW[first], "xb": images_MHW[second], "y": y_N}

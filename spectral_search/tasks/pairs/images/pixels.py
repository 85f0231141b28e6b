"""Images to square grey pixels, uint8.

Shape suffixes: N images, H rows, W columns, P = side x side pixels of an image, row by row.
"""

import io
import warnings
from math import isqrt

import numpy as np
from PIL import Image, UnidentifiedImageError

from spectral_search.errors import RequestError

_MOST_PIXELS = 4096 * 4096
"""Of a file before it is made smaller: more is no picture of one thing but a mistake, or a bomb."""
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B")


def decoded(content: bytes, name: str, side: int | None) -> np.ndarray:
    """An image file as grey uint8 of shape (side, side), or (H, W) as it is.

    Transparent parts are white, and what is no square is put in the middle of one, between its most common border.

    Raises:
        RequestError: It is no image, a damaged one, or larger than any picture of one thing.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is looked at here
            image = Image.open(io.BytesIO(content))
        width, height = image.size
        # Until pixels are asked for, Pillow has read the header alone: nothing is unpacked yet.
        if width * height > _MOST_PIXELS:
            raise RequestError(f"The image {name} has {width} x {height} pixels, more than 4096 x 4096: leave it out.")
        grey = _grey(image)
    except RequestError:
        raise
    except UnidentifiedImageError:  # whose own words name a buffer
        raise RequestError(
            f"The image {name} cannot be read (no kind of image begins so): repair it, or leave it out."
        ) from None
    except Exception as error:  # what a damaged file does to a decoder is nobody's promise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RequestError(f"The image {name} cannot be read ({reason}): repair it, or leave it out.") from None
    return np.asarray(grey) if side is None else _brought_to(grey, side)


def _grey(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BITS:
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        layers = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), layers)
    return image.convert("L")


def _brought_to(grey: Image.Image, side: int) -> np.ndarray:
    if grey.width != grey.height:
        pixels_HW = np.asarray(grey)
        border = np.concatenate([pixels_HW[0], pixels_HW[-1], pixels_HW[:, 0], pixels_HW[:, -1]])
        square = Image.new("L", (max(grey.size),) * 2, int(np.bincount(border).argmax()))
        square.paste(grey, ((square.width - grey.width) // 2, (square.height - grey.height) // 2))
        grey = square
    return np.asarray(grey if grey.width == side else grey.resize((side, side), Image.Resampling.BILINEAR))


def resized(images_NP: np.ndarray, side: int) -> np.ndarray:
    """Square images in another size."""
    before = isqrt(images_NP.shape[1])
    if before == side:
        return images_NP
    squares = (Image.fromarray(row_P.reshape(before, before)) for row_P in images_NP)
    return np.stack([_brought_to(square, side).ravel() for square in squares])


def square_pixels(array: np.ndarray, name: str) -> np.ndarray:
    """An array of grey images as uint8 of shape (N, P).

    Numbers from 0 to 1 that are no integers, and booleans, are stretched over 0 to 255.

    Raises:
        RequestError: It holds no square images, or no numbers from 0 to 255.
    """
    shape = tuple(length for axis, length in enumerate(array.shape) if axis not in (1, array.ndim - 1) or length != 1)
    if array.dtype.kind not in "buif":
        raise RequestError(f"{name} must hold numbers, found {array.dtype}: give pixels from 0 to 255, or from 0 to 1.")
    side = shape[1] if len(shape) == 3 else isqrt(shape[1]) if len(shape) == 2 else 0
    if len(shape) not in (2, 3) or side < 2 or (shape[2] if len(shape) == 3 else shape[1] // side) != side:
        raise RequestError(
            f"{name} must hold square grey images, of shape (N, H, H) or (N, H x H), found {array.shape}: pad them."
        )
    if len(shape) == 2 and side * side != shape[1]:
        raise RequestError(
            f"{name} must hold square images, found {shape[1]} pixels a row, which is no square: pad them."
        )
    values_NP = array.reshape(len(array), side * side)
    if values_NP.dtype == np.uint8:
        return np.ascontiguousarray(values_NP)
    if not len(values_NP):
        return values_NP.astype(np.uint8)
    low, high = float(values_NP.min()), float(values_NP.max())
    if not (low >= 0.0 and high <= 255.0):
        raise RequestError(
            f"{name} must hold pixels from 0 to 255, or from 0 to 1, found {low:g} to {high:g}: scale them."
        )
    stretched = values_NP.dtype.kind == "b" or (values_NP.dtype.kind == "f" and high <= 1.0)
    return np.rint(values_NP * 255.0 if stretched else values_NP).astype(np.uint8)

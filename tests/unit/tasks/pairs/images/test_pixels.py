"""Images of any kind to grey pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from spectral_search.errors import RequestError
from spectral_search.tasks.pairs.images.pixels import decoded, resized, square_pixels

GREY_HW = (np.arange(64).reshape(8, 8) * 4).astype(np.uint8)


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    held = io.BytesIO()
    image.save(held, kind)
    return held.getvalue()


def test_grey_comes_back_as_it_was() -> None:
    assert np.array_equal(decoded(encoded(Image.fromarray(GREY_HW)), "a", None), GREY_HW)
    assert np.array_equal(decoded(encoded(Image.fromarray(GREY_HW)), "a", 8), GREY_HW)
    assert decoded(encoded(Image.fromarray(GREY_HW)), "a", 5).shape == (5, 5)


def test_sixteen_bits_keep_the_upper_eight() -> None:
    deep = Image.fromarray(GREY_HW.astype(np.uint16) * 256)
    assert np.array_equal(decoded(encoded(deep), "a", None), GREY_HW)


def test_what_is_transparent_is_white() -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    clear.putpixel((1, 1), (0, 0, 0, 255))
    pixels = decoded(encoded(clear), "a", None)
    assert pixels[1, 1] == 0 and (pixels == 255).sum() == 15


def test_what_is_no_square_lies_in_the_middle_of_one() -> None:
    wide = np.full((2, 6), 200, np.uint8)
    wide[:, 2] = 10
    pixels = decoded(encoded(Image.fromarray(wide)), "a", 6)
    assert np.array_equal(pixels[2:4], wide) and (pixels[[0, 1, 4, 5]] == 200).all()


@pytest.mark.parametrize("content", [b"", b"none", encoded(Image.effect_noise((30, 30), 90.0))[:400]])
def test_what_is_no_image_is_refused(content: bytes) -> None:
    with pytest.raises(RequestError, match=r"The image a.png cannot be read [(][^<]*[)]: repair it"):
        decoded(content, "a.png", None)


@pytest.mark.parametrize(
    "array",
    [
        GREY_HW[None],
        GREY_HW.reshape(1, 64),
        GREY_HW[None, :, :, None],
        GREY_HW[None, None],
        GREY_HW[None].astype(float),
    ],
)
def test_arrays_of_every_usual_shape_are_images(array: np.ndarray) -> None:
    assert np.array_equal(square_pixels(array, "x"), GREY_HW.reshape(1, 64))


def test_fractions_and_truths_are_stretched() -> None:
    assert square_pixels(np.array([[[0.0, 1.0], [0.5, 0.2]]]), "x").tolist() == [[0, 255, 128, 51]]
    assert square_pixels(np.array([[[True, False], [False, True]]]), "x").tolist() == [[255, 0, 0, 255]]


def test_a_change_of_size_keeps_what_is_flat() -> None:
    assert (resized(np.full((2, 64), 7, np.uint8), 5) == 7).all()

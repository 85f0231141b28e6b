"""Scikit-learn's digits, 1,797 images of 8 x 8: what is there where no data are named."""

import numpy as np

from spectral_search.tasks.pairs.images.image_files import ClassImages

_STEPS = 16
"""Of grey in the images."""


def digit_images() -> ClassImages:
    """All of them, each digit a class."""
    from sklearn.datasets import load_digits

    images_MP, class_M = load_digits(return_X_y=True)
    grey_MP = np.rint(images_MP * (255.0 / _STEPS)).astype(np.uint8)
    return ClassImages(grey_MP, class_M.astype(np.int32), tuple(str(digit) for digit in range(10)))

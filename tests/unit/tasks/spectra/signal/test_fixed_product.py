"""Products with a fixed matrix, by either library."""

import numpy as np
import pytest
import torch

from spectral_search.tasks.spectra.signal.fixed_product import FixedProduct


@pytest.fixture(params=[True, False], ids=["oneDNN where it is there", "without it"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("rows", "values", "columns"), [(128, 4096, 9), (37, 515, 64), (1, 3, 1), (0, 5, 2), (4, 5, 0)]
)
def test_it_is_the_product(rows: int, values: int, columns: int) -> None:
    rng = np.random.default_rng(3)
    x_PL = rng.standard_normal((rows, values)).astype(np.float32)
    weight_LK = rng.standard_normal((values, columns)).astype(np.float32)
    with torch.no_grad():
        found_PK = FixedProduct(torch.from_numpy(weight_LK))(torch.from_numpy(x_PL)).numpy()
    assert found_PK.dtype == np.float32 and found_PK.shape == (rows, columns)
    size_PK = np.abs(x_PL.astype(float)) @ np.abs(weight_LK.astype(float))
    assert (np.abs(found_PK - x_PL.astype(float) @ weight_LK.astype(float)) <= 1e-6 * size_PK).all()

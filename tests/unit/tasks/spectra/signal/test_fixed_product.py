"""Products with a fixed matrix, by either library."""

import numpy as np
import pytest
import torch

from spectral_search.tasks.spectra.signal import fixed_product
from spectral_search.tasks.spectra.signal.fixed_product import FixedProduct


@pytest.fixture(params=["an Intel", "another with oneDNN", "another without"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fixed_product, "cpu_is_intel", lambda: request.param == "an Intel")
    if request.param == "another without":
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


@pytest.mark.parametrize("is_intel", [True, False])
def test_mkl_multiplies_on_an_intel_and_onednn_elsewhere(monkeypatch: pytest.MonkeyPatch, is_intel: bool) -> None:
    monkeypatch.setattr(fixed_product, "cpu_is_intel", lambda: is_intel)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    asked: list[str] = []
    linear = torch.nn.functional.linear

    def by_onednn(x_PL: torch.Tensor, weight_KL: torch.Tensor) -> torch.Tensor:
        asked.append(str(weight_KL.layout))
        return linear(x_PL, weight_KL)

    monkeypatch.setattr(torch.nn.functional, "linear", by_onednn)
    with torch.no_grad():
        FixedProduct(torch.ones(5, 3))(torch.ones(2, 5))
    assert asked == ([] if is_intel else ["torch._mkldnn"])

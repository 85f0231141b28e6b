"""Products of many rows with one matrix, in float32, by the library that multiplies such shapes fast on this CPU.

torch gives float32 matrices to MKL, which keeps to AVX2 on processors that are not Intel's. us for each of 128 spectra
of 4,096 pixels on one core (oneDNN, which torch brings as well, with its copies of the spectra):

                           9 columns: MKL  oneDNN    64 columns: MKL  oneDNN
    EPYC with AVX-512                 4.4     1.4                5.2     2.9
    Xeon with AVX-512                 1.1     2.8                3.4     5.4

The CPU's maker decides, not a timing: sums differ in their last digits, which must be the same from run to run.
Shape suffixes: P rows, L values of each, K columns.
"""

import torch

from spectral_search.train.cpu_formats import cpu_is_intel


class FixedProduct:
    """Callable x_PL -> x_PL times a fixed matrix, float32 (P, K), a new tensor; several threads may call it at once.

    Args:
        weight_LK: The columns, float32.
    """

    def __init__(self, weight_LK: torch.Tensor) -> None:
        # oneDNN refuses what is empty.
        self._by_onednn = not cpu_is_intel() and torch.backends.mkldnn.is_available() and weight_LK.numel() > 0
        # MKL takes a third longer with the matrix turned.
        self._weight = weight_LK.T.contiguous().to_mkldnn() if self._by_onednn else weight_LK.contiguous()

    def __call__(self, x_PL: torch.Tensor) -> torch.Tensor:
        if not self._by_onednn:
            return x_PL @ self._weight
        return torch.nn.functional.linear(x_PL.to_mkldnn(), self._weight).to_dense()

"""Matrix products whose numbers depend on nothing but their factors.

A BLAS cuts a product up by its whole shape and by the number of threads, and sums in another order when either changes;
training makes differences of hundredths out of such last digits. On a CPU products are therefore formed in tiles
of a fixed size, each by one thread: a network then computes the same, bit for bit, alone or beside others, on however
many cores.
Shape suffixes: K networks, M rows, N columns, I summed over.
"""

from itertools import product

import torch
from torch import Tensor

from spectral_search.models.threads import for_each

ROWS, COLUMNS = 256, 1024
"""Of a tile: the rows of one small network, and few enough columns that its products occupy several cores."""


def products(a_KMI: Tensor, b_KIN: Tensor, bias_KM: Tensor | None = None, out: torch.dtype | None = None) -> Tensor:
    """K products, plus a bias a row: (K, M, N).

    Args:
        a_KMI: Left factors.
        b_KIN: Right factors, or one of shape (I, N) for all K.
        bias_KM: Added to every column.
        out: Format of the result; that of the factors unless given.
    """
    if a_KMI.device.type != "cpu":
        return _at_once(a_KMI, b_KIN, bias_KM).to(out or a_KMI.dtype)
    count, rows, columns = *a_KMI.shape[:2], b_KIN.shape[-1]
    c_KMN = a_KMI.new_empty(count, rows, columns, dtype=out)

    def form(tile: tuple[int, int, int]) -> None:
        k, row, column = tile
        m, n = slice(row, row + ROWS), slice(column, column + COLUMNS)
        a_MI, b_IN = a_KMI[k, m], b_KIN[..., n] if b_KIN.ndim == 2 else b_KIN[k, :, n]
        if bias_KM is not None:
            affine_tile(a_MI, b_IN, bias_KM[k, m], c_KMN[k, m, n])
        elif c_KMN.dtype == a_KMI.dtype:
            torch.mm(a_MI, b_IN, out=c_KMN[k, m, n])
        else:
            # `torch.mm` writes to no other format than that of its factors.
            c_KMN[k, m, n] = a_MI @ b_IN

    # Columns outermost: threads at work on the same columns find them in the cache that they share.
    tiles = product(range(0, columns, COLUMNS), range(count), range(0, rows, ROWS))
    for_each(form, [(k, row, column) for column, k, row in tiles])
    return c_KMN


def affine_tile(a_MI: Tensor, b_IN: Tensor, bias_M: Tensor, c_MN: Tensor) -> None:
    """Write a tile of a product, plus a bias a row, to c.

    In float32 the bias is added to what was summed, once, which whoever has more to do to every value can do in the
    same pass. In narrower formats it must be added before the sum is rounded.
    """
    if c_MN.dtype == torch.float32:
        torch.mm(a_MI, b_IN, out=c_MN).add_(bias_M.unsqueeze(1))
    else:
        torch.addmm(bias_M.unsqueeze(1), a_MI, b_IN, out=c_MN)


def _at_once(a_KMI: Tensor, b_KIN: Tensor, bias_KM: Tensor | None) -> Tensor:
    """One product where there is one right factor, else a batch of them."""
    if b_KIN.ndim == 2:
        a_RI = a_KMI.flatten(0, 1)
        c_RN = a_RI @ b_KIN if bias_KM is None else torch.addmm(bias_KM.reshape(-1, 1), a_RI, b_KIN)
        return c_RN.view(*a_KMI.shape[:2], -1)
    return torch.bmm(a_KMI, b_KIN) if bias_KM is None else torch.baddbmm(bias_KM.unsqueeze(2), a_KMI, b_KIN)

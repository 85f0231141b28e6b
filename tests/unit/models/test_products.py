"""Products are those of torch, and the same bit for bit whatever is formed beside them and on however many threads."""

from collections.abc import Iterator
from threading import get_ident

import pytest
import torch

from spectral_search.models.products import COLUMNS, ROWS, products
from spectral_search.models.threads import for_each

SHAPES = [(3, 5, 7, 11), (2, ROWS + 20, 64, COLUMNS + 9), (1, 2 * ROWS, 96, 3 * COLUMNS)]
"""K, M, I, N."""


@pytest.fixture(autouse=True)
def threads_restored() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def factors(k: int, m: int, i: int, n: int, kind: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    rng = torch.Generator().manual_seed(1)
    return tuple(torch.randn(shape, generator=rng).to(kind) for shape in ((k, m, i), (k, i, n), (k, m)))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products_are_those_of_torch(shape: tuple[int, int, int, int]) -> None:
    a_KMI, b_KIN, bias_KM = factors(*shape)
    torch.testing.assert_close(products(a_KMI, b_KIN), a_KMI @ b_KIN)
    torch.testing.assert_close(products(a_KMI, b_KIN, bias_KM), a_KMI @ b_KIN + bias_KM.unsqueeze(2))
    torch.testing.assert_close(products(a_KMI, b_KIN[0], bias_KM), a_KMI @ b_KIN[0] + bias_KM.unsqueeze(2))
    wide_KMN = products(a_KMI.bfloat16(), b_KIN.bfloat16(), out=torch.float32)
    assert wide_KMN.dtype == torch.float32
    torch.testing.assert_close(wide_KMN, a_KMI @ b_KIN, rtol=0.05, atol=0.5)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
def test_a_product_does_not_depend_on_company_or_threads(kind: torch.dtype) -> None:
    """With 1,536 summed over and tiles of their own, BLAS alone gives other last digits for several of these."""
    a_KMI, b_KIN, bias_KM = factors(5, ROWS, 1536, 2 * COLUMNS + 32, kind)
    torch.set_num_threads(1)
    expected = [products(a_KMI[k : k + 1], b_KIN[0], bias_KM[k : k + 1])[0] for k in range(5)]
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        together_KMN = products(a_KMI, b_KIN[0], bias_KM)
        for k, alone_MN in enumerate(expected):
            assert torch.equal(together_KMN[k], alone_MN)
        assert torch.get_num_threads() == threads


def test_a_row_is_the_same_wherever_it_lies_in_a_tile() -> None:
    for kind in (torch.float32, torch.bfloat16):
        a_KMI, b_KIN, _ = factors(1, ROWS, 1536, COLUMNS, kind)
        order_M = torch.randperm(ROWS, generator=torch.Generator().manual_seed(2))
        assert torch.equal(products(a_KMI[:, order_M], b_KIN), products(a_KMI, b_KIN)[:, order_M])


def test_every_thread_has_torch_for_itself_and_errors_come_through() -> None:
    torch.set_num_threads(3)
    seen: dict[int, tuple[int, int]] = {}
    for_each(lambda piece: seen.update({piece: (get_ident(), torch.get_num_threads())}), range(50))
    assert sorted(seen) == list(range(50))
    assert {count for _, count in seen.values()} == {1}
    assert get_ident() not in {thread for thread, _ in seen.values()}
    assert torch.get_num_threads() == 3
    with pytest.raises(ZeroDivisionError):
        for_each(lambda piece: piece // 0, [1])


@pytest.mark.parametrize("rows", [1, 2, 3, 16])
@pytest.mark.parametrize("columns", [4, 5, 33])
def test_a_product_does_not_depend_on_where_its_factors_lie(rows: int, columns: int) -> None:
    a_KMI, b_KIN, _ = factors(1, rows, 16, columns)
    found = [
        (products(at(a_KMI, offset), at(b_KIN, offset)), products(at(a_KMI, offset), at(b_KIN.mT, offset).mT))
        for offset in (0, 1, 2, 4, 8)
    ]
    for stored, turned in found[1:]:
        assert torch.equal(stored, found[0][0]) and torch.equal(turned, found[0][1])


def at(values: torch.Tensor, offset: int) -> torch.Tensor:
    """The same values so many floats after where torch would put them."""
    memory = values.new_empty(values.numel() + offset)
    memory[offset:] = values.flatten()
    return memory[offset:].view(values.shape)

"""The floors: what is multiplied and drawn, and that it takes time."""

from itertools import pairwise

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.fair_timing import best_seconds, threads
from benchmarks.step_floors import (
    bandwidth,
    component_seconds,
    mlp_products,
    noise_seconds,
    own_noise_seconds,
    product_seconds,
    traffic_seconds,
)

CPU = torch.device("cpu")
WIDTHS = (64, 16, 8, 1)


@pytest.mark.parametrize("members", [1, 3])
def test_the_products_are_those_of_a_training_step(members: int) -> None:
    """As many operations as torch's own autograd counts for the same networks."""
    with FlopCounterMode(display=False) as step:
        for _ in range(members):
            layers = [torch.nn.Linear(i, o) for i, o in pairwise(WIDTHS)]
            torch.nn.Sequential(*layers)(torch.randn(32, WIDTHS[0])).sum().backward()
    assert sum(product.flops for product in mlp_products(WIDTHS, 32, members)) == step.get_total_flops()


def test_floors_take_time() -> None:
    assert product_seconds(mlp_products(WIDTHS, 32, 2), "bfloat16", CPU) > 0
    assert noise_seconds(32, 64, CPU) > 0
    assert own_noise_seconds(40, 64, CPU) > 0
    assert bandwidth(CPU, 1 << 20) > 0


def test_the_best_of_several_rounds_counts_and_sides_take_turns() -> None:
    calls: list[str] = []
    first, second = best_seconds([lambda: calls.append("a"), lambda: calls.append("b")], 2)
    assert calls == ["a", "b", "a", "b", "a", "b"]
    assert 0 < first < 1 and 0 < second < 1


def test_threads_are_set_for_a_while() -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError), threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise RuntimeError
    assert torch.get_num_threads() == before


def test_a_step_on_components_has_a_floor_of_its_own() -> None:
    assert component_seconds(40, 8, 3, CPU) > 0
    assert 0 < traffic_seconds((8, 16, 1), 40, 3, "bfloat16", CPU) < 1

"""Attention over time and rows: what each part promises beyond the contract of all families."""

from typing import Any

import pytest
import torch
from torch import Tensor

from spectral_search.errors import RequestError
from spectral_search.models.build import build_model
from spectral_search.models.families.space_time_attention import SpaceTimeAttentionSpec
from spectral_search.models.input_fit import input_faults
from spectral_search.models.parameter_count import count_parameters
from spectral_search.models.space_time_network import Rotary, SpaceTimeAttention
from spectral_search.spec.run import RunSpec

ROWS, STEPS, CHANNELS = 5, 6, 3
SIZES = {"pixels": ROWS * STEPS, "channels": CHANNELS, "height": ROWS, "outputs": 2 * ROWS}
SMALL = {f"{over}_depth_{stage}": 1 for over in ("temporal", "spatial") for stage in (1, 2)}


def section(**keys: Any) -> SpaceTimeAttentionSpec:
    return SpaceTimeAttentionSpec(kind="space_time_attention", **{"embed_dim": 16, "heads": 4, **SMALL, **keys})


def built(**keys: Any) -> SpaceTimeAttention:
    torch.manual_seed(0)
    model = build_model(section(**keys), **SIZES).eval()
    assert isinstance(model, SpaceTimeAttention)
    return model


def inputs(count: int = 3) -> Tensor:
    return torch.randn(count, CHANNELS, ROWS * STEPS, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("fusion", ["gated", "concat", "cross_attn", "gated_residual", "adaptive"])
@pytest.mark.parametrize("positions", ["fixed", "learned", "relative", "rotary"])
def test_parameters_are_counted_in_closed_form(fusion: str, positions: str) -> None:
    keys = {"fusion": fusion, "positions": positions, "temporal_depth_2": 3, "feedforward": 3}
    counted = sum(weight.numel() for weight in built(**keys).parameters())
    assert counted == count_parameters(section(**keys), **SIZES)


def test_the_published_depths_are_those_of_the_stages() -> None:
    model = built(temporal_depth_1=1, spatial_depth_1=1, temporal_depth_2=3, spatial_depth_2=2)
    stages = model.encoder.stage, model.decoder
    assert [(len(stage.temporal), len(stage.spatial)) for stage in stages] == [(1, 1), (3, 2)]


@pytest.mark.parametrize("positions", ["fixed", "learned", "relative", "rotary"])
def test_the_order_of_time_matters(positions: str) -> None:
    model, x_BCL = built(positions=positions), inputs()
    turned_BCL = x_BCL.unflatten(-1, (ROWS, STEPS)).flip(-1).flatten(2)
    # The head reads steps side by side; attention itself is what is asked about here.
    model.head.mix.weight.data = (
        model.head.mix.weight.data.unflatten(1, (STEPS, -1))[:, :1].repeat(1, STEPS, 1).flatten(1)
    )
    assert not torch.allclose(model(x_BCL), model(turned_BCL), atol=1e-5)


def test_rows_are_known_from_each_other() -> None:
    model = built()
    one_BCL = inputs().unflatten(-1, (ROWS, STEPS))[:, :, :1].repeat(1, 1, ROWS, 1).flatten(2)
    answer_BSA = model(one_BCL).unflatten(1, (ROWS, 2))
    assert answer_BSA.std(1).min() > 0.0


def test_half_of_the_heads_look_at_near_rows_alone_where_data_say_which_are() -> None:
    model, x_BCL = built(adjacency="bias"), inputs()
    without = model(x_BCL)
    torch.testing.assert_close(without, built()(x_BCL))  # at zeros no row is nearer than another
    model.get_buffer("adjacency").copy_(torch.eye(ROWS))
    near_1HSS = model._near()
    assert near_1HSS is not None
    (near_HSS,) = near_1HSS
    assert (near_HSS[1::2] == 0.0).all() and (near_HSS[::2].diagonal(dim1=1, dim2=2) == 0.0).all()
    assert near_HSS[0, 0, 1] == pytest.approx(-4.605, abs=1e-3)
    assert not torch.allclose(model(x_BCL), without, atol=1e-5)
    assert "adjacency" in model.state_dict()  # goes with the weights into every export


def test_an_anchor_is_the_last_value_of_the_first_channel() -> None:
    x_BCL = inputs()
    last_BS = x_BCL.unflatten(-1, (ROWS, STEPS))[:, 0, :, -1]
    added_BSA = (built(anchor=True)(x_BCL) - built()(x_BCL)).unflatten(1, (ROWS, 2))
    torch.testing.assert_close(added_BSA, last_BS.unsqueeze(-1).expand(-1, -1, 2))


def test_rotary_products_go_by_the_steps_between() -> None:
    turn = Rotary(8, 10)
    q_L, k_L = (torch.randn(8).expand(10, 8) for _ in range(2))
    product_LL = turn(q_L) @ turn(k_L).T
    for apart in range(-3, 4):
        along = product_LL.diagonal(apart)
        torch.testing.assert_close(along, along[:1].expand_as(along), rtol=1e-4, atol=1e-4)
    assert product_LL.std() > 0.0


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"embed_dim": 18, "heads": 4}, "embed_dim 18 does not divide into 4 heads"),
        ({"embed_dim": 18, "heads": 6, "fusion": "cross_attn"}, "embed_dim 18 does not divide into 4 heads"),
        ({"embed_dim": 12, "heads": 4, "positions": "rotary"}, "a head of 3 numbers is odd"),
        ({"embed_dim": 15, "heads": 5}, "embed_dim 15 is odd"),
    ],
)
def test_impossible_networks_are_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        RunSpec.from_dict({"stage": "some", "model": {"kind": "space_time_attention", **keys}})


def test_outputs_that_rows_cannot_share_are_refused() -> None:
    (fault,) = input_faults(section(), pixels=ROWS * STEPS, height=ROWS, outputs=7)
    assert "answers each of 5 rows by itself or all of them together, and 7 outputs are neither" in fault

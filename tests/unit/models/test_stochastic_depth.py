"""Branches that are left out: how often, of which examples, and that nothing is shifted by it."""

import pytest
import torch

from spectral_search.errors import RequestError
from spectral_search.models.families.mlp import MlpSpec
from spectral_search.models.mlp_network import Mlp
from spectral_search.models.mlp_stack import MlpStack
from spectral_search.models.res_cnn_network import ResCnn
from spectral_search.models.stochastic_depth import StochasticDepth, depth_of
from spectral_search.models.vit_network import Vit
from spectral_search.spec.family import InputShape
from spectral_search.spec.run import RunSpec
from spectral_search.train.dropout import StepDropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_an_example_keeps_all_of_a_branch_or_nothing_and_its_mean_stays(p: float) -> None:
    torch.manual_seed(0)
    branch_BCL = torch.randn(20_000, 2, 3).add(1.0)
    made_BCL = StochasticDepth(p)(branch_BCL)
    kept_B = (made_BCL != 0.0).flatten(1).any(1)
    torch.testing.assert_close(made_BCL[kept_B], branch_BCL[kept_B] / (1.0 - p))
    assert (made_BCL[~kept_B] == 0.0).all()
    assert kept_B.float().mean() == pytest.approx(1.0 - p, abs=0.01)
    assert made_BCL.mean() == pytest.approx(1.0, abs=0.1)


def test_in_evaluation_it_is_not_there() -> None:
    branch_BCL = torch.randn(4, 2, 3)
    assert StochasticDepth(0.5).eval()(branch_BCL) is branch_BCL


def test_deeper_blocks_are_left_out_more_often_in_a_line() -> None:
    depths = [depth_of(0.2, block, 4) for block in range(4)]
    assert [depth.p for depth in depths if depth is not None] == pytest.approx([0.05, 0.1, 0.15, 0.2])
    assert depth_of(0.0, 3, 4) is None


@pytest.mark.parametrize(
    ("model", "build"),
    [
        ({"kind": "res_cnn", "channels": 8, "stem_channels": 8, "blocks": 2, "norm": "none"}, ResCnn),
        ({"kind": "vit", "patch": 8, "width": 8, "heads": 2, "layers": 2}, Vit),
        ({"kind": "mlp", "hidden": [8, 8], "residual": True}, Mlp),
    ],
    ids=["res_cnn", "vit", "mlp"],
)
def test_a_network_has_it_in_training_alone_and_draws_nothing_without(model: dict[str, object], build: type) -> None:
    networks, drawn = {}, {}
    x_BCL = torch.randn(6, 1, 64)
    for p in (0.0, 0.5):
        torch.manual_seed(1)
        section = RunSpec.from_dict({"stage": "some", "model": {**model, "stochastic_depth": p}}).model
        networks[p] = build(section, InputShape(64))
        drawn[p] = torch.randn(1)
    assert torch.equal(drawn[0.0], drawn[0.5])
    weights = [network.state_dict() for network in networks.values()]
    assert weights[0].keys() == weights[1].keys()
    assert torch.equal(networks[0.0](x_BCL), networks[0.0](x_BCL))
    torch.manual_seed(2)
    assert not torch.equal(networks[0.5](x_BCL), networks[0.5](x_BCL))
    torch.testing.assert_close(networks[0.5].eval()(x_BCL), networks[0.0].eval()(x_BCL))


def test_a_stack_leaves_branches_out_by_whole_examples() -> None:
    """Of a layer whose branch is 1 everywhere the mean over examples stays 1, and each has all of it or nothing."""
    networks = []
    for p in (0.5, 0.0):
        keys = {"kind": "mlp", "hidden": [8], "residual": True, "stochastic_depth": p}
        network = Mlp(MlpSpec.model_validate(keys), InputShape(8))
        torch.nn.init.zeros_(network.layers[0].linear.weight)  # type: ignore[union-attr,arg-type]
        torch.nn.init.ones_(network.layers[0].linear.bias)  # type: ignore[union-attr,arg-type]
        torch.nn.init.ones_(network.head.weight)
        torch.nn.init.zeros_(network.head.bias)
        networks.append(network)
    stack, x_BF = MlpStack(networks), torch.zeros(4000, 8)
    output_KB = stack.outputs(x_BF, StepDropout([1, 2], torch.device("cpu"))).detach()
    assert set(output_KB[0].tolist()) == {0.0, 16.0} and set(output_KB[1].tolist()) == {8.0}
    assert output_KB[0].mean() == pytest.approx(8.0, abs=0.5)


def test_without_a_residual_it_is_refused() -> None:
    with pytest.raises(RequestError, match="set residual to true, or stochastic_depth to 0"):
        RunSpec.from_dict({"stage": "some", "model": {"kind": "mlp", "hidden": [8], "stochastic_depth": 0.1}})

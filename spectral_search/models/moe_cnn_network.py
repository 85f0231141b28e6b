"""Mixtures of CNN experts, one for each bin of the labels.

Shape letters: B batch, C channels, L pixels, K experts.
"""

import torch
from torch import Tensor, nn

from spectral_search.models.cnn_network import Cnn
from spectral_search.models.families.moe_cnn import MoeCnnSpec
from spectral_search.models.layers import to_prediction
from spectral_search.spec.family import InputShape


class OracleMoeCnn(nn.Module):
    """Each example goes to the expert of its true bin: an upper bound, since new ones come without labels."""

    def __init__(self, spec: MoeCnnSpec, shape: InputShape) -> None:
        super().__init__()
        self.experts = nn.ModuleList(Cnn(spec.expert, shape) for _ in range(shape.bins))

    def forward(self, x_BCL: Tensor, bin_B: Tensor) -> Tensor:
        """Map (B, C, L) and the bins 0 to K-1 (B,) to the standardised target (B,).

        A bin outside the range gives NaN, never a guess.
        """
        # Only the chosen expert sees an example, so that the mixture costs as much as one CNN. The autocast type
        # of the experts is known only once they have run, hence the prediction type (float32 or better) here.
        y_B = torch.full((len(x_BCL),), torch.nan, dtype=torch.promote_types(x_BCL.dtype, torch.float32))
        y_B = y_B.to(x_BCL.device)
        for index, expert in enumerate(self.experts):
            rows_M = torch.nonzero(bin_B == index).squeeze(1)
            if len(rows_M):
                y_B = y_B.index_copy(0, rows_M, expert(x_BCL[rows_M]).to(y_B.dtype))
        return y_B


class LearnedMoeCnn(nn.Module):
    """A gate, itself a CNN, weights the experts from the input alone; all are trained together."""

    def __init__(self, spec: MoeCnnSpec, shape: InputShape) -> None:
        super().__init__()
        self.experts = nn.ModuleList(Cnn(spec.expert, shape) for _ in range(shape.bins))
        self.gate = Cnn(spec.expert, shape, outputs=shape.bins)

    def forward(self, x_BCL: Tensor, bin_B: Tensor | None = None) -> Tensor:
        """Map (B, C, L) to the standardised target (B,); the bins are ignored."""
        # The axis is for `to_prediction` to drop again: what is wanted of it is float32 for the softmax.
        weight_BK = torch.softmax(to_prediction(self.gate.outputs(x_BCL).unsqueeze(-1)), dim=-1)
        y_BK = torch.stack([expert(x_BCL) for expert in self.experts], dim=-1)
        return (weight_BK * y_BK).sum(-1)


def build(spec: MoeCnnSpec, shape: InputShape) -> OracleMoeCnn | LearnedMoeCnn:
    """The mixture with the gate that its section names."""
    return OracleMoeCnn(spec, shape) if spec.gate == "oracle" else LearnedMoeCnn(spec, shape)

"""A mixture of CNN experts, one for each T_eff x [M/H] bin.

Shape letters: B batch, C channels, L pixels, K experts.
"""

import torch
from torch import Tensor, nn

from spectral_search.models.cnn import Cnn
from spectral_search.models.layers import to_prediction
from spectral_search.models.shape import expert_spec
from spectral_search.spec.model import MoeCnnSpec


class OracleMoeCnn(nn.Module):
    """Each spectrum goes to the expert of its true bin: an upper bound, since real spectra come without labels."""

    def __init__(self, spec: MoeCnnSpec, channels: int, bins: int) -> None:
        super().__init__()
        self.experts = nn.ModuleList(Cnn(expert_spec(spec), channels) for _ in range(bins))

    def forward(self, x_BCL: Tensor, bin_B: Tensor) -> Tensor:
        """Map (B, C, L) and the bins 0 to K-1 (B,) to the standardised log g (B,).

        A bin outside the range gives NaN, never a guess.
        """
        # Only the chosen expert sees a spectrum, so that the mixture costs as much as one CNN. The autocast type
        # of the experts is known only once they have run, hence the prediction type (float32 or better) here.
        y_B = torch.full((len(x_BCL),), torch.nan, dtype=torch.promote_types(x_BCL.dtype, torch.float32))
        y_B = y_B.to(x_BCL.device)
        for index, expert in enumerate(self.experts):
            rows_M = torch.nonzero(bin_B == index).squeeze(1)
            if len(rows_M):
                y_B = y_B.index_copy(0, rows_M, expert(x_BCL[rows_M]).to(y_B.dtype))
        return y_B


class LearnedMoeCnn(nn.Module):
    """A gate, itself a CNN, weights the experts from the spectrum alone; all are trained together."""

    def __init__(self, spec: MoeCnnSpec, channels: int, bins: int) -> None:
        super().__init__()
        self.experts = nn.ModuleList(Cnn(expert_spec(spec), channels) for _ in range(bins))
        self.gate = Cnn(expert_spec(spec), channels, outputs=bins)

    def forward(self, x_BCL: Tensor, bin_B: Tensor | None = None) -> Tensor:
        """Map (B, C, L) to the standardised log g (B,); the bins are ignored."""
        weight_BK = torch.softmax(to_prediction(self.gate.outputs(x_BCL).unsqueeze(-1)), dim=-1)
        y_BK = torch.stack([expert(x_BCL) for expert in self.experts], dim=-1)
        return (weight_BK * y_BK).sum(-1)

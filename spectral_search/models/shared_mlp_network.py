"""The perceptron that all rows share.

Shape letters: B batch, C channels, H rows, W values of a row, F features of a row, A answers of a row, E embedding.
"""

import torch
from torch import Tensor, nn

from spectral_search.models.families.shared_mlp import SharedMlpSpec, answers_of_row
from spectral_search.models.layers import mlp_head
from spectral_search.models.residual_drop import Dropout
from spectral_search.models.row_answers import in_rows, to_outputs
from spectral_search.spec.family import InputShape


class SharedMlp(nn.Module):
    """One perceptron over what each row reads."""

    def __init__(self, spec: SharedMlpSpec, shape: InputShape) -> None:
        super().__init__()
        self.shape, self.anchor = shape, spec.anchor
        self.rows_HE = nn.Parameter(torch.empty(shape.height, spec.row_embedding)) if spec.row_embedding else None
        features = shape.channels * shape.width + spec.row_embedding
        self.head = mlp_head(features, spec.hidden, spec.activation, spec.dropout, answers_of_row(shape), Dropout)
        if self.rows_HE is not None:
            nn.init.normal_(self.rows_HE, std=features**-0.5)

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Map (B, C, H x W) to the standardised targets (B, O), or (B,)."""
        rows_BHCW = in_rows(x_BCL, self.shape)
        features_BHF = rows_BHCW.flatten(2)
        if self.rows_HE is not None:
            rows_BHE = self.rows_HE.to(features_BHF.dtype).expand(len(x_BCL), -1, -1)
            features_BHF = torch.cat([features_BHF, rows_BHE], dim=-1)
        return to_outputs(self.head(features_BHF), self.shape, rows_BHCW[:, :, 0, -1] if self.anchor else None)

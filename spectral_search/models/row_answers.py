"""What networks that read rows make of what they know of each: an answer a row, or one of all.

Shape letters: B batch, C channels, H rows, W values of a row, A answers of a row, O outputs.
"""

import torch
from torch import Tensor

from spectral_search.spec.family import InputShape


def in_rows(x_BCL: Tensor, shape: InputShape) -> Tensor:
    """Rows of all channels, (B, H, C, W)."""
    return x_BCL.unflatten(-1, (shape.height, shape.width)).transpose(1, 2)


def to_outputs(answer_BHA: Tensor, shape: InputShape, anchor_BH: Tensor | None) -> Tensor:
    """The answers of rows side by side, or their mean where all rows answer together; float32, (B, O), or (B,) of one.

    Args:
        answer_BHA: Of each row.
        shape: Of the input.
        anchor_BH: What is added to the answers of each row.
    """
    answer_BHA = answer_BHA.to(torch.promote_types(answer_BHA.dtype, torch.float32))
    if anchor_BH is not None:
        answer_BHA = answer_BHA + anchor_BH.unsqueeze(-1).to(answer_BHA.dtype)
    apart = shape.outputs % shape.height == 0
    output_BO = answer_BHA.flatten(1) if apart else answer_BHA.mean(1)
    return output_BO.squeeze(-1) if shape.outputs == 1 else output_BO

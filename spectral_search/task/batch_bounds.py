"""How an epoch is cut into batches."""

import numpy as np


def batch_bounds(examples: int, batch_size: int) -> np.ndarray:
    """Row bounds, int64, of batches whose sizes differ by at most one, so that no step trains on a small remainder.

    No batch holds a single example unless `batch_size` is 1: batch statistics need two.
    """
    batches = max(1, round(examples / batch_size))
    if batch_size > 1:
        batches = max(1, min(batches, examples // 2))
    return np.arange(batches + 1, dtype=np.int64) * examples // batches

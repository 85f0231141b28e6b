"""The source of training batches that fits a dataset."""

import torch

from spectral_search.tasks.spectra.training.dataset import Dataset, Labelled
from spectral_search.tasks.spectra.training.streamed_spectra import ReadBlocks, StreamSource, read_plainly
from spectral_search.tasks.spectra.training.training_batches import ResidentSource, TrainSource


def train_source(
    dataset: Dataset, device: torch.device, read_blocks: ReadBlocks = read_plainly, share: float = 1.0
) -> TrainSource:
    """Batches from memory, or read anew each epoch.

    Args:
        dataset: What to train on.
        device: Where the batches go.
        read_blocks: How a streamed dataset is read.
        share: Part of the device that this process may fill.
    """
    if dataset.train is None:
        raise ValueError("this dataset holds its training spectra as components alone")
    if isinstance(dataset.train, Labelled):
        return ResidentSource(dataset.train, device, share)
    return StreamSource(dataset.train, dataset.prep, device, read_blocks)

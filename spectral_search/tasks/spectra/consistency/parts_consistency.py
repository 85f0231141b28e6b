"""Whether the shards of a data root belong together: units, S/N, recorded noise, labels and their order."""

from spectral_search.tasks.spectra.consistency.mismatch import Mismatches
from spectral_search.tasks.spectra.consistency.part_labels import label_mismatches
from spectral_search.tasks.spectra.consistency.part_levels import level_mismatches
from spectral_search.tasks.spectra.consistency.part_noise import noise_mismatches
from spectral_search.tasks.spectra.consistency.row_order import order_suspicions
from spectral_search.tasks.spectra.consistency.sampled_spectra import sample_shards
from spectral_search.tasks.spectra.shards.data_root import DataRoot


def find_mismatches(root: DataRoot, noise_level: float) -> Mismatches:
    """Holds the shards of a data root against each other.

    Args:
        root: With at least one training shard.
        noise_level: The search's factor on the error.

    Raises:
        RequestError: A shard cannot be read.
    """
    samples = sample_shards([*root.train, *root.val, *root.test])
    held_out = len(samples) - len(root.test)
    train, val, test = samples[: len(root.train)], samples[len(root.train) : held_out], samples[held_out:]
    parts = [part for part in (val, test) if part]
    found = level_mismatches(train, parts)
    for part in parts:
        found.extend(noise_mismatches(part, noise_level))
    if not val:  # a part of train is held out, and taken with the noise that it holds
        found.extend(noise_mismatches(train, noise_level))
    found.extend(label_mismatches(train, parts))
    found.odd += order_suspicions(samples)
    return found

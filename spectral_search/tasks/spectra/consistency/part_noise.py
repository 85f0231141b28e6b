"""Whether the recorded noise of val and test is what the search takes it for: level 1, on every spectrum."""

from collections.abc import Sequence

from spectral_search.tasks.spectra.consistency.mismatch import Mismatches
from spectral_search.tasks.spectra.consistency.noise_record import NoiseRecord
from spectral_search.tasks.spectra.consistency.sampled_spectra import ShardSample

_OTHER_LEVEL = 1.5
"""Recorded noise that is so many times too strong or too weak is of another level."""
_ODD_LEVEL = 1.1
_SIGMAS = 4.0
_BIASED, _ODDLY_BIASED = 0.3, 0.1
"""How far the part of the values above the flux may be from 1/2: 0.3 is a bias of 0.84 errors, 0.1 of 0.25."""
_MANY = 0.5


def noise_mismatches(samples: Sequence[ShardSample], noise_level: float) -> Mismatches:
    """Looks at the recorded noise of one part's shards.

    It is taken for what is measured on at noise level 1 alone, and only where every shard has it: what nobody uses is
    not judged.

    Args:
        samples: Of all shards of val, or of test.
        noise_level: The search's factor on the error.
    """
    found = Mismatches()
    if noise_level != 1.0 or not any(sample.shard.has_noisy for sample in samples):
        return found
    without = [sample.name for sample in samples if not sample.shard.has_noisy]
    if without:
        having = next(sample.name for sample in samples if sample.shard.has_noisy)
        found.odd.append(
            f"{having} holds recorded noise and {without[0]} none, so none of it is used: noise is drawn for both."
        )
        return found
    for sample in samples:
        if sample.noise is not None and sample.noise.spectra:
            _judge(sample.name, sample.noise, found)
    return found


def _judge(name: str, noise: NoiseRecord, found: Mismatches) -> None:
    for count, what in ((noise.noise_free, "the flux itself, without noise"), (noise.empty, "0 throughout")):
        if count:
            told = f"The recorded noisy spectra of {name} are {what} in {count} of {noise.spectra} sampled spectra"
            if count > _MANY * noise.spectra:
                found.refused.append(f"{told}, though the search is made at noise level 1: they were never made noisy.")
            else:
                found.odd.append(f"{told}: those rows were never made noisy.")
    if noise.noise_free + noise.empty == noise.spectra:
        return
    bias = abs(noise.above - 0.5)
    if noise.level is None or bias > _BIASED:
        found.refused.append(
            f"The recorded noisy spectra of {name} lie above its flux in {noise.above:.0%} of all values instead of "
            "half: noisy and flux are in different units, or belong to different spectra."
        )
        return
    allowed = _SIGMAS * noise.level_error
    told = (
        f"The recorded noise of {name} is typically {noise.level:.3g} times its error, and the search takes it for 1 "
        "time (data.noise_level)"
    )
    if not 1 / _OTHER_LEVEL - allowed < noise.level < _OTHER_LEVEL + allowed:
        found.refused.append(f"{told}: it was made at another noise level, or its error array is in another unit.")
    elif not 1 / _ODD_LEVEL - allowed < noise.level < _ODD_LEVEL + allowed:
        found.odd.append(f"{told}.")
    if bias > _ODDLY_BIASED and bias * noise.values**0.5 > _SIGMAS:
        found.odd.append(
            f"The recorded noisy spectra of {name} lie above its flux in {noise.above:.0%} of all values, not half."
        )

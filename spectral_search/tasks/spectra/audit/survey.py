"""One pass over every shard for the audit: a hash and a sketch of each spectrum, its levels, and the invalid pixels.

A sketch is the spectrum divided by its mean and projected on a few fixed random directions: spectra that differ by a
factor alone have the same sketch, and distances between sketches go with distances between spectra.
Shape suffixes: N spectra, B spectra of a block, L pixels, K directions of a sketch.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spectral_search.tasks.spectra.baselines.problem import BLOCK_BYTES, Told
from spectral_search.tasks.spectra.shards.blocks import Block, iter_blocks
from spectral_search.tasks.spectra.shards.content import Gathering, remember_hashes
from spectral_search.tasks.spectra.shards.data_root import ShardInfo
from spectral_search.tasks.spectra.shards.split import Selection

_DIRECTIONS = 16
_SAMPLED = 6


@dataclass(frozen=True)
class ShardSurvey:
    """What one pass over a shard shows.

    Attributes:
        shard: The shard.
        hash_N: Of the noise-free flux, uint64.
        sketch_NK: Shape of the noise-free flux, float32.
        flux_N: Mean flux of each spectrum.
        error_N: Mean error of each spectrum.
        invalid_L: Fraction of spectra without a valid value at a pixel.
    """

    shard: ShardInfo
    hash_N: np.ndarray
    sketch_NK: np.ndarray
    flux_N: np.ndarray
    error_N: np.ndarray
    invalid_L: np.ndarray


def survey(shards: Sequence[ShardInfo], told: Told) -> list[ShardSurvey]:
    """Read every shard once, at memory of a few numbers a spectrum."""
    kept_L = np.logical_and.reduce([_valid_somewhere(shard) for shard in shards])
    if not kept_L.any():
        kept_L = np.ones(shards[0].pixels, bool)
    direction_LK = np.random.default_rng(0).standard_normal((int(kept_L.sum()), _DIRECTIONS)).astype(np.float32)
    tell, done, total = told("audit: all spectra"), 0, sum(shard.spectra for shard in shards)
    surveys = []
    for shard in shards:
        parts, invalid_L = [], np.zeros(shard.pixels)
        gathering = Gathering(Selection.all_of([shard]))
        for block in gathering.watch(iter_blocks(gathering.selection, target_bytes=BLOCK_BYTES, hashed=True)):
            parts.append(_columns(block, kept_L, direction_LK))
            invalid_L += block.invalid_BL.sum(0)
            done += len(block)
            tell(done, total)
        remember_hashes(gathering.selection, gathering.whole())
        hash_N, sketch_NK, flux_N, error_N = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        surveys.append(ShardSurvey(shard, hash_N, sketch_NK, flux_N, error_N, invalid_L / shard.spectra))
    return surveys


def _columns(
    block: Block, kept_L: np.ndarray, direction_LK: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    flux_BL = np.ascontiguousarray(block.flux_BL[:, kept_L])
    hash_B = np.array(
        [int.from_bytes(hashlib.blake2b(flux_L.tobytes(), digest_size=8).digest(), "little") for flux_L in flux_BL],
        np.uint64,
    )
    count_B = np.maximum((~block.invalid_BL).sum(1), 1)
    mean_B = flux_BL.mean(1, dtype=np.float64)
    # Relative to its own mean, so that a flat spectrum is 0 and float32 keeps the digits that tell spectra apart.
    shape_BL = flux_BL / np.where(mean_B == 0, 1.0, mean_B)[:, None].astype(np.float32) - np.float32(1.0)
    level_B, error_B = block.flux_BL.sum(1, dtype=np.float64), block.error_BL.sum(1, dtype=np.float64)
    return hash_B, shape_BL @ direction_LK, level_B / count_B, error_B / count_B


def _valid_somewhere(shard: ShardInfo) -> np.ndarray:
    whole = Selection.all_of([shard])
    rows = np.unique(np.linspace(0, len(whole) - 1, _SAMPLED).astype(np.int64))
    valid_L = np.zeros(shard.pixels, bool)
    for block in iter_blocks(whole.take(rows)):
        valid_L |= ~block.invalid_BL.all(0)
    return valid_L

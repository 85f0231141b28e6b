"""Spectra to be measured on, with their noise frozen: the same for every network and every baseline.

Shape suffixes: B spectra of a block, L pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from spectral_search.tasks.spectra.shards.blocks import iter_blocks
from spectral_search.tasks.spectra.shards.content import Gathering
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.training.dataset import Frozen, Labelled, draw_noise, oracle_bins
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing


@dataclass(frozen=True)
class EvaluationNoise:
    """Where the noise of an evaluation comes from.

    Attributes:
        recorded: Whether it is taken as the shards hold it; otherwise it is drawn.
        level: Factor on the error of what is drawn.
        told: For people.
    """

    recorded: bool
    level: float
    told: str


def evaluation_noise(selection: Selection, noise_level: float, *, observed: bool = False) -> EvaluationNoise:
    """Recorded noise where it is of the wanted level, which is 1, else a draw; observed flux gets none.

    Args:
        selection: What is measured on.
        noise_level: Level that the model was made for.
        observed: The flux is as observed and counts as noisy already.
    """
    if observed:
        return EvaluationNoise(False, 0.0, "flux as observed, no noise added")
    if selection.has_noisy and noise_level == 1.0:
        return EvaluationNoise(True, noise_level, "noise as recorded in the shards")
    return EvaluationNoise(False, noise_level, f"one frozen draw of noise at level {noise_level:g}")


def frozen_blocks(
    selection: Selection,
    labels: pd.DataFrame,
    prep: Preprocessing,
    noise: EvaluationNoise,
    seed: int,
    gathering: Gathering | None = None,
) -> Iterator[Frozen]:
    """Read a selection in order, one frozen draw of each spectrum, at constant memory.

    Args:
        selection: What to read.
        labels: Its labels.
        prep: Units and valid pixels.
        noise: From `evaluation_noise`.
        seed: The spec's split seed: names the draw.
        gathering: Takes note of what is read.
    """
    log_g_N, bin_N = labels["log_g"].to_numpy(np.float32), oracle_bins(labels)
    hashed = gathering is not None
    for block in iter_blocks(selection, noisy=noise.recorded, condition=prep.conditioning, hashed=hashed):
        if gathering is not None:
            gathering.add(block)
        rows = block.rows_B
        spectra = Labelled(block.flux_BL, block.error_BL, log_g_N[rows], bin_N[rows])
        noisy_BL = (
            np.maximum(block.noisy_BL, 0.0)
            if block.noisy_BL is not None
            else draw_noise(spectra, noise.level, (seed, "evaluate"), first=int(rows[0]))
        )
        yield Frozen(noisy_BL[None], spectra.error_NL, spectra.log_g_N, spectra.bin_N)

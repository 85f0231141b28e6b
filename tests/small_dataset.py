"""A small simulated-by-formula dataset in memory, quick to learn, for tests of training."""

import numpy as np
import pandas as pd

from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.tasks.spectra.noise.val_draws import val_draws
from spectral_search.tasks.spectra.shards.loaded_spectra import Spectra
from spectral_search.tasks.spectra.training.dataset import Dataset, as_blocks, freeze, labelled
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing, fit_preprocessing, set_validity

PIXELS = 32
UNIT = 1e-17
"""Fluxes as FITS files have them."""


def make_spectra(count: int, seed: int, *, pixels: int = PIXELS, nan_edges: bool = False) -> Spectra:
    """Spectra whose lines deepen with log g; brightness, and with it the error, varies threefold.

    Args:
        count: Spectra.
        seed: Of labels and brightness.
        pixels: Of each.
        nan_edges: Mark the first and last pixel invalid.
    """
    rng = np.random.default_rng(seed)
    log_g_N, scale_N = rng.uniform(1.0, 5.0, count), rng.uniform(1.0, 3.0, count)
    line_L = np.exp(-0.5 * ((np.arange(pixels) - 0.4 * pixels) / 2.0) ** 2)
    wing_L = np.cos(np.arange(pixels) * 0.7) ** 2
    depth_N = (log_g_N - 1.0) / 5.0
    shape_NL = 1.0 - depth_N[:, None] * line_L - 0.2 * depth_N[:, None] ** 2 * wing_L
    flux_NL = (UNIT * scale_N[:, None] * shape_NL).astype(np.float32)
    error_NL = (UNIT * 0.15 * np.sqrt(scale_N[:, None] * shape_NL)).astype(np.float32)
    if nan_edges:
        flux_NL[:, [0, -1]] = error_NL[:, [0, -1]] = 0.0
    labels = pd.DataFrame(
        {
            "log_g": log_g_N,
            "T_eff": rng.uniform(3750.0, 6000.0, count),
            "M_H": rng.uniform(-1.5, 0.5, count),
            "snr": 1.0 / 0.15 * np.sqrt(scale_N),
            "id": np.arange(count),
        }
    )
    return Spectra(flux_NL, error_NL, None, labels)


def make_dataset(
    train: Spectra, val: Spectra, *, draws: int | str = "auto", noise_level: float = 1.0, seed: int = 42
) -> tuple[Dataset, Preprocessing]:
    """The dataset of a search from spectra in memory; the spectra are conditioned in place."""
    votes = set_validity(as_blocks(val), val.pixels)
    prep = fit_preprocessing(as_blocks(train), train.labels["log_g"].to_numpy(), train.pixels, [votes])
    conditioned = labelled(val, prep)
    count = val_draws(draws, len(val))
    frozen = freeze(conditioned, val.noisy_NL, draws=count, noise_level=noise_level, counter=(seed, "val"))
    return Dataset(labelled(train, prep), frozen, prep, noise_level), prep


def small_dataset(train: int = 1024, val: int = 512, **options: int | float) -> Dataset:
    """A dataset that an MLP learns to R2 near 0.8 in a second."""
    return make_dataset(make_spectra(train, 1), make_spectra(val, 2), **options)[0]


def trial_config(
    model: dict[str, object] | None = None, fit: dict[str, object] | None = None, **inputs: object
) -> TrialConfig:
    """A trial of a small MLP in float32, with some keys changed."""
    recipe = {"epochs": 4, "batch_size": 64, "lr": 3e-3, "precision": "float32", **(fit or {})}
    return RunSpec.from_dict(
        {
            "stage": "test",
            "data": {"input": inputs},
            "model": model or {"kind": "mlp", "hidden": [32], "dropout": 0.1},
            "fit": recipe,
        }
    ).base

"""Data roots and problems for baselines and audits, written from arrays."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from spectral_search.spec.run import RunSpec
from spectral_search.tasks.spectra.baselines.fit_baselines import Question, problem_of, question_of
from spectral_search.tasks.spectra.baselines.problem import Problem
from spectral_search.tasks.spectra.shards.loaded_spectra import Spectra
from spectral_search.tasks.spectra.shards.shard_writer import ShardWriter


def write_shard(
    folder: Path,
    spectra: Spectra,
    *,
    noisy: bool = False,
    noise_scale: float = 1.0,
    nan_pixels: tuple[int, ...] = (),
    chunk_rows: int = 16,
) -> Path:
    """Write folder/dataset.h5; recorded noise is `noise_scale` times the error."""
    count, pixels = spectra.flux_NL.shape
    error_NL = spectra.error_NL.copy()
    error_NL[:, list(nan_pixels)] = np.nan
    noise_NL = np.random.default_rng(count).standard_normal(spectra.flux_NL.shape) * spectra.error_NL * noise_scale
    noisy_NL = np.clip(spectra.flux_NL + noise_NL, 0.0, None).astype(np.float32) if noisy else None
    wave_L = np.linspace(7100.0, 8850.0, pixels)
    with ShardWriter(
        folder / "dataset.h5",
        spectra=count,
        pixels=pixels,
        wave_angstrom_L=wave_L,
        with_noisy=noisy,
        chunk_rows=chunk_rows,
    ) as writer:
        writer.write(0, spectra.flux_NL, error_NL, noisy_NL)
        writer.write_params(spectra.labels)
    return folder


def spectra_of(
    flux_NL: np.ndarray,
    error_NL: np.ndarray,
    log_g_N: np.ndarray,
    *,
    t_eff_kelvin_N: np.ndarray | None = None,
    m_h_N: np.ndarray | None = None,
) -> Spectra:
    """Spectra from arrays, all in one oracle bin unless told otherwise."""
    count = len(log_g_N)
    labels = pd.DataFrame(
        {
            "log_g": log_g_N,
            "T_eff": np.linspace(4600.0, 5200.0, count) if t_eff_kelvin_N is None else t_eff_kelvin_N,
            "M_H": np.full(count, -0.5) if m_h_N is None else m_h_N,
            "snr": np.full(count, 8.0),
            "id": np.arange(count),
        }
    )
    return Spectra(flux_NL.astype(np.float32), error_NL.astype(np.float32), None, labels)


def ask(root: Path, **data: object) -> Question:
    """The question on a data root."""
    return question_of(
        RunSpec.from_dict({"stage": "test", "data": {"root": str(root), **data}, "model": {"kind": "mlp"}})
    )


def make_problem(root: Path, train: Spectra, val: Spectra, test: Spectra | None = None, **data: object) -> Problem:
    """The problem on spectra written into a data root; the noise of test is recorded."""
    write_shard(root / "train_0", train)
    write_shard(root / "val_0", val)
    if test is not None:
        write_shard(root / "test_0", test, noisy=True)
    return problem_of(ask(root, **{"val_draws": 1, **data}), torch.device("cpu"))

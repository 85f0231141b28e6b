"""Writes one small set of spectra in every layout in which shards are met, with h5py alone.

All values are multiples of 1/256 below 8, so that float16, float32 and float64 hold exactly the same numbers.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Sample:
    """What every variant must read back to (N spectra, L pixels)."""

    flux_NL: np.ndarray
    error_NL: np.ndarray
    noisy_NL: np.ndarray
    invalid_NL: np.ndarray
    wave_angstrom_L: np.ndarray
    edges_angstrom_L1: np.ndarray
    labels: pd.DataFrame


@dataclass(frozen=True)
class Variant:
    """How a shard is stored; the defaults are those of the real writer."""

    dtype: str = "<f8"
    chunk_rows: int | None = 8
    chunk_pixels: int | None = None
    compression: str | None = None
    shuffle: bool = False
    params: str = "pandas"  # pandas, data_columns, fixed, compound, big_compound, group, dataset
    mask: str | None = "<i8"  # a dtype, or "bool" (True = good), or None
    edges: str = "L+1"  # L+1, 2xL, only (no wave), none, neither
    noisy: bool = True
    value_node: bool = True


VARIANTS: dict[str, Variant] = {
    "float64": Variant(),
    "float32": Variant(dtype="<f4"),
    "float16": Variant(dtype="<f2"),
    "big_float64": Variant(dtype=">f8"),
    "big_float32": Variant(dtype=">f4", mask=">i8"),
    "big_float32_contiguous": Variant(dtype=">f4", chunk_rows=None),
    "big_float16": Variant(dtype=">f2"),
    "gzip": Variant(compression="gzip"),
    "gzip_shuffle_float32": Variant(dtype="<f4", compression="gzip", shuffle=True),
    "lzf": Variant(compression="lzf"),
    "lzf_shuffle": Variant(compression="lzf", shuffle=True),
    "contiguous_float64": Variant(chunk_rows=None),
    "contiguous_float32": Variant(dtype="<f4", chunk_rows=None),
    "chunks_across_pixels": Variant(chunk_rows=5, chunk_pixels=7),
    "chunks_across_pixels_gzip": Variant(dtype="<f4", chunk_rows=5, chunk_pixels=7, compression="gzip"),
    "one_chunk": Variant(chunk_rows=10_000),
    "data_columns": Variant(params="data_columns"),
    "pandas_fixed": Variant(params="fixed"),
    "compound": Variant(params="compound"),
    "big_compound": Variant(params="big_compound"),
    "column_datasets": Variant(params="group"),
    "params_dataset": Variant(params="dataset"),
    "bool_mask": Variant(mask="bool"),
    "uint8_mask": Variant(mask="|u1"),
    "no_mask": Variant(mask=None),
    "edges_two_rows": Variant(edges="2xL"),
    "edges_only": Variant(edges="only"),
    "no_edges": Variant(edges="none"),
    "no_wave": Variant(edges="neither"),
    "no_noisy": Variant(noisy=False),
    "no_value_node": Variant(value_node=False),
}


def make_sample(spectra: int = 37, pixels: int = 53, seed: int = 0) -> Sample:
    """Random spectra with NaN errors at both ends and a few masked pixels."""
    rng = np.random.default_rng(seed)
    flux_NL = (rng.integers(256, 2048, (spectra, pixels)) / 256).astype(np.float32)
    error_NL = (rng.integers(1, 256, (spectra, pixels)) / 256).astype(np.float32)
    noisy_NL = (rng.integers(0, 2048, (spectra, pixels)) / 256).astype(np.float32)
    error_NL[:, [0, -1]] = np.nan
    edges = np.linspace(7100.0, 8850.0, pixels + 1)
    labels = pd.DataFrame(
        {
            "id": np.arange(100, 100 + spectra),
            "T_eff": rng.uniform(3750, 6000, spectra),
            "log_g": rng.uniform(1, 5, spectra),
            "M_H": rng.uniform(-1, 0.75, spectra),
            "snr": rng.uniform(2.8, 28, spectra).astype(np.float32),
            "survey": [f"pfs-{number % 3}-é" for number in range(spectra)],
        }
    )
    invalid_NL = rng.random((spectra, pixels)) < 0.05
    return Sample(flux_NL, error_NL, noisy_NL, invalid_NL, 0.5 * (edges[:-1] + edges[1:]), edges, labels)


def write_variant(path: Path, sample: Sample, variant: Variant) -> Path:
    """Writes a sample as one variant; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        _write_arrays(file, sample, variant)
        _write_wave(file, sample, variant.edges)
        if variant.params in ("compound", "big_compound", "group", "dataset"):
            _write_plain_params(file, sample.labels, variant.params)
    if variant.params in ("pandas", "data_columns"):
        sample.labels.to_hdf(
            path, key="dataset/params", mode="a", format="table", data_columns=variant.params == "data_columns" or None
        )
    elif variant.params == "fixed":
        sample.labels.drop(columns="survey").to_hdf(path, key="dataset/params", mode="a", format="fixed")
    return path


def _write_arrays(file: h5py.File, sample: Sample, variant: Variant) -> None:
    arrays = {"flux": sample.flux_NL, "error": sample.error_NL}
    if variant.noisy:
        arrays["noisy"] = sample.noisy_NL
    stored = {name: values.astype(variant.dtype) for name, values in arrays.items()}
    if variant.mask == "bool":
        stored["mask"] = ~sample.invalid_NL
    elif variant.mask is not None:
        stored["mask"] = (sample.invalid_NL * 128).astype(variant.mask)
    rows, pixels = sample.flux_NL.shape
    chunks = None
    if variant.chunk_rows is not None:
        chunks = (min(variant.chunk_rows, rows), variant.chunk_pixels or pixels)
    for name, values in stored.items():
        file.create_dataset(
            f"dataset/arrays/{name}" + "/value" * variant.value_node,
            data=values,
            chunks=chunks,
            compression=variant.compression,
            shuffle=variant.shuffle,
        )


def _write_wave(file: h5py.File, sample: Sample, edges: str) -> None:
    if edges in ("L+1", "2xL", "none"):
        file["spectrumdataset/wave"] = sample.wave_angstrom_L
    if edges in ("L+1", "only"):
        file["spectrumdataset/wave_edges"] = sample.edges_angstrom_L1
    elif edges == "2xL":
        file["spectrumdataset/wave_edges"] = np.stack([sample.edges_angstrom_L1[:-1], sample.edges_angstrom_L1[1:]])


def _write_plain_params(file: h5py.File, labels: pd.DataFrame, layout: str) -> None:
    columns = {
        name: np.char.encode(values.to_numpy(dtype=str), "utf-8") if name == "survey" else values.to_numpy()
        for name, values in labels.items()
    }
    if layout == "group":
        for name, values in columns.items():
            file[f"dataset/params/{name}"] = values
        return
    order = ">" if layout == "big_compound" else "="
    table = np.empty(len(labels), [(name, values.dtype.newbyteorder(order)) for name, values in columns.items()])
    for name, values in columns.items():
        table[name] = values
    file["dataset/params" + "/table" * (layout != "dataset")] = table

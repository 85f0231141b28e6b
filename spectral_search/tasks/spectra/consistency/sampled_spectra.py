"""A few spectra of every shard and all of its labels: what tells, before anything starts, whether they belong together.

The spectra stand in a few runs spread over a shard; of wide spectra only some pixels are looked at. So it takes tens of
milliseconds a shard, however large that is.
Shape suffixes: K sampled spectra, L pixels, N spectra of a shard, C colours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.consistency.noise_record import NoiseRecord, measure_noise
from spectral_search.tasks.spectra.shards.data_root import SHARD_FILE, ShardInfo
from spectral_search.tasks.spectra.shards.labels import read_labels
from spectral_search.tasks.spectra.shards.value_scan import sample_ranges

_SPECTRA = 128
"""Looked at in each shard."""
ALL_SPECTRA = 1024
"""Looked at in all shards together, but for the few that each shard is owed."""
_FEWEST = 16
_RUN = 32
"""Consecutive spectra that are read together where they need not be decompressed."""
PIXELS = 512
"""Looked at in each spectrum, evenly spread."""
_COLOURS = 8
_INNER = (0.16, 0.84)
"""The inner 68% of a spectrum's values."""
LABELS = ("log_g", "T_eff", "M_H", "a_M", "C_M", "mag", "snr", "redshift")


@dataclass(frozen=True)
class ShardSample:
    """A few spectra of a shard, and its labels.

    Attributes:
        shard: The shard.
        rows_K: Which of its spectra were looked at.
        flux_K: Typical absolute flux of each: the median over its valid pixels; NaN where it has none.
        error_K: Typical error, likewise.
        snr_K: Median of flux / error, likewise.
        contrast_K: How much the flux varies from pixel to pixel, as a part of its typical value: half the range of the
            inner 68%.
        colour_KC: Part of the flux that lies in each of a few bands of the spectrum.
        noise: What the recorded noise is; None where the shard holds none or no valid value.
        labels: By name, float64 (N,), of every spectrum; NaN where unknown. Columns that are absent are left out.
        id_N: Ids of every spectrum, or None.
    """

    shard: ShardInfo
    rows_K: np.ndarray
    flux_K: np.ndarray
    error_K: np.ndarray
    snr_K: np.ndarray
    contrast_K: np.ndarray
    colour_KC: np.ndarray
    noise: NoiseRecord | None
    labels: dict[str, np.ndarray]
    id_N: np.ndarray | None

    @property
    def name(self) -> str:
        """The shard's folder below its data root, which starts with its part."""
        return self.shard.name.removesuffix(f"/{SHARD_FILE}")


def sample_shards(shards: Sequence[ShardInfo]) -> list[ShardSample]:
    """Looks into each shard.

    Raises:
        RequestError: One cannot be read, or its labels cannot be used; the faults of all at once.
    """
    samples: list[ShardSample] = []
    faults: list[str] = []
    wanted = min(_SPECTRA, max(_FEWEST, ALL_SPECTRA // max(1, len(shards))))
    for info in shards:
        try:
            samples.append(sample_shard(info, wanted))
        except RequestError as error:
            faults += error.faults
    if faults:
        raise RequestError(*faults)
    return samples


def sample_shard(info: ShardInfo, wanted: int = _SPECTRA) -> ShardSample:
    """Looks into one shard at about so many spectra.

    Raises:
        RequestError: It cannot be read, or its labels cannot be used.
    """
    step = -(-info.pixels // PIXELS)
    found: dict[str, list[np.ndarray]] = {}
    rows = []
    with info.open() as shard:
        names = ("flux", "error", *["noisy"] * shard.has_noisy, *["mask"] * shard.has_mask)
        for start, stop in _runs(info, wanted):
            rows.append(np.arange(start, stop))
            for name, values_BL in shard.read(start, stop, names).items():
                found.setdefault(name, []).append(values_BL[:, ::step])
    values = {name: np.concatenate(parts) for name, parts in found.items()}
    flux_KL, error_KL = values["flux"].astype(np.float64), values["error"].astype(np.float64)
    valid_KL = np.isfinite(flux_KL) & np.isfinite(error_KL) & (error_KL > 0)
    if "mask" in values:
        valid_KL &= ~values["mask"]
    flux_K, error_K, snr_K, contrast_K = _levels(flux_KL, error_KL, valid_KL)
    noisy_KL = values.get("noisy")
    labels = read_labels([info], LABELS)
    return ShardSample(
        shard=info,
        rows_K=np.concatenate(rows),
        flux_K=flux_K,
        error_K=error_K,
        snr_K=snr_K,
        contrast_K=contrast_K,
        colour_KC=_colours(np.where(valid_KL, flux_KL, 0.0)),
        noise=None if noisy_KL is None else _noise(flux_KL, error_KL, noisy_KL.astype(np.float64), valid_KL),
        labels={name: labels[name].to_numpy() for name in LABELS if name in info.columns},
        id_N=labels["id"].to_numpy() if "id" in info.columns else None,
    )


def _runs(info: ShardInfo, wanted: int) -> Iterator[tuple[int, int]]:
    """Row ranges that hold about so many spectra together, never more than a run or a chunk beyond."""
    left = wanted
    for start, stop in sample_ranges(info.spectra, info.chunk_rows if info.is_compressed else _RUN, wanted):
        if left > 0:
            yield start, min(stop, start + left)
        left -= stop - start


def _levels(
    flux_KL: np.ndarray, error_KL: np.ndarray, valid_KL: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Typical flux, error, S/N and contrast of each spectrum, NaN where it has no valid pixel."""
    flux_KL, error_KL = np.where(valid_KL, flux_KL, np.nan), np.where(valid_KL, error_KL, np.nan)
    size_K, error_K, snr_K = (
        _quantiles(values_KL, (0.5,))[0] for values_KL in (np.abs(flux_KL), error_KL, flux_KL / error_KL)
    )
    low_K, high_K = _quantiles(flux_KL, _INNER)
    half_K = 0.5 * (high_K - low_K)
    return size_K, error_K, snr_K, np.divide(half_K, size_K, out=np.full(len(half_K), np.nan), where=size_K > 0)


def _quantiles(values_KL: np.ndarray, parts: Sequence[float]) -> list[np.ndarray]:
    """Quantiles of each row without its NaN, (K,) each; NaN for a row of nothing else. The nearest value serves."""
    sorted_KL = np.sort(values_KL, axis=1)  # NaN come last
    last_K = np.maximum(np.isfinite(sorted_KL).sum(1) - 1, 0)
    rows_K = np.arange(len(sorted_KL))
    return [sorted_KL[rows_K, np.rint(part * last_K).astype(np.int64)] for part in parts]


def _colours(flux_KL: np.ndarray) -> np.ndarray:
    """Part of the flux in each of a few bands, (K, C); 0 where there is no flux."""
    bands = [band_KL.sum(1) for band_KL in np.array_split(flux_KL, min(_COLOURS, flux_KL.shape[1]), axis=1)]
    total_K1 = np.abs(flux_KL).sum(1)[:, None]
    return np.divide(np.stack(bands, axis=1), total_K1, out=np.zeros((len(flux_KL), len(bands))), where=total_K1 > 0)


def _noise(flux_KL: np.ndarray, error_KL: np.ndarray, noisy_KL: np.ndarray, valid_KL: np.ndarray) -> NoiseRecord | None:
    return measure_noise(flux_KL, error_KL, noisy_KL, valid_KL) if valid_KL.any() else None

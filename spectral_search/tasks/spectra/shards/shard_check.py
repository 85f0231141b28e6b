"""Says whether a shard follows docs/shard_format.md, and what in it will cost time or results."""

import os
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.hdf5_file import open_hdf5
from spectral_search.tasks.spectra.shards.label_numbers import NUMBERS
from spectral_search.tasks.spectra.shards.shard import Shard
from spectral_search.tasks.spectra.shards.value_scan import ShardStatistics, scan
from spectral_search.tasks.spectra.shards.wave_units import ANGSTROM
from spectral_search.tasks.spectra.shards.wavelengths import WAVE, WAVE_EDGES, Wavelengths

Level = Literal["fault", "warning", "hint"]
_REPACK = "repack it as float32 (docs/shard_format.md says how)"


@dataclass(frozen=True)
class ShardRemark:
    """One sentence about a shard.

    Attributes:
        level: fault (cannot be used), warning (results may suffer), hint (costs time or space).
        sentence: What was found and what to do.
    """

    level: Level
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def check_shard(path: str | os.PathLike[str]) -> list[ShardRemark]:
    """Checks headers, labels and a sample of the values of one shard.

    Args:
        path: The HDF5 file.

    Returns:
        Faults first, then warnings, then hints; empty when there is nothing to say.
    """
    try:
        with Shard.open(path, need_labels=False) as shard:
            return check_open_shard(shard, scan(shard))
    except RequestError as error:
        return [ShardRemark("fault", sentence) for sentence in error.faults]


def check_open_shard(shard: Shard, statistics: ShardStatistics) -> list[ShardRemark]:
    """As `check_shard`, for a shard that is open and scanned already."""
    findings = [
        *_labels(shard),
        *_ids(shard),
        *_never_written(shard),
        *_values(shard, statistics),
        *_wavelengths(shard),
        *_speed(shard),
    ]
    order: dict[Level, int] = {"fault": 0, "warning": 1, "hint": 2}
    return sorted(findings, key=lambda finding: order[finding.level])


def _labels(shard: Shard) -> list[ShardRemark]:
    if not shard.columns:
        return [ShardRemark("warning", "there are no labels (dataset/params): usable for prediction only.")]
    if "log_g" not in shard.columns:
        found = ", ".join(shard.columns)
        return [ShardRemark("warning", f"there is no label log_g (found: {found}): usable for prediction only.")]
    findings: list[ShardRemark] = []
    try:
        log_g = shard.params([name for name in NUMBERS if name in shard.columns])["log_g"]
    except RequestError as error:
        return [ShardRemark("fault", sentence) for sentence in error.faults]
    if ((log_g < -1) | (log_g > 7)).any():
        findings.append(
            ShardRemark("warning", f"log_g runs from {log_g.min():.3g} to {log_g.max():.3g}; it is in dex of cm/s^2.")
        )
    missing = [name for name in ("T_eff", "M_H") if name not in shard.columns]
    if missing:
        findings.append(
            ShardRemark(
                "warning", f"the labels {', '.join(missing)} are missing: splits are stratified by what is there."
            )
        )
    return findings


def _ids(shard: Shard) -> list[ShardRemark]:
    """A run reads the ids with the labels, to carry them into tables of predictions."""
    try:
        shard.ids()
    except RequestError as error:
        return [ShardRemark("fault", sentence) for sentence in error.faults]
    return []


def _never_written(shard: Shard) -> list[ShardRemark]:
    return [
        ShardRemark("warning", f"{name} was made but never written: it counts as absent; write it, or leave it out.")
        for name in shard.never_written
    ]


def _values(shard: Shard, statistics: ShardStatistics) -> list[ShardRemark]:
    total = statistics.scanned * shard.pixels
    findings: list[ShardRemark] = []
    dead = statistics.dead_pixels
    if len(dead) == shard.pixels:
        findings.append(
            ShardRemark("fault", "no pixel has a valid error (finite and above 0); write the errors again.")
        )
    elif len(dead):
        findings.append(
            ShardRemark(
                "warning",
                f"pixels {index_ranges(dead)} have no valid error in any spectrum looked at: they are left out alike "
                "in train, val and test.",
            )
        )
    elsewhere = int(statistics.bad_error_L.sum()) - len(dead) * statistics.scanned
    if elsewhere:
        findings.append(
            ShardRemark("warning", f"{elsewhere:,} other errors of {total:,} values are not finite or not above 0.")
        )
    bad_flux = int(statistics.bad_flux_L.sum())
    if bad_flux:
        findings.append(
            ShardRemark("warning", f"{bad_flux:,} of {total:,} flux values are not finite; they count as invalid.")
        )
    return findings + _mask(shard, int(statistics.masked_L.sum()) / total)


def _mask(shard: Shard, masked_fraction: float) -> list[ShardRemark]:
    if not shard.has_mask:
        return [ShardRemark("hint", "there is no mask: pixels are judged by flux and error alone.")]
    if masked_fraction > 0.5:
        kind = shard.storage["mask"]["dtype"]
        meaning = "True = good" if kind == "bool" else "0 = good"
        return [
            ShardRemark(
                "warning",
                f"the mask ({kind}: {meaning}) calls {masked_fraction:.0%} of the values bad; it may have been "
                "written the other way round.",
            )
        ]
    return []


def _wavelengths(shard: Shard) -> list[ShardRemark]:
    findings: list[ShardRemark] = []
    if shard.wave.ignored_edges:
        findings.append(
            ShardRemark(
                "hint",
                f"the pixel edges ({WAVE_EDGES}) {shard.wave.ignored_edges}, and are no finite numbers of shape "
                "(pixels + 1,) or (2, pixels); they are ignored.",
            )
        )
    with open_hdf5(shard.path) as file:
        if "dataset/arrays/wave" in file:
            findings.append(
                ShardRemark(
                    "warning", "each spectrum has its own wavelengths (dataset/arrays/wave); they are not used."
                )
            )
    return findings + _wave_values(shard.wave)


def _wave_values(wave: Wavelengths) -> list[ShardRemark]:
    """Unit and order; a decreasing order is as good as an increasing one."""
    wave_L, findings = wave.centres_angstrom_L, []
    if wave_L is None:
        return [ShardRemark("warning", f"there are no wavelengths ({WAVE}); shards cannot be compared by them.")]
    if wave.order == "mixed":
        findings.append(ShardRemark("warning", "the wavelengths neither increase nor decrease from pixel to pixel."))
    if wave.unit_from == "unknown":
        findings.append(
            ShardRemark(
                "warning",
                f"the wavelengths, {wave_L.min():,.4g} to {wave_L.max():,.4g}, are those of starlight in no unit; they "
                f"are read as Angstrom, unless the attribute `unit` of {WAVE} says another.",
            )
        )
    elif wave.unit_from == "range" and wave.unit != ANGSTROM:
        findings.append(
            ShardRemark(
                "warning",
                f"the wavelengths have no unit and are read as {wave.unit.name} by their range ({wave_L.min():,.1f} to "
                f"{wave_L.max():,.1f} Å); write it into the attribute `unit` of {WAVE}.",
            )
        )
    return findings


def _speed(shard: Shard) -> list[ShardRemark]:
    """Storage hints, from the speeds measured in docs/shard_format.md."""
    flux = shard.storage["flux"]
    findings: list[ShardRemark] = []
    if flux["compression"] == "gzip":
        findings.append(
            ShardRemark(
                "hint", f"gzip reads some ten to seventy times slower than uncompressed float32: repack with {_REPACK}."
            )
        )
    elif flux["compression"]:
        findings.append(
            ShardRemark("hint", f"{flux['compression']} compression slows every epoch: repack with {_REPACK}.")
        )
    if flux["chunks"] is not None and flux["chunks"][1] < shard.pixels:
        findings.append(
            ShardRemark(
                "hint", f"chunks {tuple(flux['chunks'])} split each spectrum; whole spectra read faster: {_REPACK}."
            )
        )
    elif flux["compression"] and flux["chunks"][0] > 1024:
        findings.append(
            ShardRemark(
                "hint", f"a compressed chunk holds {flux['chunks'][0]:,} spectra, read whole for any one: {_REPACK}."
            )
        )
    if flux["dtype"] == "float64":
        findings.append(
            ShardRemark(
                "hint", "flux and error are float64: float32 is read with no loss that matters and is half the size."
            )
        )
    elif flux["byte_order"] == "big":
        findings.append(ShardRemark("hint", "the arrays are big-endian: swapping bytes halves the reading speed."))
    return findings


def index_ranges(indices: np.ndarray, limit: int = 6) -> str:
    """Writes sorted indices shortly: 0, 5-9, 4095."""
    groups = np.split(indices, np.flatnonzero(np.diff(indices) > 1) + 1)
    texts = [f"{group[0]}" if len(group) == 1 else f"{group[0]}-{group[-1]}" for group in groups if len(group)]
    rest = len(texts) - limit
    return ", ".join(texts[:limit]) + (f" and {rest} more ranges" if rest > 0 else "")

"""Says what is in a shard or a data root: sizes, storage, S/N, label ranges, invalid values.

Headers and labels are read whole, pixel values from a bounded sample of each shard, so that memory and time do not grow
with the size of a file.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spectral_search.data.check import Finding, check_open_shard
from spectral_search.data.scan import SAMPLE_ROWS, ShardStatistics, scan
from spectral_search.data.shard import Shard
from spectral_search.errors import RequestError
from spectral_search.places import require_text

if TYPE_CHECKING:
    from rich.console import Group

SPLITS = ("train", "val", "test")
PERCENTILES = {"min": 0, "p25": 25, "median": 50, "p75": 75, "max": 100}
UNITS = {"T_eff": "K", "log_g": "dex", "M_H": "dex", "a_M": "dex", "C_M": "dex", "mag": "mag"}


@dataclass(frozen=True)
class ShardInspection:
    """What is in one shard.

    Attributes:
        name: Path relative to what was inspected.
        split: train, val, test or "" by the name of its folder.
        storage: As `Shard.storage`.
        labels: Per numeric label: lowest and highest finite value, and how many are not finite.
        statistics: From the sampled rows.
        wave_angstrom_L: Pixel centres, or None.
    """

    name: str
    split: str
    spectra: int
    pixels: int
    file_bytes: int
    chunk_rows: int
    storage: dict[str, dict[str, Any]]
    labels: dict[str, dict[str, float | None]]
    statistics: ShardStatistics
    wave_angstrom_L: np.ndarray | None
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "split": self.split or None,
            "spectra": self.spectra,
            "pixels": self.pixels,
            "file_bytes": self.file_bytes,
            "chunk_rows": self.chunk_rows,
            "storage": self.storage,
            "labels": self.labels,
            "wavelength_angstrom": _wave_range([self]),
            "snr": snr_percentiles([self]),
            "invalid": invalid_counts([self]),
            "findings": [finding.to_dict() for finding in self.findings],
        }


@dataclass(frozen=True)
class Inspection:
    """What is in a shard or a data root.

    Attributes:
        path: What was inspected.
        kind: "shard" or "data root".
        shards: Those that could be read.
        findings: About the root as a whole, and the faults of shards that could not be read.
    """

    path: Path
    kind: str
    shards: tuple[ShardInspection, ...]
    findings: tuple[Finding, ...]

    @property
    def splits(self) -> dict[str, list[ShardInspection]]:
        """The shards by split; "" for those in a folder of another name."""
        names = [*SPLITS, ""]
        groups = {name: [shard for shard in self.shards if shard.split == name] for name in names}
        return {name: shards for name, shards in groups.items() if shards}

    @property
    def has_faults(self) -> bool:
        """Whether anything found keeps the data from being used as they are."""
        found = [*self.findings, *(finding for shard in self.shards for finding in shard.findings)]
        return any(finding.level == "fault" for finding in found)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; units are in the keys or in docs/shard_format.md."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "spectra": sum(shard.spectra for shard in self.shards),
            "pixels": sorted({shard.pixels for shard in self.shards}),
            "wavelength_angstrom": _wave_range(self.shards),
            "splits": {
                name or "other": {"shards": len(shards), "spectra": sum(shard.spectra for shard in shards)}
                for name, shards in self.splits.items()
            },
            "snr": snr_percentiles(self.shards),
            "labels": merge_labels(self.shards),
            "invalid": invalid_counts(self.shards),
            "shards": [shard.to_dict() for shard in self.shards],
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def render(self) -> "Group":
        """For a terminal."""
        from spectral_search.data.inspect_view import render_inspection  # rich is not needed for JSON

        return render_inspection(self)


def inspect_path(path: str | os.PathLike[str], *, sample_rows: int = SAMPLE_ROWS) -> Inspection:
    """Inspects one shard or a data root.

    Args:
        path: A shard, or a folder with shards in `train*/`, `val*/`, `test*/` (or any other folder).
        sample_rows: About how many spectra of each shard are looked at for S/N and invalid values.

    Raises:
        RequestError: There is nothing there, or no shard in it can be read.
    """
    path = Path(path)
    if not path.is_dir():
        return Inspection(path, "shard", (inspect_shard(path, path.name, sample_rows),), ())
    shards: list[ShardInspection] = []
    faults: list[str] = []
    for file in find_shards(path):
        try:
            shards.append(inspect_shard(file, str(file.relative_to(path)), sample_rows))
        except RequestError as error:
            faults.extend(error.faults)
    if not shards:
        raise RequestError(*faults)
    findings = [Finding("fault", fault) for fault in faults] + _disagreements(shards)
    return Inspection(path, "data root", tuple(shards), tuple(findings))


def find_shards(root: Path) -> list[Path]:
    """The shards of a folder in reading order: train, val, test, others, each by name.

    Raises:
        RequestError: There are none.
    """
    files = sorted({*root.glob("*/dataset.h5"), *root.glob("*.h5")})
    if not files:
        raise RequestError(
            f"{root}: no shards in this folder; expected train*/dataset.h5 and optionally val*/ and test*/."
        )
    order = [*SPLITS, ""]
    return sorted(files, key=lambda file: (order.index(split_of(file)), str(file)))


def split_of(file: Path) -> str:
    """train, val or test by the start of the folder's name, else an empty string."""
    return next((name for name in SPLITS if file.parent.name.startswith(name)), "")


def inspect_shard(file: Path, name: str, sample_rows: int = SAMPLE_ROWS) -> ShardInspection:
    """Inspects one shard; labels may be missing.

    Raises:
        RequestError: The shard cannot be read.
    """
    with Shard.open(require_text(file), need_labels=False) as shard:
        statistics = scan(shard, sample_rows)
        return ShardInspection(
            name=name,
            split=split_of(file),
            spectra=shard.spectra,
            pixels=shard.pixels,
            file_bytes=file.stat().st_size,
            chunk_rows=shard.chunk_rows,
            storage=shard.storage,
            labels=_label_ranges(shard),
            statistics=statistics,
            wave_angstrom_L=shard.wave_angstrom_L,
            findings=tuple(check_open_shard(shard, statistics)),
        )


def snr_percentiles(shards: Iterable[ShardInspection]) -> dict[str, Any]:
    """Percentiles of S/N (median over pixels of flux / error) over the sampled spectra of all shards."""
    chosen = list(shards)
    snr_K = np.concatenate([shard.statistics.snr_K for shard in chosen]) if chosen else np.empty(0)
    valid = snr_K[np.isfinite(snr_K)]
    values = np.percentile(valid, list(PERCENTILES.values())) if len(valid) else [None] * len(PERCENTILES)
    return {
        **{name: None if value is None else float(value) for name, value in zip(PERCENTILES, values, strict=True)},
        "spectra_used": len(valid),
        "sampled": any(shard.statistics.sampled for shard in chosen),
    }


def invalid_counts(shards: Iterable[ShardInspection]) -> dict[str, Any]:
    """Invalid values among the sampled spectra, and the pixels that are invalid in all of them."""
    chosen = list(shards)
    dead: set[int] = set()
    for shard in chosen:  # a pixel without a valid error in any one shard is left out everywhere
        dead.update(shard.statistics.dead_pixels.tolist())
    return {
        "values": sum(shard.statistics.scanned * shard.pixels for shard in chosen),
        "flux": sum(int(shard.statistics.bad_flux_L.sum()) for shard in chosen),
        "error": sum(int(shard.statistics.bad_error_L.sum()) for shard in chosen),
        "masked": sum(int(shard.statistics.masked_L.sum()) for shard in chosen),
        "pixels_without_error": sorted(dead),
        "sampled": any(shard.statistics.sampled for shard in chosen),
    }


def merge_labels(shards: Iterable[ShardInspection]) -> dict[str, dict[str, float | None]]:
    """Label ranges over several shards."""
    ranges: dict[str, list[dict[str, float | None]]] = {}
    for shard in shards:
        for name, found in shard.labels.items():
            ranges.setdefault(name, []).append(found)
    return {
        name: {
            "min": min((found["min"] for found in several if found["min"] is not None), default=None),
            "max": max((found["max"] for found in several if found["max"] is not None), default=None),
            "not_finite": sum(found["not_finite"] or 0 for found in several),
        }
        for name, several in ranges.items()
    }


def _label_ranges(shard: Shard) -> dict[str, dict[str, float | None]]:
    ranges: dict[str, dict[str, float | None]] = {}
    for name in shard.columns:
        values = shard.label(name)
        if values.dtype.kind not in "fiu":
            continue
        finite = values[np.isfinite(values)]
        ranges[name] = {
            "min": float(finite.min()) if len(finite) else None,
            "max": float(finite.max()) if len(finite) else None,
            "not_finite": len(values) - len(finite),
        }
    return ranges


def _wave_range(shards: Iterable[ShardInspection]) -> dict[str, float] | None:
    waves = [shard.wave_angstrom_L for shard in shards if shard.wave_angstrom_L is not None]
    if not waves:
        return None
    return {"min": float(min(wave.min() for wave in waves)), "max": float(max(wave.max() for wave in waves))}


def _disagreements(shards: list[ShardInspection]) -> list[Finding]:
    """Shards of one root must have the same pixels; only then can one model read them all."""
    first = shards[0]
    findings: list[Finding] = []
    for other in shards[1:]:
        if other.pixels != first.pixels:
            findings.append(
                Finding(
                    "fault", f"{other.name} has {other.pixels:,} pixels but {first.name} {first.pixels:,}; part them."
                )
            )
        elif other.wave_angstrom_L is not None and first.wave_angstrom_L is not None:
            shift = float(np.abs(other.wave_angstrom_L - first.wave_angstrom_L).max())
            if not shift < 1e-3:
                findings.append(
                    Finding("fault", f"the wavelengths of {other.name} and {first.name} differ by up to {shift:.3g} A.")
                )
    if not any(shard.split == "train" for shard in shards):
        findings.append(Finding("warning", "there is no train*/dataset.h5: nothing can be trained on this root."))
    return findings

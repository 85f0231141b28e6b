"""Says what is in a shard or a data root: sizes, storage, S/N, label ranges, invalid values.

Headers and labels are read whole, pixel values from a bounded sample of each shard, so that memory and time do not grow
with the size of a file.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.places import require_text
from spectral_search.record.fetched_data import told_path
from spectral_search.tasks.spectra.consistency.parts_consistency import find_mismatches
from spectral_search.tasks.spectra.shards.data_root import DataRoot, is_there
from spectral_search.tasks.spectra.shards.shard import Shard
from spectral_search.tasks.spectra.shards.shard_check import ShardRemark, check_open_shard
from spectral_search.tasks.spectra.shards.value_scan import SAMPLE_ROWS, ShardStatistics, scan
from spectral_search.tasks.spectra.shards.wavelength_grids import Grid, grid_faults
from spectral_search.tasks.spectra.shards.wavelengths import Wavelengths

if TYPE_CHECKING:
    from rich.console import Group

_SPLITS = ("train", "val", "test")
_PERCENTILES = {"min": 0, "p25": 25, "median": 50, "p75": 75, "max": 100}
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
        wave: Pixel centres, and the unit and order in which they are stored.
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
    wave: Wavelengths
    findings: tuple[ShardRemark, ...]

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
            "wavelength_angstrom": wave_range([self]),
            "wavelength_stored": _stored_wave(self.wave),
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
    findings: tuple[ShardRemark, ...]

    @property
    def splits(self) -> dict[str, list[ShardInspection]]:
        """The shards by split; "" for those in a folder of another name."""
        names = [*_SPLITS, ""]
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
            "path": told_path(self.path),
            "kind": self.kind,
            "spectra": sum(shard.spectra for shard in self.shards),
            "pixels": sorted({shard.pixels for shard in self.shards}),
            "wavelength_angstrom": wave_range(self.shards),
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
        from spectral_search.tasks.spectra.shards.shard_inspection_view import (
            render_inspection,  # rich is not needed for JSON
        )

        return render_inspection(self)


class Refusal(NamedTuple):
    """Why a file of a root cannot be read, and the split it would be of."""

    split: str
    fault: str


def inspect_path(path: str | os.PathLike[str], *, sample_rows: int = SAMPLE_ROWS) -> Inspection:
    """Inspects one shard or a data root.

    Args:
        path: A shard, or a folder with shards in `train*/`, `val*/`, `test*/` (or any other folder).
        sample_rows: About how many spectra of each shard are looked at for S/N and invalid values.

    Raises:
        RequestError: There is nothing there, or no shard in it can be read.
    """
    path = Path(path)
    if not os.path.isdir(path):  # unlike Path.is_dir, False also in a folder without permission: the shard tells it
        return Inspection(path, "shard", (_inspect_shard(path, path.name, sample_rows),), ())
    shards: list[ShardInspection] = []
    refusals: list[Refusal] = []
    for file in find_shards(path):
        try:
            shards.append(_inspect_shard(file, str(file.relative_to(path)), sample_rows))
        except RequestError as error:
            refusals += [Refusal(split_of(file), fault) for fault in error.faults]
    if not shards:
        raise RequestError(*(refusal.fault for refusal in refusals))
    findings = _unreadable(shards, refusals)
    if not any(finding.level == "fault" for finding in findings):
        findings += _mismatches(path, shards)
    return Inspection(path, "data root", tuple(shards), tuple(findings))


def find_shards(root: Path) -> list[Path]:
    """The shards of a folder in reading order: train, val, test, others, each by name.

    Raises:
        RequestError: There are none, or the folder may not be looked into.
    """
    try:
        (root / ".").stat()
        os.listdir(root)
    except PermissionError as error:  # a glob would find nothing and say nothing
        raise RequestError(f"{root}: no permission to look into the folder; ask its owner.") from error
    folders = [entry / "dataset.h5" for entry in root.iterdir()]
    files = sorted({*filter(is_there, folders), *root.glob("*.h5")})
    if not files:
        raise RequestError(
            f"{root}: no shards in this folder; expected train*/dataset.h5 and optionally val*/ and test*/."
        )
    order = [*_SPLITS, ""]
    return sorted(files, key=lambda file: (order.index(split_of(file)), str(file)))


def split_of(file: Path) -> str:
    """train, val or test by the start of the folder's name, else an empty string."""
    return next((name for name in _SPLITS if file.parent.name.startswith(name)), "")


def _inspect_shard(file: Path, name: str, sample_rows: int = SAMPLE_ROWS) -> ShardInspection:
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
            wave=shard.wave,
            findings=tuple(check_open_shard(shard, statistics)),
        )


def snr_percentiles(shards: Iterable[ShardInspection]) -> dict[str, Any]:
    """Percentiles of S/N (median over pixels of flux / error) over the sampled spectra of all shards."""
    chosen = list(shards)
    snr_K = np.concatenate([shard.statistics.snr_K for shard in chosen]) if chosen else np.empty(0)
    valid = snr_K[np.isfinite(snr_K)]
    values = np.percentile(valid, list(_PERCENTILES.values())) if len(valid) else [None] * len(_PERCENTILES)
    return {
        **{name: None if value is None else float(value) for name, value in zip(_PERCENTILES, values, strict=True)},
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
        try:
            values = shard.label(name)
        except RequestError:  # what is wrong with a label that is needed, `check` says
            continue
        if values.dtype.kind not in "fiu":
            continue
        finite = values[np.isfinite(values)]
        ranges[name] = {
            "min": float(finite.min()) if len(finite) else None,
            "max": float(finite.max()) if len(finite) else None,
            "not_finite": len(values) - len(finite),
        }
    return ranges


def wave_range(shards: Iterable[ShardInspection]) -> dict[str, float] | None:
    """Lowest and highest wavelength of all shards in Angstrom; None where none has any."""
    waves = [wave_L for shard in shards if (wave_L := shard.wave.centres_angstrom_L) is not None]
    if not waves:
        return None
    return {"min": float(min(wave.min() for wave in waves)), "max": float(max(wave.max() for wave in waves))}


def _stored_wave(wave: Wavelengths) -> dict[str, str] | None:
    if wave.centres_angstrom_L is None:
        return None
    return {"unit": wave.unit.name, "unit_from": wave.unit_from, "order": wave.order}


def _mismatches(path: Path, shards: list[ShardInspection]) -> list[ShardRemark]:
    """What a search would say of shards that stand in one root; it looks at roots with something to train on alone."""
    if not any(shard.split == "train" for shard in shards):
        return []
    try:
        found = find_mismatches(DataRoot.find(path, need_labels=False), noise_level=1.0)
    except RequestError:
        return []  # labels that cannot be used, which each shard's own findings tell
    return [ShardRemark("fault", text) for text in found.refused] + [ShardRemark("warning", text) for text in found.odd]


def _unreadable(shards: list[ShardInspection], refusals: list[Refusal]) -> list[ShardRemark]:
    """What keeps one model from reading all shards of the root.

    Where a search has something to train on, it does not look at files outside train*, val* and test*: these may be
    anything, such as the file that a shard's arrays lie in.
    """
    can_train = "train" in {*(shard.split for shard in shards), *(refusal.split for refusal in refusals)}
    findings = [
        ShardRemark("warning", f"No search reads this file: {fault}")
        if can_train and not split
        else ShardRemark("fault", fault)
        for split, fault in refusals
    ]
    read = [shard for shard in shards if shard.split or not can_train]
    findings += [
        ShardRemark("fault", fault)
        for fault in grid_faults([Grid(shard.name, shard.pixels, shard.wave) for shard in read])
    ]
    if not can_train:
        findings.append(ShardRemark("warning", "there is no train*/dataset.h5: nothing can be trained on this root."))
    return findings

"""What is known of a data set without any network: its baselines, in the results root.

Baselines belong to a data set, a split, a noise level and the noise draws of val: the key of all these names their
folder, so a run finds the baselines that were measured on exactly its own spectra.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectral_search.places import writing
from spectral_search.record.durable import digest_of, read_json, write_json
from spectral_search.record.kept_predictions import read_baseline
from spectral_search.record.manifest import sampled, utc_now
from spectral_search.record.paths import BaselinePaths, BaselineSettingPaths
from spectral_search.record.tables import write_table
from spectral_search.tasks.spectra.report.baseline_methods import BASELINES
from spectral_search.tasks.spectra.section import DataSpec

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 4
"""Raised when the same settings would give other numbers: what an older version stored is then measured anew."""


@dataclass(frozen=True)
class Baselines:
    """The baselines of one data set, split and noise.

    Attributes:
        paths: Where they lie.
        document: What baselines.json holds.
        reads: What Ridge, LightGBM and the oracle mixture read where they are asked for by these names.
    """

    paths: BaselineSettingPaths
    document: dict[str, Any]
    reads: str = "pixels"

    @property
    def part(self) -> str:
        """What the numbers are of: test, or val where the data has no test set."""
        return str(self.document["part"])

    @property
    def methods(self) -> dict[str, dict[str, Any]]:
        """By name: r2, mae_dex, rmse_dex, low, high, spectra, seconds, facts, warnings; only what is finished."""
        found: dict[str, dict[str, Any]] = self.document["methods"]
        return found

    def predictions(self, method: str) -> "pd.DataFrame":
        """A row for each spectrum (and draw): row, draw, id, log_g, T_eff, M_H, snr, log_g_predicted.

        `row` is the position within the test set, or val; join on it. The ceiling has log_g_std and
        effective_templates too, and may stop after 10,000 spectra.

        Raises:
            RequestError: The file is missing or damaged.
        """
        return read_baseline(self.paths, method)

    def keep(self, method: str, entry: Mapping[str, Any], table: "pd.DataFrame") -> "Baselines":
        """Store a finished method; the others stay as they are on disk."""
        with writing(self.paths.predictions(method)):
            write_table(table, self.paths.predictions(method))
        known = load(self.paths)
        methods = {**(known.methods if known else {}), method: dict(entry)}
        ordered = {name: methods[name] for name in BASELINES if name in methods}
        document = {**self.document, "methods": ordered, "updated_at": utc_now()}
        with writing(self.paths.baselines_json):
            write_json(self.paths.baselines_json, document)
        return Baselines(self.paths, document, self.reads)


def data_key(data: Mapping[str, Any]) -> str | None:
    """Names a data set by the labels of its shards and all bytes that numbers are measured on, wherever it lies.

    Args:
        data: Of a manifest: shards, and the content of test, or else of val.

    Returns:
        None while a run has not read its spectra.
    """
    shards, content = data.get("shards", {}), data.get("content", {})
    if sampled(shards):
        return digest_of(json.dumps(sorted(str(shard["sha256"]) for shard in shards.values())))[:12]
    measured = content.get("test") or content.get("val")
    if not measured:
        return None
    labels = sorted(str(shard.get("labels")) for shard in shards.values())
    return digest_of(json.dumps([labels, sorted(measured.items())]))[:12]


def setting_key(data: DataSpec, manifest_data: Mapping[str, Any], train: int) -> str:
    """Names what numbers depend on beside that.

    Args:
        data: The section of the spec.
        manifest_data: As of `data_key`: the split, and the content of train and val.
        train: Training spectra of that split.
    """
    content = [manifest_data["split"], data.noise_level, data.split_seed, data.val_draws]
    if not sampled(manifest_data["shards"]):
        content += [sorted(manifest_data["content"].get(part, {}).items()) for part in ("train", "val")]
    return f"train{train}_noise{data.noise_level:g}_{digest_of(json.dumps(content))[:8]}"


def load(paths: BaselineSettingPaths) -> Baselines | None:
    """The baselines of a folder; None where there are none, or only of another version.

    Raises:
        RequestError: The file is damaged.
    """
    if not paths.baselines_json.is_file():
        return None
    document = read_json(paths.baselines_json)
    return Baselines(paths, document) if document.get("format") == FORMAT else None


def list_baselines(root: Path, data: Mapping[str, Any]) -> list[Baselines]:
    """All that was measured on a data set, smallest training set first.

    Args:
        root: The results root.
        data: As of `data_key`.
    """
    key = data_key(data)
    if key is None:
        return []
    found = [known for paths in BaselinePaths(root, key).settings() if (known := load(paths))]
    return sorted(found, key=lambda known: int(known.document["spectra"]["train"]))

"""What is known of a data set without any network: its baselines and its audit, in the results root.

Baselines belong to a data set, a split, a noise level and the noise draws of val: the key of all these names their
folder, so a run finds the baselines that were measured on exactly its own spectra.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spectral_search.errors import RequestError
from spectral_search.places import writing
from spectral_search.record.durable import digest_of, read_json, write_json
from spectral_search.record.manifest import sampled, utc_now
from spectral_search.record.paths import BaselinePaths, BaselineSettingPaths
from spectral_search.record.prediction_tables import write_table
from spectral_search.spec.data import DataSpec

if TYPE_CHECKING:
    import pandas as pd

METHODS = ("ridge", "lightgbm", "oracle_mixture", "ceiling")
INPUTS = ("pixels", "signal")
"""What Ridge, LightGBM and the oracle mixture read; the ceiling is of the spectra, whatever is read of them."""
FORMAT = 4
"""Raised when the same settings would give other numbers: what an older version stored is then measured anew."""


def stored_name(method: str, reads: str) -> str:
    """The key on disk of a method that reads pixels, or the components of the signal."""
    return method if reads == "pixels" or method == "ceiling" else f"{method}_{reads}"


STORED = tuple(dict.fromkeys(stored_name(method, reads) for reads in INPUTS for method in METHODS))
"""All keys on disk."""


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
        import pandas as pd
        import pyarrow

        file = self.paths.predictions(method)
        try:
            return pd.read_parquet(file)
        except (OSError, ValueError, pyarrow.ArrowException) as fault:
            raise RequestError(
                f"{file} cannot be read ({type(fault).__name__}): fit it again, `baselines --only {method} --again`."
            ) from None

    def keep(self, method: str, entry: Mapping[str, Any], table: "pd.DataFrame") -> "Baselines":
        """Store a finished method; the others stay as they are on disk."""
        with writing(self.paths.predictions(method)):
            write_table(table, self.paths.predictions(method))
        known = load(self.paths)
        methods = {**(known.methods if known else {}), method: dict(entry)}
        ordered = {name: methods[name] for name in STORED if name in methods}
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


def find_baselines(root: Path, manifest_data: Mapping[str, Any], data: DataSpec) -> Baselines | None:
    """The baselines on exactly the spectra of a run.

    Args:
        root: The results root.
        manifest_data: `data` of the run's manifest.
        data: The data section of its spec.
    """
    if not manifest_data.get("shards") or not manifest_data.get("split"):
        return None
    return next(
        (
            known
            for known in list_baselines(root, manifest_data)
            if known.paths.folder.name == setting_key(data, manifest_data, int(known.document["spectra"]["train"]))
        ),
        None,
    )


def audit_key(shards: Mapping[str, Mapping[str, Any]], content: Mapping[str, str]) -> str:
    """Names a data set by all that an audit looks at: every label and every byte of every shard.

    Args:
        shards: See `data_key`.
        content: Digests of all spectra of all shards.
    """
    labels = sorted(str(shard["labels"]) for shard in shards.values())
    return digest_of(json.dumps(["audit", labels, sorted(content.items())]))[:12]


def load_audit(root: Path, key: str) -> dict[str, Any] | None:
    """What the audit of a data set found; None where it was not audited.

    Raises:
        RequestError: The file is damaged.
    """
    file = BaselinePaths(root, key).audit_json
    return read_json(file) if file.is_file() else None


def error_alone(audit: Mapping[str, Any]) -> float | None:
    """R2 of log g from the error array alone, as an audit measured it."""
    return next((float(found["numbers"]["r2"]) for found in audit["findings"] if found["check"] == "error_alone"), None)


def document(found: Baselines) -> dict[str, Any]:
    """The JSON document of `baselines`: each method with numbers of test, null where there is no test set."""
    stored = {name: found.methods.get(stored_name(name, found.reads)) for name in METHODS}
    told = {name: {} if name == "ceiling" else {"input": found.reads} for name in METHODS}
    return {name: entry and {**_entry(found, entry), **told[name]} for name, entry in stored.items()}


def _entry(found: Baselines, entry: Mapping[str, Any]) -> dict[str, Any]:
    scores = ("r2", "mae_dex", "rmse_dex")
    shown = {f"test_{key}": entry[key] if found.part == "test" else None for key in scores}
    if found.part != "test":
        shown |= {f"{found.part}_{key}": entry[key] for key in scores}
    shown |= {key: entry[key] for key in ("low", "high", "seconds", "spectra", "noise", "warnings")}
    return {**shown, "part": found.part, **entry["facts"]}


def render_baselines(found: Baselines) -> RenderableType:
    """The numbers as a table, and what must be known with them."""
    size = found.document["spectra"]
    noise = next(iter(found.methods.values()))["noise"] if found.methods else ""
    table = Table(
        title=f"Baselines, {size['train']:,} training spectra: R2 of log g on {found.part} ({noise})",
        title_justify="left",
        box=None,
    )
    for heading in ("method", "R2", "95% interval", "MAE dex", "RMSE dex", "spectra", "seconds"):
        table.add_column(heading, justify="left" if heading == "method" else "right", no_wrap=True)
    for name, entry in found.methods.items():
        table.add_row(
            name,
            f"{entry['r2']:.4f}",
            f"{entry['low']:.4f} to {entry['high']:.4f}",
            f"{entry['mae_dex']:.4f}",
            f"{entry['rmse_dex']:.4f}",
            f"{entry['spectra']:,}",
            f"{entry['seconds']:.0f}",
        )
    return Group(table, *(Text(line) for line in _remarks(found)))


def _remarks(found: Baselines) -> list[str]:
    lines = [f"data parts do not match: {text}" for text in found.document["data"].get("mismatches", ())]
    for name in ("ridge", "ridge_signal"):
        if name in found.methods:
            fresh = found.methods[name]["facts"]["fresh_noise_r2"]
            lines.append(
                f"{name} saw one noisy copy of each spectrum; on fresh noise, as networks get it: R2 {fresh:.4f}."
            )
    if "ceiling" in found.methods:
        lines += _about_ceiling(found.methods["ceiling"])
    if found.part == "val":
        lines.append("No test set: these are val numbers, on which penalties and trees were chosen.")
    for entry in found.methods.values():
        lines += entry["warnings"]
    return [*lines, f"stored in {found.paths.folder}"]


def _about_ceiling(entry: Mapping[str, Any]) -> list[str]:
    facts = entry["facts"]
    bounds = (
        f"ceiling: R2 {entry['r2']:.4f} is a lower bound, which the posterior mean reached, and "
        f"{facts['upper_estimate']:.4f} an upper estimate, which its own spread promises (median of "
        f"{facts['effective_templates']:.1f} effective templates of {facts['templates']:,})."
    )
    lines = [bounds]
    if "emulator_error" in facts:
        lines.append(
            f"Its templates are emulated from {', '.join(facts['labels'])}, held-out spectra to "
            f"{facts['emulator_error']:.2g} of their noise in {facts['components']} components together; squared "
            f"errors are {facts['error_over_promise']:.3f} +- {facts['error_over_promise_std']:.3f} times what it "
            "promises."
        )
        lines.append(
            f"Fisher (Cramer-Rao) bound, all labels unknown: R2 {facts['fisher_r2']:.4f}, median error "
            f"{facts['fisher_median_dex']:.3f} dex. It binds estimators without bias; one that knows how stars are "
            "distributed, as networks and the posterior mean do, may beat it at low S/N."
        )
    return lines


def render_audit(audit: Mapping[str, Any]) -> RenderableType:
    """Findings as sentences, those to act on first."""
    rank = {"warning": 0, "note": 1, "ok": 2}
    ordered = sorted(audit["findings"], key=lambda finding: rank[finding["level"]])
    return Group(*(Text(f"{finding['level']:8s}{finding['text']}") for finding in ordered))

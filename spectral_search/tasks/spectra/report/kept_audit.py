"""What an audit found of a data set, in the results root and for a terminal."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from spectral_search.record.durable import digest_of, read_json
from spectral_search.record.paths import BaselinePaths


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


def render_audit(audit: Mapping[str, Any]) -> RenderableType:
    """Findings as sentences, those to act on first."""
    rank = {"warning": 0, "note": 1, "ok": 2}
    ordered = sorted(audit["findings"], key=lambda finding: rank[finding["level"]])
    return Group(*(Text(f"{finding['level']:8s}{finding['text']}") for finding in ordered))

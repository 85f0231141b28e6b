"""Shows an inspection in a terminal."""

from collections.abc import Iterable, Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spectral_search.record.fetched_data import told_path
from spectral_search.tasks.spectra.shards.shard_check import index_ranges
from spectral_search.tasks.spectra.shards.shard_inspection import (
    UNITS,
    Inspection,
    ShardInspection,
    invalid_counts,
    merge_labels,
    snr_percentiles,
    wave_range,
)
from spectral_search.tasks.spectra.shards.wave_units import ANGSTROM

_STYLES = {"fault": "bold red", "warning": "yellow", "hint": "dim"}


def render_inspection(inspection: Inspection) -> Group:
    """Tables of shards, S/N and labels, then the findings, each said once."""
    parts: list[RenderableType] = [_headline(inspection), "", _shard_table(inspection), "", _snr_table(inspection), ""]
    labels = merge_labels(inspection.shards)
    if labels:
        parts.extend([_label_table(labels), ""])
    parts.append(_invalid_line(inspection.shards))
    parts.extend(_finding_lines(inspection))
    return Group(*parts)


def _headline(inspection: Inspection) -> Text:
    spectra = sum(shard.spectra for shard in inspection.shards)
    pixels = sorted({shard.pixels for shard in inspection.shards})
    widths = " / ".join(f"{size:,}" for size in pixels)
    text = f"{told_path(inspection.path)}: {inspection.kind}, {spectra:,} spectra, {widths} pixels"
    return Text(text + _wave_text(inspection.shards), style="bold")


def _wave_text(shards: Sequence[ShardInspection]) -> str:
    """The wavelengths in the unit in which they are stored; in Angstrom too where that is another."""
    found = wave_range(shards)
    if found is None:
        return ""
    waves = [shard.wave for shard in shards if shard.wave.centres_angstrom_L is not None]
    low, high = found["min"], found["max"]
    text = f", {low:,.1f} to {high:,.1f} Å"
    units = {wave.unit.name: wave.unit for wave in waves}
    if set(units) == {ANGSTROM.name}:
        pass
    elif len(units) > 1 or ANGSTROM in (unit := next(iter(units.values())), unit.shown):
        text += f" (stored in {' and '.join(units)})"
    else:
        text = f", {unit.from_angstrom(low):,.6g} to {unit.from_angstrom(high):,.6g} {unit.name} ({text[2:]})"
    orders = {wave.order for wave in waves} - {"increasing"}
    return text + "".join(f", {order}" for order in sorted(orders))


def _shard_table(inspection: Inspection) -> Table:
    table = Table(title="Shards", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in ("file", "spectra", "size", "arrays", "flux stored as"):
        table.add_column(name, justify="right" if name in ("spectra", "size") else "left")
    for shard in inspection.shards:
        table.add_row(
            Text(shard.name), f"{shard.spectra:,}", _size(shard.file_bytes), " ".join(shard.storage), _stored(shard)
        )
    return table


def _stored(shard: ShardInspection) -> str:
    flux = shard.storage["flux"]
    order = " big-endian" if flux["byte_order"] == "big" else ""
    chunks = "contiguous" if flux["chunks"] is None else f"chunks {flux['chunks'][0]:,} x {flux['chunks'][1]:,}"
    packed = f", {flux['compression']}" if flux["compression"] else ""
    shuffled = ", shuffle" if flux["shuffle"] else ""
    unit = f" x {flux['packing']['scale_factor']:g} + {flux['packing']['add_offset']:g}" if "packing" in flux else ""
    return f"{flux['dtype']}{unit}{order}, {chunks}{packed}{shuffled}"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


def _snr_table(inspection: Inspection) -> Table:
    table = Table(
        title="S/N (median over pixels of flux / error)",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    table.add_column("split")
    for name in ("min", "25%", "median", "75%", "max", "spectra used"):
        table.add_column(name, justify="right")
    for split, shards in inspection.splits.items():
        found = snr_percentiles(shards)
        numbers = ["-" if found[key] is None else f"{found[key]:.1f}" for key in ("min", "p25", "median", "p75", "max")]
        used = f"{found['spectra_used']:,}" + (" (sampled)" if found["sampled"] else " (all)")
        table.add_row(split or "-", *numbers, used)
    return table


def _label_table(labels: dict[str, dict[str, float | None]]) -> Table:
    table = Table(title="Labels", title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("label")
    for name in ("lowest", "highest"):
        table.add_column(name, justify="right")
    table.add_column("unit")
    table.add_column("not finite", justify="right")
    for name, found in labels.items():
        low, high = ("-" if found[end] is None else f"{found[end]:.6g}" for end in ("min", "max"))
        table.add_row(
            Text(name), low, high, UNITS.get(name, ""), f"{found['not_finite']:,}" if found["not_finite"] else "-"
        )
    return table


def _invalid_line(shards: Iterable[ShardInspection]) -> Text:
    found = invalid_counts(shards)
    dead = np.asarray(found["pixels_without_error"], dtype=int)
    text = (
        f"Invalid values: flux {found['flux']:,}, error {found['error']:,}, masked {found['masked']:,} of "
        f"{found['values']:,}{' looked at (a sample)' if found['sampled'] else ''}"
    )
    return Text(text + (f"; no valid error at pixels {index_ranges(dead)}" if len(dead) else ""))


def _finding_lines(inspection: Inspection) -> list[Text]:
    """Findings that several shards share are said once, with their number."""
    names: dict[tuple[str, str], list[str]] = {(f.level, f.sentence): [] for f in inspection.findings}
    for shard in inspection.shards:
        for finding in shard.findings:
            names.setdefault((finding.level, finding.sentence), []).append(shard.name)
    lines: list[Text] = []
    for level in ("fault", "warning", "hint"):
        for (found_level, sentence), shards in names.items():
            if found_level == level:
                where = (
                    "" if inspection.kind == "shard" or not shards else f" ({_where(shards, len(inspection.shards))})"
                )
                lines.append(Text.assemble((f"{level}: ", _STYLES[level]), sentence.rstrip(".") + where + "."))
    return lines


def _where(names: list[str], total: int) -> str:
    if len(names) == total:
        return "all shards"
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} shards"

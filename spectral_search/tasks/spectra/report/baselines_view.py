"""Baselines as a document and for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spectral_search.tasks.spectra.report.baseline_methods import METHODS, stored_name
from spectral_search.tasks.spectra.report.kept_baselines import Baselines


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

"""A picture of sample spectra."""

import os
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spectral_search.errors import RequestError
from spectral_search.places import require_output, writing
from spectral_search.tasks.spectra.shards.shard import Shard
from spectral_search.tasks.spectra.shards.shard_inspection import find_shards, split_of
from spectral_search.tasks.spectra.shards.value_scan import median_snr, scan

_FORMATS = (".png", ".pdf", ".svg")
_NOISY, _CLEAN, _BAND = "#9aa5b1", "#0b4f8a", "#f0a04b"


def plot_samples(path: str | os.PathLike[str], file: str | os.PathLike[str], *, count: int = 4) -> Path:
    """Draws spectra from the lowest to the highest S/N of a shard.

    Args:
        path: A shard or a data root; of a root the first test, val or train shard is shown, in this order of preference
            because test and val shards hold frozen noise.
        file: The picture; .png, .pdf or .svg.
        count: How many spectra.

    Returns:
        The picture's path.

    Raises:
        RequestError: The data cannot be read, or the picture cannot be written there.
        RunError: The disk is full.
    """
    file = check_picture_name(Path(file))
    source = _choose(Path(path))
    with Shard.open(source, need_labels=False) as shard:
        rows = _spread_rows(shard, count)
        figure = Figure(figsize=(11, 2.3 * len(rows) + 1.1), layout="constrained")
        FigureCanvasAgg(figure)
        axes = np.atleast_1d(figure.subplots(len(rows), 1, sharex=True))
        for axis, row in zip(axes, rows, strict=True):
            _draw(axis, shard, int(row))
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside lower right", ncols=3, fontsize=9, frameon=False
        )
        axes[-1].set_xlabel("pixel" if shard.wave_angstrom_L is None else f"wavelength ({shard.wave.unit.shown.name})")
        figure.supylabel("flux (units of the file)", fontsize=10)
        noise = "noise as stored" if shard.has_noisy else "noise drawn for this picture"
        figure.suptitle(
            f"{source.parent.name}/{source.name}: {len(rows)} of {shard.spectra:,} spectra by S/N; {noise}",
            fontsize=11,
        )
    _save(figure, file)
    return file


def check_picture_name(file: Path) -> Path:
    """Return the name of a picture that can be written; its folder is made if it is not there.

    Raises:
        RequestError: Its ending is none of a picture's, or it cannot be written there.
        RunError: The disk is full.
    """
    if file.suffix.lower() not in _FORMATS:
        raise RequestError(f"{file}: pictures end in {', '.join(_FORMATS)}; choose one of these.")
    require_output(file, makes_folders=True)
    return file


def _choose(path: Path) -> Path:
    if not path.is_dir():
        return path
    files = find_shards(path)
    order = ["test", "val", "train", ""]
    return min(files, key=lambda file: (order.index(split_of(file)), str(file)))


def _spread_rows(shard: Shard, count: int) -> np.ndarray:
    statistics = scan(shard, 512)
    usable = np.flatnonzero(np.isfinite(statistics.snr_K))
    if not len(usable):
        raise RequestError(
            f"{shard.path}: no spectrum looked at has a pixel with a valid flux and error; nothing to draw."
        )
    ordered = usable[np.argsort(statistics.snr_K[usable], kind="stable")]
    places = np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(int)
    rows: np.ndarray = statistics.rows_K[ordered[places]]
    return rows


def _draw(axis: Axes, shard: Shard, row: int) -> None:
    arrays = shard.read(row, row + 1, ("flux", "error") + ("noisy",) * shard.has_noisy + ("mask",) * shard.has_mask)
    flux_L, error_L = arrays["flux"][0], arrays["error"][0]
    good_L = np.isfinite(flux_L) & np.isfinite(error_L) & (error_L > 0)
    if shard.has_mask:
        good_L &= ~arrays["mask"][0]
    error_L = np.where(good_L, error_L, np.nan)
    if shard.has_noisy:
        noisy_L = arrays["noisy"][0]
    else:
        noise_L = np.random.default_rng(row).standard_normal(shard.pixels)
        noisy_L = np.clip(flux_L + error_L * noise_L, 0, None)
    wave_L = shard.wave_angstrom_L
    x_L = np.arange(shard.pixels) if wave_L is None else shard.wave.unit.shown.from_angstrom(wave_L)
    axis.plot(x_L, noisy_L, color=_NOISY, linewidth=0.4, label="with noise", zorder=1, rasterized=True)
    # Above the noise, which would hide it; clipped at 0 as the noisy flux is.
    low_L, high_L = np.clip(flux_L - error_L, 0, None), flux_L + error_L
    axis.fill_between(
        x_L, low_L, high_L, color=_BAND, alpha=0.5, linewidth=0, zorder=2, label="±1 sigma", rasterized=True
    )
    axis.plot(x_L, flux_L, color=_CLEAN, linewidth=0.9, zorder=3, label="noise-free")
    axis.set_title(
        _title(shard, row, float(median_snr(flux_L[None], error_L[None], good_L[None])[0])), fontsize=9, loc="left"
    )
    # A few pixels on bright sky lines must not set the scale: they run out of the panel.
    top = float(np.fmax(np.max(flux_L[good_L]), np.nanpercentile(noisy_L[good_L], 99)))
    axis.set_ylim(0, 1.1 * top if top > 0 else 1.0)
    axis.set_xlim(float(x_L.min()), float(x_L.max()))
    axis.tick_params(labelsize=8)


def _title(shard: Shard, row: int, snr: float) -> str:
    texts = [f"row {row:,}"]
    for name, form in {"T_eff": "T_eff = {:,.0f} K", "log_g": "log g = {:.2f}", "M_H": "[M/H] = {:+.2f}"}.items():
        if name in shard.columns:
            texts.append(form.format(float(shard.label(name)[row])))
    return "    ".join([*texts, f"S/N = {snr:.1f}"])


def _save(figure: Figure, file: Path) -> None:
    """Under a temporary name first, so that a picture is whole or not there."""
    part = file.with_name(f".{file.stem}.{os.getpid()}{file.suffix}")
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            figure.savefig(part, dpi=130)
            os.replace(part, file)
        finally:
            part.unlink(missing_ok=True)

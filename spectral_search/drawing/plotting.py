"""How figures are drawn and written: one drawing, two widths, light and dark, screen and paper.

A figure is drawn by matplotlib once for wide and once for narrow screens. In the page its colours become CSS variables,
so that one SVG serves the light and the dark theme and print; its text stays text. Beside the page lie png and pdf.
"""

import io
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from matplotlib.typing import RcKeyType

from spectral_search.drawing.figure import NARROW, WIDE, Figure, Layout
from spectral_search.spec.families import families
from spectral_search.spec.family import Colour

INK, MUTED, GRID, _FACE = "#1b1f24", "#5d6672", "#d8dde4", "#fdfdfc"
_BASELINES = {
    "Ridge": Colour("#747b84", "#b4bac2"),
    "LightGBM": Colour("#857417", "#d8c65a"),
    "oracle mixture": Colour("#6a4d9f", "#b59dec"),
    "ceiling": Colour("#2f353c", "#f2f4f6"),
}
_COLOURS = {family.label: family.colour for family in families().values()} | _BASELINES
"""Colours of the methods, told apart also by those who see no difference of red and green."""
THEME: dict[str, tuple[str, str]] = {
    "ink": (INK, "#e7eaee"),
    "muted": (MUTED, "#a4adb8"),
    "grid": (GRID, "#3a414a"),
    "face": (_FACE, "#15181c"),
    **{re.sub(r"\W+", "-", label.lower()): hue for label, hue in _COLOURS.items()},
}
"""CSS variable -> its colour in the light and in the dark theme."""
DASHES = ("-", (0, (5, 2)), (0, (1.2, 1.4)), (0, (5, 1.5, 1.2, 1.5)))
MARKERS = "osD^vP"
_STYLE: dict[RcKeyType, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "figure.facecolor": _FACE,
    "savefig.facecolor": _FACE,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.08,
}


@dataclass(frozen=True)
class Drawing:
    """A figure in all its forms: an SVG element for each layout of the page, and the content of files by ending."""

    svg: tuple[str, ...] = field(repr=False)
    files: dict[str, bytes] = field(repr=False)

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        return self.files["png"]


def rendered(figure: Figure, dpi: int = 200) -> Drawing:
    """Draw a figure; `dpi` is that of its png."""
    wide, narrow = (_drawn(figure, layout) for layout in (WIDE, NARROW))
    svg = tuple(_svg_text(figure, layout, canvas) for layout, canvas in ((WIDE, wide), (NARROW, narrow)))
    # The time of writing would make equal figures different files.
    png, pdf = _saved(wide, "png", {"Software": None}, dpi=dpi), _saved(wide, "pdf", {"CreationDate": None})
    return Drawing(svg, {"png": png, "pdf": pdf})


def _drawn(figure: Figure, layout: Layout) -> Canvas:
    if figure.draw is None:
        raise ValueError(f"{figure.key} has nothing to draw")
    with mpl.rc_context(_STYLE):
        canvas = figure.draw(layout)
        FigureCanvasAgg(canvas)
        # Everything has its place after one drawing; finding it again for each file would take most of the time.
        canvas.draw_without_rendering()
        canvas.set_layout_engine("none")
        return canvas


def _saved(canvas: Canvas, ending: str, metadata: dict[str, str | None], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with mpl.rc_context(_STYLE):
        canvas.savefig(buffer, format=ending, metadata=metadata, **options)
    return buffer.getvalue()


def _svg_text(figure: Figure, layout: Layout, canvas: Canvas) -> str:
    """The figure as an SVG element for a page: colours as CSS variables, scaled to the width of its place."""
    with mpl.rc_context({"svg.hashsalt": f"{figure.key}-{layout.name}"}):
        text = _saved(canvas, "svg", {"Date": None, "Creator": None}, transparent=True).decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = text.replace("<svg", f'<svg role="img" aria-label="{escape(figure.title)}" class="{layout.name}"', 1)
    text = re.sub(r"<[^>]+>", _rounded, text)
    text = re.sub(r"font: ([^;\"]*?)'DejaVu Sans'[^;\"]*", r"font: \1var(--sans)", text)
    # Colours of a family become variables of the page; all others, such as those of a map, are the same in any theme.
    for name, (light, _) in THEME.items():
        text = text.replace(light, f"var(--{name})")
    return text.replace("\n", " ")


def _rounded(tag: re.Match[str]) -> str:
    """An SVG tag with its coordinates to a hundredth of a point; text between tags is no business of this."""
    return re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), tag[0])


def colour(family: str) -> str:
    """The colour of a family; one on another input has the same."""
    found = _COLOURS.get(family.partition(" on ")[0])
    return INK if found is None else found.light


def log_axis(axis: Axis, low: float, high: float, text: Callable[[float], str]) -> None:
    """Ticks of a logarithmic axis at round values, few enough to be read, each worded by `text`."""
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]
        if len(ticks) >= 3:
            break
    else:  # so narrow a range holds fewer than three of them
        ticks = [tick for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high] or [low]
    axis.set_major_locator(FixedLocator(ticks[:: math.ceil(len(ticks) / 6)]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
    axis.set_minor_locator(NullLocator())


def short_count(value: float) -> str:
    """8192 as 8.2k, a million as 1M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


def legend(canvas: Canvas, ax: Axes, layout: Layout) -> None:
    """A legend above all panels, where there is more than one entry; the figure grows by its height."""
    handles, labels = ax.get_legend_handles_labels()
    if len(labels) < 2:
        return
    columns, width = (2, 19) if layout.narrow else (4, 26)
    canvas.set_figheight(canvas.get_figheight() + 0.19 * math.ceil(len(labels) / columns))
    canvas.legend(handles, [cut(label, width) for label in labels], loc="outside upper left", ncols=columns)


def cut(text: str, width: int) -> str:
    """The text, its end replaced by an ellipsis where it is longer than the width."""
    return text if len(text) <= width else text[: width - 1] + "…"

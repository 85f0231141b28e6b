"""What a report shows: figures, which are drawn only when it is written, and the chapters that they stand in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


@dataclass(frozen=True)
class Layout:
    """How wide a figure is, in inches, and whether its panels stand below each other."""

    name: str
    width: float

    @property
    def narrow(self) -> bool:
        return self.name == "narrow"

    def canvas(self, height: float) -> "Canvas":
        """An empty figure of a height in inches."""
        from matplotlib.figure import Figure as Canvas

        return Canvas(figsize=(self.width, height))

    def panels(self, count: int, height: float, *, columns: int = 2, **options: Any) -> "tuple[Canvas, list[Axes]]":
        """Panels of a height in inches, side by side as the width allows; unused places stay empty."""
        columns = 1 if self.narrow else min(columns, count)
        rows = -(-count // columns)
        canvas = self.canvas(height * rows)
        grid = canvas.subplots(rows, columns, squeeze=False, **options)
        for spare in grid.flat[count:]:
            spare.set_visible(False)
        return canvas, list(grid.flat[:count])


WIDE, NARROW = Layout("wide", 7.6), Layout("narrow", 3.75)


@dataclass(frozen=True)
class Figure:
    """A figure of a report.

    Attributes:
        key: Names its files.
        title: What it shows.
        caption: What to see in it, said of these very data.
        draw: Draws it in a layout; None where its data are not there.
        command: What would bring the data that are not there.
        rows: A table below it, its header first.
    """

    key: str
    title: str
    caption: str
    draw: "Callable[[Layout], Canvas] | None" = None
    command: str | None = None
    rows: Sequence[Sequence[str]] = ()


def lacking(key: str, title: str, reason: str, command: str | None) -> Figure:
    """A figure whose data are not there: why, and the command that brings them."""
    return Figure(key, title, reason, command=command)


@dataclass(frozen=True)
class Chapter:
    """A part of the page: its title, one plain paragraph, and figures."""

    title: str
    text: str = ""
    figures: Sequence[Figure] = ()

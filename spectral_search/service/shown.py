"""Where a verb shows what it does."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Shown:
    """Where a verb shows what it does.

    Attributes:
        console: For the live view and notes; on stderr when stdout is one JSON document.
        progress: Makes a progress callback for a long step, given its title.
    """

    console: "Console"
    progress: Callable[[str], Progress] = field(default=lambda title: lambda done, total: None)

    def say(self, text: str) -> None:
        """Show one line."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def silent() -> Shown:
    """Shows nothing: for notebooks and scripts."""
    import io

    from rich.console import Console

    # In a notebook rich would print there, whatever the file.
    return Shown(Console(file=io.StringIO(), force_jupyter=False))

"""What every part of the benchmark is given."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BenchContext:
    """How the benchmark is carried out.

    Attributes:
        quick: Tiny sizes, to see that it runs; the numbers mean nothing.
        scratch: An empty folder for what is written on the way, removed at the end.
        say: Shows one line.
        progress: Makes a progress callback for a long step, given its title.
        curves: File of recorded tasks for `efficiency`, where one is given.
        task: Of `search`.
        data_root: Of `search` of another task than spectra: its images or readings, where they are given.
        spectra: Training spectra of `search`, where they are given: then beside the first of the peers alone.
    """

    quick: bool
    scratch: Path
    say: Callable[[str], None]
    progress: Callable[[str], Callable[[int, int], None]]
    curves: Path | None = None
    spectra: int | None = None
    task: str = "spectra"
    data_root: Path | None = None

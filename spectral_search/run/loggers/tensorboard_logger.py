"""TensorBoard: a folder of events a trial, `tensorboard --logdir NAME/logging/tensorboard`.

That command is of the package tensorboard, which showing needs and searching does not: `pip install tensorboard`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from spectral_search.record.paths import RunPaths
from spectral_search.run.loggers.epoch_sink import Logger, Point
from spectral_search.spec.yaml_io import show


class TensorBoard(Logger):
    """A writer for each trial that trains."""

    package, extra = "tensorboardX", "tensorboard"

    def __init__(self, paths: RunPaths, stage: str) -> None:
        super().__init__(paths, stage)
        self._writers: dict[int, Any] = {}

    def begin(self, number: int, params: Mapping[str, Any]) -> None:
        if number not in self._writers:
            folder = self.folder / f"{number:04d}"
            # Files are called after the second in which they are made: one that goes on at once would take the first's.
            made = len(list(folder.glob("*")))
            self._writers[number] = self.library().SummaryWriter(str(folder), filename_suffix=f".{made}")
            table = "\n".join(f"    {key}: {show(value)}" for key, value in params.items())
            self._writers[number].add_text("params", table or "    as in the spec", 0)

    def epochs(self, number: int, points: Sequence[Point]) -> None:
        writer = self._writers[number]
        for point in points:
            for name, value in point.values.items():
                writer.add_scalar(name, value, point.epoch, walltime=point.at)
        writer.flush()  # a kill would take what it keeps for later

    def end(self, number: int, state: str) -> None:
        # Hundreds of trials would keep as many files open; a trial that goes on writes another file of its folder, and
        # one that ends where it waited has none open.
        if (writer := self._writers.pop(number, None)) is not None:
            writer.close()

    def close(self) -> None:
        for number in list(self._writers):
            self.end(number, "waiting")


LOGGER = TensorBoard

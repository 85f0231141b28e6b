"""TensorBoard: a folder of events a trial, `tensorboard --logdir NAME/logging/tensorboard`."""

from collections.abc import Mapping
from typing import Any

from spectral_search.run.loggers.epoch_sink import Logger
from spectral_search.spec.yaml_io import show


class TensorBoard(Logger):
    """A writer for each trial that trains."""

    package, extra = "tensorboardX", "tensorboard"

    def begin(self, number: int, params: Mapping[str, Any]) -> None:
        writers = self._writers()
        if number not in writers:
            folder = self.folder / f"{number:04d}"
            # Files are called after the second in which they are made: one that goes on at once would take the first's.
            made = len(list(folder.glob("*")))
            writers[number] = self.library().SummaryWriter(str(folder), filename_suffix=f".{made}")
            table = "\n".join(f"    {key}: {show(value)}" for key, value in params.items())
            writers[number].add_text("params", table or "    as in the spec", 0)

    def epoch(self, number: int, epoch: int, values: Mapping[str, float]) -> None:
        writer = self._writers()[number]
        for name, value in values.items():
            writer.add_scalar(name, value, epoch)
        writer.flush()  # a kill would take what it keeps for later

    def end(self, number: int, state: str) -> None:
        # Hundreds of trials would keep as many files open; a trial that goes on writes another file of its folder.
        self._writers().pop(number).close()

    def close(self) -> None:
        for number in list(self._writers()):
            self.end(number, "waiting")

    def _writers(self) -> dict[int, Any]:
        made: dict[int, Any] = self.__dict__.setdefault("_open", {})
        return made


LOGGER = TensorBoard

"""The epochs of a trial: a line an epoch in its progress file, which is the durable record of them.

Of searches of the version before, the study holds the objective after each epoch too; it counts where it is there.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from spectral_search.errors import RequestError
from spectral_search.record.durable import Lines, read_lines

EpochRecord = dict[str, Any]
"""One epoch of one member: epoch, the metrics of the task on val (val_NAME), train_loss, train_gain (the part of the
mean label's loss that training removed), lr, steps (since the first epoch), seconds, and examples a second under the
task's word for examples."""


class Epochs(NamedTuple):
    """The epochs of a trial, in order, and whether the file holds them just so."""

    records: list[EpochRecord]
    as_written: bool


def read_epochs(path: Path, val_name: str, stored: Mapping[int, float]) -> Epochs:
    """Read a trial's epochs.

    Args:
        path: Its progress file; a cut last line is left out, since that epoch was never recorded.
        val_name: The objective's key; what is no number there becomes NaN.
        stored: Epoch -> value as a study of the version before holds it; empty for later ones.

    Raises:
        RequestError: The file is damaged or lacks an epoch, and the study does not tell either.
    """
    try:
        lines = read_lines(path)
    except RequestError:
        # A study that holds the objective of every epoch replaces the file but for its other metrics.
        if not stored:
            raise
        lines = Lines([], cut=True)
    records = joined(lines.records, val_name, stored)
    for number, record in enumerate(records, start=1):
        if record["epoch"] != number:
            raise RequestError(
                f"{path} lacks epoch {number}: restore the file, or cut it there if the trial is not over, so that "
                "what follows is trained again."
            )
        # NaN was written as null, since JSON has no word for it.
        if not isinstance(record.get(val_name), int | float):
            record[val_name] = math.nan
    return Epochs(records, not lines.cut and [row.get("epoch") for row in lines.records] == _epochs(records))


def joined(written: Iterable[EpochRecord], val_name: str, stored: Mapping[int, float]) -> list[EpochRecord]:
    """The epochs in order, by their last lines: a trial that went on from a checkpoint may have told some again."""
    rows = {row["epoch"]: row for row in written if isinstance(row.get("epoch"), int)}
    for epoch, value in stored.items():
        rows[epoch] = {"epoch": epoch, **rows.get(epoch, {}), val_name: value}
    return [rows[epoch] for epoch in sorted(rows)]


def _epochs(records: Iterable[EpochRecord]) -> list[int]:
    return [record["epoch"] for record in records]

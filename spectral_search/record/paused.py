"""What of a run's space is paused: kept in its folder, so that whoever goes on with the run keeps to it."""

import json
from collections.abc import Collection, Sequence

from spectral_search.record.durable import append_line, plain, read_lines, write_atomic
from spectral_search.record.paths import RunPaths
from spectral_search.spec.space_part import PausedPart


def read_paused(paths: RunPaths) -> list[PausedPart]:
    """What is paused, the oldest first.

    Raises:
        RequestError: The file is damaged.
    """
    return [PausedPart.from_dict(line) for line in read_lines(paths.paused_jsonl).records]


def write_paused(paths: RunPaths, paused: PausedPart) -> None:
    """Add a part, durably."""
    append_line(paths.paused_jsonl, paused.to_dict())


def lift_paused(paths: RunPaths, trials: Collection[int]) -> None:
    """Let trials into the parts again that those trials had closed: they are to run once more."""
    before = read_paused(paths)
    left: Sequence[PausedPart] = [paused for paused in before if not set(paused.trials) & set(trials)]
    if len(left) < len(before):
        write_atomic(paths.paused_jsonl, "".join(json.dumps(plain(paused.to_dict())) + "\n" for paused in left))

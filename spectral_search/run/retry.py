"""Failed trials of a run, entered anew: what failed runs once more, and nothing else is touched.

A trial runs again with the number, the parameters and the seeds that it had, from its last checkpoint where that is
sound and from its first epoch where it is not. So a search whose trials failed of what was mended since ends with the
leaderboard of one in which nothing failed, but for what was proposed or decided meanwhile without them.
"""

from collections.abc import Collection, Mapping, Sequence

from spectral_search.errors import RequestError
from spectral_search.record.manifest import Manifest
from spectral_search.record.paused import lift_paused
from spectral_search.record.run_records import RunRecord
from spectral_search.run.study_copy import copy_study
from spectral_search.run.study_storage import open_storage, storage_url


def failed_trials(record: RunRecord, wanted: Collection[int]) -> list[int]:
    """The trials that are to run again, by number.

    Args:
        record: The run.
        wanted: Which of the failed ones; all of them where empty.

    Raises:
        RequestError: Nothing failed, or one of those that are wanted did not.
    """
    name, failed = record.paths.name, [trial.number for trial in record.trials if trial.state == "failed"]
    if not failed:
        raise RequestError(f"No trial of {name} failed, so there is nothing to retry: `status {name}` shows it.")
    told = ", ".join(map(str, failed))
    states = {trial.number: trial.state for trial in record.trials}
    faults = [
        f"--trial {number}: {name} has {_found(number, states)}; those that failed are {told}."
        for number in dict.fromkeys(wanted)
        if number not in failed
    ]
    if faults:
        raise RequestError(*faults)
    return [number for number in failed if not wanted or number in wanted]


def _found(number: int, states: Mapping[int, str]) -> str:
    return f"no trial {number}" if number not in states else f"trial {number} {states[number]}, not failed"


def reasons(record: RunRecord, numbers: Sequence[int]) -> list[str]:
    """Why those trials had failed, a line for each cause, and what will be done."""
    told = [group.told for group in record.failures if set(group.trials) & set(numbers)]
    which = f"trial {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} trials ({', '.join(map(str, numbers))})"
    return [
        *(line[0].upper() + line[1:] for line in told),
        f"Running again: {which}, from the last checkpoint of each.",
    ]


def enter_retry(record: RunRecord, numbers: Collection[int]) -> None:
    """Enter into a run's record that failed trials are to run again; resuming it then carries that out.

    The caller holds the run (see `run_lock`).
    """
    manifest = Manifest.load(record.paths.manifest_json)
    with open_storage(storage_url(manifest, record.paths)) as storage:
        manifest.study_name = copy_study(storage, manifest.study_name, numbers, "Run again, having failed")
    lift_paused(record.paths, numbers)
    manifest.state = "interrupted"
    manifest.save(record.paths.manifest_json)

"""What is told after a run."""

import shlex

from spectral_search.record.overview import next_steps
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord


def test_the_next_commands_find_the_run_where_it_is(finished_run: RunPaths) -> None:
    record = RunRecord.load(finished_run)
    assert not any("--results" in line for line in next_steps(record))
    commands = [line.split("    (")[0] for line in next_steps(record, "exp #1") if "spectral-search" in line]
    assert len(commands) == 3
    for command in commands:
        words = shlex.split(command)
        assert words[words.index("--results") + 1] == "exp #1"

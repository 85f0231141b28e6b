"""What is told after a run."""

import shlex
from io import StringIO

from rich.console import Console

from spectral_search.record.overview import next_steps, render_specs
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord
from spectral_search.spec.load import list_specs
from spectral_search.spec.task_modules import task_names


def test_the_next_commands_find_the_run_where_it_is(finished_run: RunPaths) -> None:
    record = RunRecord.load(finished_run)
    assert not any("--results" in line for line in next_steps(record))
    commands = [line.split("    (")[0] for line in next_steps(record, "exp #1") if "spectral-search" in line]
    assert len(commands) == 3
    for command in commands:
        words = shlex.split(command)
        assert words[words.index("--results") + 1] == "exp #1"


def test_a_list_of_stages_says_of_which_task_each_is() -> None:
    console = Console(width=200, record=True, file=StringIO())
    console.print(render_specs(list_specs()))
    told = {words[0]: words[1] for line in console.export_text().splitlines() if len(words := line.split()) > 4}
    assert set(task_names()) <= set(told.values())
    assert told["pairs_stage1"] == "pairs" and told["step1"] == "spectra"

"""What is told after a run."""

import json
import shlex
from io import StringIO

import pytest
from rich.console import Console, RenderableType

from spectral_search.record.overview import TAKES, next_steps, render_runs, render_specs
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord, RunSummary
from spectral_search.spec.load import list_specs
from spectral_search.spec.task_modules import task_names


def shown(renderable: RenderableType, width: int) -> list[str]:
    """The lines of a plain terminal of this width."""
    console = Console(width=width, file=StringIO(), color_system=None)
    console.print(renderable)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_the_next_commands_find_the_run_where_it_is(finished_run: RunPaths) -> None:
    record = RunRecord.load(finished_run)
    assert not any("--results" in line for line in next_steps(record))
    commands = [line.split("    (")[0] for line in next_steps(record, "exp #1") if "spectral-search" in line]
    assert len(commands) == 4
    for command in commands:
        words = shlex.split(command)
        assert words[words.index("--results") + 1] == "exp #1"


def test_a_list_of_stages_says_of_which_task_each_is() -> None:
    lines = shown(render_specs(list_specs()), 200)
    told = {words[0]: words[1] for line in lines if len(words := line.split()) > 4}
    assert set(task_names()) <= set(told.values())
    assert told["pairs_stage1"] == "pairs" and told["step1"] == "spectra"


@pytest.mark.parametrize(
    ("stage", "gate", "onward"),
    [
        ("cnn_stage1b", None, [f"cnn_stage2{TAKES}"]),
        ("pairs_stage1", None, [f"pairs_stage2{TAKES}"]),
        ("traffic_stage2", None, [f"traffic_stage3{TAKES}"]),
        ("pairs_stage1", {"go_on": 0.5, "next": "pairs_stage3"}, ["pairs_stage3"]),
        ("pairs_stage1", {"go_on": 0.5}, [f"pairs_stage2{TAKES}"]),
        ("pairs_stage1", {"go_on": 0.9, "next": "pairs_stage3"}, []),
        ("cnn_stage2", None, []),
    ],
)
def test_the_next_stage_is_what_takes_from_this_one_or_what_its_gate_names(
    finished_run: RunPaths, stage: str, gate: dict[str, object] | None, onward: list[str]
) -> None:
    manifest = json.loads(finished_run.manifest_json.read_text())
    finished_run.manifest_json.write_text(json.dumps({**manifest, "stage": stage}))
    record = RunRecord.load(finished_run)
    record.spec.update({} if gate is None else {"gate": gate})
    told = [line.partition("spectral-search run ")[2] for line in next_steps(record)]
    assert [line for line in told if line] == onward


@pytest.mark.parametrize(
    ("name", "left_out"), [("traffic_stage1-quick-12", ["stage"]), ("one-of-a-longer-name", ["trials", "time"])]
)
def test_names_of_runs_stay_whole_and_what_does_not_fit_is_left_out(
    finished_run: RunPaths, name: str, left_out: list[str]
) -> None:
    given = {"path": finished_run.folder, "state": "interrupted", "planned_trials": 12, "wall_seconds": 11100.0}
    given |= {"best_value": 0.5, "retest_value": 0.5}
    runs = [RunSummary(name, stage="traffic_stage1", task="traffic", **given)]  # type: ignore[arg-type]
    narrow, wide = shown(render_runs(runs), 80), shown(render_runs(runs), 120)
    assert narrow[1].startswith(f"{name}  interrupted") and len(narrow) == 2
    absent = [head for head in ("stage", "trials", "time") if head not in narrow[0].split()]
    assert absent == left_out
    assert "stage" in wide[0] and "3 h 05" in wide[1]

"""What the light commands print, how fast, and that they load nothing heavy."""

import json
import math
import os
import pty
import resource
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import Done, call, paths, spawn, write_spec
from learnable_root import write_root
from looked_at import look_once
from small_pairs import write_folders

from spectral_search.spec.load import list_specs, load_spec

STAGES = [info.name for info in list_specs()]
ROOTS = {"spectra": "data", "pairs": "images", "traffic": "readings.csv"}
"""The data of each task."""
HEAVY = ("torch", "ray", "optuna", "lightgbm", "matplotlib")


stage_of = cache(load_spec)


def given(stage: str) -> list[str]:
    """What a stage would take from another one's winner, given on the command line at its own values."""
    spec = stage_of(stage)
    return [part for key in spec.pending_inherit() for part in ("--set", f"{key}={json.dumps(spec.base.value(key))}")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data root of a size that every published network fits."""
    folder = tmp_path_factory.mktemp("cli")
    write_root(folder / "data", train=64, val=32, test=16, pixels=2048, with_noisy=True)
    write_folders(folder / "images", classes=20, side=28)
    times = pd.date_range("2024-01-01", periods=2016, freq="5min")
    pd.DataFrame(np.random.default_rng(0).uniform(20.0, 70.0, (2016, 8)), times).to_csv(folder / "readings.csv")
    return folder


def child_seconds() -> float:
    """CPU seconds of all child processes that are over."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def heavy_modules(*arguments: str, folder: Path) -> tuple[list[str], float]:
    """Heavy modules that a command loads, and its CPU seconds."""
    program = (
        "import sys\nfrom spectral_search.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    code = end.code\n"
        f"sys.exit(code or ' '.join(sorted(set({HEAVY}) & set(sys.modules))) or 0)"
    )
    before = child_seconds()
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=folder, env=paths(), capture_output=True, text=True
    )
    cpu = child_seconds() - before
    assert done.returncode == 0 or set(done.stderr.split()) <= set(HEAVY), done.stderr
    return done.stderr.split() if done.returncode else [], cpu


ATTEMPTS = 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "pandas"),
    [
        (["--help"], 1.0),
        (["run", "--help"], 1.0),
        (["specs"], 5.0),
        (["show", "step1"], 5.0),
        (["run", "mvp_cnn1", "--data-root", "data", "--dry-run"], 5.0),
        (["run", "cnn_stage2", "--data-root", "data", "--dry-run", "--sampler", "grid", *given("cnn_stage2")], 5.0),
        (["status"], 5.0),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_light_commands_are_fast_and_load_nothing_heavy(place: Path, arguments: list[str], pandas: float) -> None:
    """`pandas` bounds the CPU time by that of importing pandas (0.4 s) beside it, however slow the machine just is."""
    # The best of several attempts: a cold file cache makes single ones slow.
    best = math.inf
    for _ in range(ATTEMPTS):
        loaded, cpu = heavy_modules(*arguments, folder=place)
        assert loaded == []
        before = child_seconds()
        subprocess.run([sys.executable, "-c", "import pandas"], check=True)
        best = min(best, cpu / (child_seconds() - before))
        if best < pandas:
            break
    assert best < pandas


@pytest.fixture(scope="module")
def looked_at_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        look_once(patch)
        yield


@pytest.mark.usefixtures("looked_at_once")
@pytest.mark.parametrize("sampler", ["tpe", "grid"])
@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_resolves_quick(place: Path, stage: str, sampler: str) -> None:
    root = ROOTS[stage_of(stage).task]
    options = ["--data-root", root, "--dry-run", "--quick", "--sampler", sampler, "--json"]
    done = call("run", stage, *options, *given(stage), folder=place)
    if sampler == "grid" and not stage_of(stage).grid:
        assert "there is no grid" in done.require(2).stderr
        return
    plan = done.require().json()
    assert plan["stage"] == stage
    assert 1 <= plan["trials"] <= 8
    assert plan["base_parameters"] > 1000
    assert len(plan["grid"]) == (plan["trials"] if sampler == "grid" else 0)
    assert not (place / "ray_results").exists()


def test_dry_run_shows_every_trial_of_a_grid(place: Path) -> None:
    options = ["--data-root", "data", "--dry-run", "--sampler", "grid", "--epochs", "7"]
    plan = call("run", "step1", *options, "--json", folder=place).require().json()
    published = [(lr, decay) for lr in (0.1, 1e-2, 1e-3, 5e-4, 3e-4) for decay in (0, 1e-4)]
    found = [(trial["params"]["fit.lr"], trial["params"]["fit.weight_decay"]) for trial in plan["grid"]]
    assert found == published
    assert {trial["parameters"] for trial in plan["grid"]} == {2048 * 256 + 256 + 256 * 64 + 64 + 64 + 1}
    # The stage's rung at 15 of 100 epochs lies at 2 of 7; the finalists go on.
    epochs = 10 * 2 + 3 * 5
    assert plan["spectra_epochs"] == epochs * 64
    text = call("run", "step1", *options, folder=place).require().stdout
    assert "10 trials by grid" in text
    assert f"{epochs * 64:,} spectra x epochs" in text
    assert "device" in text
    assert len([line for line in text.splitlines() if "lr=" in line]) == 10


def test_dry_run_shows_the_space_and_its_conditions(place: Path) -> None:
    spec = """
model: {kind: mlp, hidden: [16]}
space:
  model.kind: {choice: [mlp, cnn]}
  model.kernel_size: {choice: [7, 9], when: {model.kind: cnn}}
  fit.batch_size: {log_int: [16, 64]}
"""
    write_spec(place / "conditional.yaml", spec)
    text = call("run", "conditional.yaml", "--data-root", "data", "--dry-run", folder=place).require().stdout
    assert "model.kind is cnn" in text
    assert "7 or 9" in text
    assert "16 to 64, whole numbers, log scale" in text


def test_a_leaky_input_is_warned_of(place: Path) -> None:
    options = ["--data-root", "data", "--dry-run", "--set", "data.input.kind=flux_error"]
    plan = call("run", "step1", *options, "--json", folder=place).require().json()
    assert any("leaky" in note for note in plan["notes"])
    assert not any("leaky" in note for note in _plan(place, "step1")["notes"])


def _plan(place: Path, *arguments: str) -> dict[str, object]:
    found = call("run", *arguments, "--data-root", "data", "--dry-run", "--json", folder=place).require().json()
    assert isinstance(found, dict)
    return found


def test_a_stage_asks_for_more_spectra_than_there_are(place: Path) -> None:
    plan = _plan(place, "step1")
    assert plan["train_spectra"] == 64
    assert any("32,000" in str(note) for note in plan["notes"])


def test_a_finite_space_plans_no_more_trials_than_it_holds(place: Path) -> None:
    spec = "model: {kind: mlp}\nspace: {model.activation: {choice: [relu, gelu, silu]}}\nsearch: {trials: 10}\n"
    write_spec(place / "finite.yaml", spec)
    plan = _plan(place, "finite.yaml")
    assert plan["trials"] == 3
    assert any("3 points" in str(note) for note in plan["notes"])
    write_spec(place / "one.yaml", "model: {kind: mlp}\n")
    assert _plan(place, "one.yaml")["trials"] == 1


def test_specs_lists_every_stage(place: Path) -> None:
    listed = call("specs", "--json", folder=place).require().json()
    assert [stage["name"] for stage in listed] == STAGES
    text = call("specs", folder=place).require().stdout
    assert all(stage in text for stage in STAGES)


def test_show_prints_a_spec_that_show_accepts(place: Path) -> None:
    text = call("show", "step1", "--set", "fit.epochs=7", folder=place).require().stdout
    write_spec(place / "step1_shown.yaml", text)
    again = call("show", "step1_shown.yaml", "--json", folder=place).require().json()
    assert again["fit"]["epochs"] == 7
    assert again == call("show", "step1", "--set", "fit.epochs=7", "--json", folder=place).require().json()


def test_help_without_a_command_and_the_version(place: Path) -> None:
    assert "Commands:" in call(folder=place).require().stdout
    assert call("--version", folder=place).require().stdout.strip().count(".") == 2


def test_inspect_draws_a_picture(place: Path) -> None:
    done = call("inspect", "data", "--plot", "spectra.png", folder=place).require()
    assert (place / "spectra.png").read_bytes()[:4] == b"\x89PNG"
    assert "spectra.png" in done.stdout
    document = call("inspect", "data", "--json", folder=place).require().json()
    assert json.dumps(document)


def test_simulate_writes_a_root_that_can_be_planned_on(place: Path) -> None:
    sizes = ["--train", "24", "--val", "8", "--test", "0", "--pixels", "64"]
    told = call("simulate", "made", *sizes, "--json", folder=place).require().json()
    assert told["train"] == 24
    assert _plan_on(place, "made")["val_spectra"] == 8


def _plan_on(place: Path, root: str) -> dict[str, int]:
    write_spec(place / "any.yaml", "model: {kind: mlp}\n")
    options = ["--data-root", root, "--dry-run", "--json"]
    found: dict[str, int] = call("run", "any.yaml", *options, folder=place).require().json()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 120])
def test_tables_fit_the_terminal(place: Path, columns: int) -> None:
    for arguments in (["specs"], ["run", "cnn_stage2", "--data-root", "data", "--dry-run", *given("cnn_stage2")]):
        lines = in_terminal(arguments, place, columns).stdout.splitlines()
        assert lines
        assert max(map(len, lines)) <= columns


def in_terminal(arguments: list[str], folder: Path, columns: int) -> Done:
    """A command whose output goes to a terminal of this width."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from spectral_search.cli.main import main; main()", *arguments],
        cwd=folder,
        env=paths(COLUMNS=str(columns), NO_COLOR="1", TERM="xterm"),
        stdout=child,
        stderr=child,
    )
    os.close(child)
    text = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:  # the other end was closed
            break
        if not part:
            break
        text += part
    os.close(parent)
    return Done(process.wait(), text.decode().replace("\x1b[1m", "").replace("\x1b[0m", ""), "").require()


def test_a_usage_error_in_a_process_of_its_own(place: Path) -> None:
    done = spawn("run", "step1", "--trials", "x", "--json", folder=place).require(2)
    assert done.stdout == ""
    assert done.stderr.startswith("error: Invalid value for '--trials'")
    assert done.stderr.count("\n") == 1

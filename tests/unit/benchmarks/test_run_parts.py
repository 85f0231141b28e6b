"""The verb `bench`, at its smallest; speeds are never asserted."""

import json
import subprocess
import sys
from mmap import mmap
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_line import call, errors

from benchmarks.bench_figures import DRAW
from benchmarks.parts.search_growth import SERIES, Point
from benchmarks.resident_memory import MemoryWatch, resident_bytes
from benchmarks.spent_cpu import CpuWatch
from benchmarks.timed_searches import Ended, best_so_far


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def check(document: dict[str, Any], *parts: str) -> None:
    assert list(document["parts"]) == list(parts)
    assert document["quick"] and document["machine"]["cores"] >= 1 and document["machine"]["date"]
    for found in document["parts"].values():
        assert found["physics"] and found["rows"]
        for row in found["rows"]:
            assert row["reference"] is None or row["ratio"] == pytest.approx(row["value"] / row["reference"])


@pytest.mark.slow
def test_json_is_one_document_and_the_record_keeps_it(tmp_path: Path) -> None:
    done = call("bench", "training", "packs", "gpu", "--quick", "--json", "--record", "log.jsonl", folder=tmp_path)
    document = done.require().json()
    check(document, "training", "packs", "gpu")
    assert all(row["value"] > 0 for found in document["parts"].values() for row in found["rows"])
    assert [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [document]
    assert not list((tmp_path / "cache" / "spectral-search" / "bench").iterdir())  # the scratch folder is gone


@pytest.mark.slow
def test_a_table_comes_first_and_one_json_line_last(tmp_path: Path) -> None:
    *table, last = call("bench", "training", "--quick", folder=tmp_path).require().stdout.splitlines()
    check(json.loads(last), "training")
    assert "numbers mean nothing" in " ".join(table)


def test_unknown_parts_are_refused(tmp_path: Path) -> None:
    (told,) = errors(call("bench", "training", "speed", folder=tmp_path).require(2))
    assert "no benchmark speed" in told and "training" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["training", "--examples", "8192"], "for `bench search`"), (["search", "--examples", "3"], "at least 256")],
)
def test_examples_are_for_searches(arguments: list[str], told: str, tmp_path: Path) -> None:
    (fault,) = errors(call("bench", *arguments, folder=tmp_path).require(2))
    assert "--examples" in fault and told in fault


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["training", "--task", "pairs"], "--task is for `bench search`"),
        (["search", "--task", "text"], "spectra, pairs or traffic, found 'text'"),
        (["search", "--data-root", "x.zip"], "another task"),
        (["search", "--task", "pairs", "--examples", "8192"], "of spectra, not of pairs"),
    ],
)
def test_searches_of_other_tasks_are_asked_for_rightly(arguments: list[str], told: str, tmp_path: Path) -> None:
    (fault,) = errors(call("bench", *arguments, folder=tmp_path).require(2))
    assert told in fault


def test_lower_may_be_better() -> None:
    found = best_so_far([(105.0, 3.0), (103.0, 4.0), (104.0, 5.0)], 100.0, higher=False)
    assert found == [(3.0, 4.0), (5.0, 3.0)]


def test_the_best_until_a_time_rises_whoever_reported_first() -> None:
    found = best_so_far([(107.0, 0.3), (103.0, 0.1), (105.0, 0.2), (106.0, 0.15)], 100.0)
    assert found == [(3.0, 0.1), (5.0, 0.2), (7.0, 0.3)]
    ended = Ended(9.0, 0.3, 4, found)
    assert (ended.seconds_to(0.15), ended.seconds_to(0.3), ended.seconds_to(0.31)) == (5.0, 7.0, None)


def test_memory_counts_what_is_held_for_a_while() -> None:
    before = resident_bytes([psutil.Process()])
    with MemoryWatch() as watch:
        held = mmap(-1, 64 << 20)  # fresh pages, whatever this process has freed and kept
        held.write(b"x" * len(held))
    assert watch.peak_bytes >= before + (60 << 20)


def test_cpu_time_is_that_of_a_process_and_of_what_it_starts() -> None:
    spin = "import sys, time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\nsys.stdin.read()"
    both = f"import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', {spin!r}])\n{spin}\nchild.wait()"
    with subprocess.Popen([sys.executable, "-c", both], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if process.stdout is None:
            raise RuntimeError("a process without a pipe")
        with CpuWatch(process.pid) as watch:
            for _ in range(2):
                process.stdout.readline()
        process.communicate()
    assert watch.seconds > 0.55, "one of them alone has spent 0.3 s"


@pytest.mark.slow
def test_figures_are_drawn(tmp_path: Path) -> None:
    points = [
        vars(Point(axis, executor, kind, trials, spectra, 2, 3.0 + trials))
        for executor, kind in SERIES
        for axis, sizes in (("trials", [(4, 8192), (8, 8192)]), ("spectra", [(8, 8192), (8, 16384)]))
        for trials, spectra in sizes
    ]
    trace = {"epochs": [1, 2], "low": [0.1, 0.2], "median": [0.1, 0.3], "high": [0.2, 0.4]}
    drawn = {
        "growth": {"points": points},
        "packs": {"members": [1, 2], "together_seconds": [1.0, 1.2], "apart_seconds": [1.0, 2.0]},
        "efficiency": {"mlp": {"configurations": 8, "epochs": 9, "target": 0.4, "traces": {"random": trace}}},
    }
    for name, draw in DRAW.items():
        draw(drawn[name], tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 5_000
    assert len((tmp_path / "growth.csv").read_text().splitlines()) == 1 + len(points)


@pytest.mark.slow
def test_reading_on_ray(tmp_path: Path) -> None:
    document = call("bench", "reading", "--quick", "--json", folder=tmp_path).require().json()
    check(document, "reading")


@pytest.mark.slow
def test_whole_searches_beside_their_peers(tmp_path: Path) -> None:
    done = call("bench", "search", "overhead", "--quick", "--json", folder=tmp_path).require()
    check(done.json(), "search", "overhead")
    found = done.json()["parts"]["search"]
    assert set(found["details"]) == {"ours", "ours_on_signal", "ray_tune", "optuna", "grid"}
    assert {part["epochs_trained"] for part in found["details"].values()} == {6}


@pytest.mark.slow
@pytest.mark.parametrize("task", ["pairs", "traffic"])
def test_searches_of_other_tasks_beside_ray_tune(task: str, tmp_path: Path) -> None:
    found = call("bench", "search", "--task", task, "--quick", "--json", folder=tmp_path).require().json()
    check(found, "search")
    sides = found["parts"]["search"]["details"]
    assert set(sides) == {"ours", "ray_tune"}
    assert all(0 < side["epochs_trained"] <= 6 and side["cpu_seconds"] > 0 for side in sides.values())


@pytest.mark.slow
def test_compressing_is_beside_plain_reading(tmp_path: Path) -> None:
    document = call("bench", "compress", "--quick", "--json", folder=tmp_path).require().json()
    check(document, "compress")
    rows = {row["name"]: row for row in document["parts"]["compress"]["rows"]}
    for stored in ("float32", "float64 with a mask"):
        assert rows[f"{stored}: compressed"]["beside"] == "plain h5py, same bytes"
        assert rows[f"{stored}: compressed"]["target"] == "at least 0.6"
    assert "float32: from the cache" in rows

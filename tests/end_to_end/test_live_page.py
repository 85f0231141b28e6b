"""The live page in a real browser, on real runs: one that trains, one that is over, one that was killed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from browser import Browser, needs_browser
from made_runs import SPEC, write_trials
from optuna.trial import TrialState, create_trial
from processes import Running, recorded_epochs
from small_search import cli, make_data, make_spec

from spectral_search.record.durable import append_line, write_atomic, write_json
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import RunPaths

pytestmark = [pytest.mark.slow, needs_browser]

HOSTILE = "<img src=x onerror=\"document.title='hit'\">'\"&amp;\n%{y} __proto__ ☄️"
LONG = {"epochs": 20000, "patience": None}


@contextmanager
def served(results: Path, log: Path) -> Iterator[str]:
    """The address of the live page of a results folder."""
    running = Running("dashboard", "--results", results, "--json", log=log)
    try:
        assert running.wait_for(lambda: "address" in log.read_text() and log.read_text().endswith("}\n")), (
            log.read_text()
        )
        text = log.read_text()
        yield json.loads(text[text.index("{") :])["address"]
    finally:
        running.kill()


def begin(folder: Path, data: Path, name: str) -> Running:
    """A search that trains for as long as it is let."""
    file = folder / name
    file.mkdir()
    make_spec(file, data, fit=LONG, search={"pruner": "none"})
    arguments = ("run", file / "small.yaml", "--name", name, "--results", folder / "results", "--executor", "inline")
    running = Running(*arguments, log=folder / f"{name}.txt")
    assert running.wait_for(lambda: recorded_epochs(folder / "results" / name) > 3), (
        folder / f"{name}.txt"
    ).read_text()
    return running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Runs called live, over and killed in results/."""
    folder = tmp_path_factory.mktemp("live")
    data = make_data(folder / "data")
    make_spec(folder, data)
    for name in ("over", "again"):
        given = ("--name", name, "--results", folder / "results", "--executor", "inline")
        done = cli("run", folder / "small.yaml", *given)
        assert done.returncode == 0, done.stderr
    begin(folder, data, "killed").kill()
    live = begin(folder, data, "live")
    yield folder
    live.kill()


@pytest.fixture
def address(folder: Path, tmp_path: Path) -> Iterator[str]:
    with served(folder / "results", tmp_path / "log.txt") as address:
        yield address


def state_of(name: str) -> str:
    return (
        f"[...document.querySelectorAll('tbody tr')].find((row) => row.querySelector('a').textContent === '{name}')"
        "?.querySelector('.badge').textContent"
    )


def test_runs_are_told_apart_and_a_live_one_moves(address: str) -> None:
    with Browser() as browser:
        browser.open(address)
        for name, state in (("live", "running"), ("over", "finished"), ("killed", "interrupted")):
            browser.wait_for(f"{state_of(name)} === '{state}'")
        browser.open(f"{address}#/run/live")
        epoch = "Number(document.querySelector('[data-head=epoch] small')?.textContent.split(' ')[0])"
        first = browser.wait_for(epoch)
        browser.wait_for(f"{epoch} > {first}")
        browser.wait_for("document.querySelectorAll('.chart .main-svg').length > 0")
        assert browser.ask("document.querySelector('.tile .big').textContent").startswith("0.")
        browser.wait_for("document.body.innerText.includes('Training left, then the re-test')")
        assert browser.said == []


def test_a_finished_run_and_a_killed_one(address: str) -> None:
    with Browser() as browser:
        browser.open(f"{address}#/run/over/leaderboard")
        browser.wait_for("document.querySelectorAll('#panel-leaderboard tbody tr').length === 8")
        assert "Re-test of the winner" in browser.ask("document.body.innerText")
        browser.open(f"{address}#/run/over/parameters")
        browser.wait_for("document.querySelectorAll('#panel-parameters .axis').length === 3")
        browser.open(f"{address}#/run/killed")
        browser.wait_for("document.body.innerText.includes('When its process died, it was training trial 0.')")
        assert browser.said == []


def count_of(browser: Browser, selector: str) -> int:
    return int(browser.ask(f"document.querySelectorAll({json.dumps(selector)}).length"))


def axis_of(browser: Browser, key: str) -> tuple[float, float, float]:
    """Middle, top and bottom of an axis of the parallel coordinates, in pixels of the window."""
    axis = f"[...document.querySelectorAll('.axis')].find((axis) => axis.dataset.key === 'axis {key}')"
    browser.wait_for(f"{axis} !== undefined")
    browser.ask(f"{axis}.scrollIntoView({{block: 'center', inline: 'center'}})")
    left, top, right, bottom = browser.ask(
        f"(({{left, top, right, bottom}}) => [left, top, right, bottom])({axis}.getBoundingClientRect())"
    )
    return (left + right) / 2, top, bottom


def selected(browser: Browser) -> int | None:
    """How many trials are selected; None where no range is given."""
    text = browser.ask("document.querySelector('#panel-parameters .chosen')?.textContent")
    return None if text is None else int(text.split()[0])


@pytest.mark.parametrize("touch", [False, True])
def test_ranges_on_axes_select_trials(address: str, touch: bool) -> None:
    with Browser(390 if touch else 1280, 800) as browser:
        browser.open(f"{address}#/run/over/parameters")
        x, top, bottom = axis_of(browser, "")
        # From the best down to just below the fourth of eight.
        browser.drag(x, top + 1, top + 3.2 / 7 * (bottom - top), touch=touch)
        assert selected(browser) == 4
        x, top, bottom = axis_of(browser, "fit.lr")
        browser.drag(x, bottom - 1, top + 1, touch=touch)
        assert selected(browser) == 4 and count_of(browser, ".range") == 2
        browser.ask("document.getElementById('tab-leaderboard').click()")
        rows = "[...document.querySelectorAll('#panel-leaderboard tbody tr')].map((row) => row.className)"
        browser.wait_for(f"{rows}.length === 8")
        assert browser.ask(rows) == ["first chosen", "chosen", "chosen", "chosen", "", "", "", ""]
        browser.ask("document.getElementById('tab-progress').click()")
        browser.wait_for("document.querySelector('#panel-progress .chosen')?.textContent.startsWith('4 of 8 trials')")
        browser.wait_for("[...document.querySelectorAll('.legendtext, .js-line')].length > 0")
        browser.ask("document.getElementById('tab-parameters').click()")
        for key in ("", "fit.lr"):
            x, top, bottom = axis_of(browser, key)
            browser.drag(x, top + 20, top + 20, touch=touch)
        assert selected(browser) is None and count_of(browser, ".range") == 0
        assert browser.said == []


def test_ranges_are_set_by_keyboard(address: str) -> None:
    with Browser() as browser:
        browser.open(f"{address}#/run/over/parameters")
        axis_of(browser, "")
        tab_to(browser, "axis ")
        axis = "document.activeElement"
        assert browser.ask(f"[{axis}.role, {axis}.ariaLabel, {axis}.ariaValueText]") == ["slider", "val R²", "all"]
        found = []
        for key, shift in (("ArrowUp", False), ("ArrowUp", False), ("ArrowDown", False), ("ArrowDown", True)):
            browser.press(key, shift=shift)
            found.append(selected(browser))
        # Without the worst, without the two worst, without the best too, with the second worst again.
        assert found == [7, 6, 5, 6]
        assert " to " in browser.ask(f"{axis}.ariaValueText") and focused(browser) == "axis "
        browser.press("Escape")
        assert selected(browser) is None
        assert browser.said == []


def test_what_did_not_change_is_left_alone(tmp_path: Path) -> None:
    """A run that runs and tells nothing new: one trial of two epochs, others of one, all with the same parameters."""
    paths = RunPaths(tmp_path / "results", "still").create()
    write_atomic(paths.spec_yaml, json.dumps(SPEC))
    manifest = Manifest(name="still", stage="cnn_stage1a", study_name="the-first-name", planned_trials=20)
    manifest.claim()
    manifest.save(paths.manifest_json)
    params = {"fit.lr": 1e-3, "model.kernel_size": 7}
    ended = [(TrialState.COMPLETE, params, [0.01 * number]) for number in range(12)]
    write_trials(paths, [(TrialState.COMPLETE, params, [0.3, 0.5]), *ended[1:], (TrialState.RUNNING, params, [0.33])])
    with served(tmp_path / "results", tmp_path / "log.txt") as address, Browser() as browser:
        browser.open(f"{address}#/run/still")
        browser.wait_for("document.querySelectorAll('.chart .main-svg').length > 0")
        # Epochs that no line leads to are points: of eleven that ended, and of the one that trains.
        assert count_of(browser, ".points path.point") == 12
        browser.ask(
            "window.drawn = 0; window.react = Plotly.react; Plotly.react = (...given) => (drawn += 1, react(...given));"
            "window.kept = document.querySelector('#panel-details dl')"
        )
        for _ in range(2):  # readings; how long it has been running is another each time
            last = json.dumps(browser.ask("document.getElementById('link').textContent"))
            browser.wait_for(f"document.getElementById('link').textContent !== {last}")
        assert browser.ask("[drawn, kept.isConnected]") == [0, True]
        browser.open(f"{address}#/run/still/parameters")
        browser.wait_for("document.body.innerText.includes('The 12 trials that ended differ in no parameter.')")
        browser.wait_for("document.body.innerText.includes('The trials differ in no parameter.')")
        assert browser.said == []


def focused(browser: Browser) -> Any:
    return browser.ask("document.activeElement.dataset.key ?? document.activeElement.tagName")


def tab_to(browser: Browser, key: str) -> None:
    for _ in range(60):
        if focused(browser) == key:
            return
        browser.press("Tab")
    raise AssertionError(f"the Tab key never comes to {key}")


def test_everything_is_reached_by_keyboard(address: str) -> None:
    with Browser() as browser:
        browser.open(address)
        browser.wait_for("document.querySelectorAll('tbody tr').length === 4")
        for name in ("again", "over"):
            tab_to(browser, f"tick {name}")
            browser.press(" ")
        assert browser.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        browser.ask("new Promise((done) => setTimeout(done, 4500))")  # two readings later
        assert focused(browser) == "tick over"
        tab_to(browser, "compare")
        browser.press("Enter")
        browser.wait_for("document.body.innerText.includes('paired 95%')")
        text = browser.wait_for("document.querySelector('.verdicts')?.innerText")
        assert "again" in text and "over" in text
        tab_to(browser, "run over")
        browser.press("Enter")
        browser.wait_for("document.querySelector('h1')?.textContent.startsWith('over')")
        tab_to(browser, "tab progress")
        browser.press("ArrowRight")
        assert focused(browser) == "tab leaderboard"
        browser.wait_for("document.querySelector('.sort') !== null")
        tab_to(browser, "sort 0")
        browser.press("Enter")
        browser.wait_for("document.querySelector('[aria-sort]') !== null")
        assert browser.said == []


def test_it_fits_a_phone(address: str) -> None:
    with Browser(390, 800, dark=True) as browser:
        for page, ready in (
            ("#/", "document.querySelectorAll('tbody tr').length === 4"),
            ("#/run/live", "document.querySelector('.main-svg') !== null"),
            ("#/run/over/leaderboard", "document.querySelectorAll('tbody tr').length >= 8"),
            ("#/run/over/parameters", "document.querySelector('.axis') !== null"),
            ("#/run/over/details", "document.querySelector('dl') !== null"),
            ("#/compare/over,again", "document.querySelector('.main-svg') !== null"),
        ):
            browser.open(f"{address}{page}")
            browser.wait_for(ready)
            assert browser.ask("[innerWidth, document.documentElement.scrollWidth]") == [390, 390], page
        assert browser.ask("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        assert browser.said == []


def hostile_run(results: Path, name: str) -> RunPaths:
    """A run whose texts all try to be more than texts."""
    paths = RunPaths(results, name).create()
    write_atomic(paths.spec_yaml, json.dumps({**SPEC, "description": HOSTILE}))
    manifest = Manifest(name=name, stage=HOSTILE, study_name=name, hostname=HOSTILE, planned_trials=4)
    manifest.ray_dashboard = "javascript:document.title='hit'"
    manifest.save(paths.manifest_json)
    study = optuna.create_study(storage=paths.study_url, study_name=name, direction="maximize")
    states = (TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING)
    for number, state in enumerate(states):
        value = 0.2 + number / 10
        params = {HOSTILE: f"{HOSTILE} {number}", "__proto__": "<b>x</b>", "fit.lr": 1e-3 * (1 + number)}
        attrs = {"params": params} | ({"error": HOSTILE} if state is TrialState.FAIL else {})
        study.add_trial(create_trial(state=state, value=value if value < 0.4 else None, user_attrs=attrs))
        trial = paths.trial(number).create()
        for epoch in (1, 2):
            append_line(trial.progress_jsonl, {"epoch": epoch, "val_r2": value * epoch / 2, "seconds": 1.0})
    return paths


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    results = tmp_path / "results"
    hostile_run(results, "hostile")
    hostile_run(results, "other")
    broken = RunPaths(results, "broken").create()
    write_json(broken.manifest_json, {"name": HOSTILE, HOSTILE: HOSTILE})
    with served(results, tmp_path / "log.txt") as address, Browser() as browser:
        browser.open(address)
        browser.wait_for("document.querySelectorAll('tbody tr').length === 3")
        assert "onerror" in browser.ask("document.body.innerText")
        pages = [f"#/run/hostile/{tab}" for tab in ("progress", "leaderboard", "parameters", "failures", "details")]
        for page in [*pages, "#/compare/hostile,other", "#/run/%3Cimg%20src=x%20onerror=alert(1)%3E", "#/run/%E0%A4%A"]:
            browser.open("about:blank")
            browser.open(f"{address}{page}")
            browser.wait_for("document.getElementById('link')?.textContent.startsWith('live')")
            browser.ask("new Promise((done) => setTimeout(done, 700))")
            assert browser.ask("document.querySelectorAll('img, b > x, iframe, [onerror]').length") == 0, page
            assert browser.ask("document.querySelectorAll('a[href^=javascript]').length") == 0, page
            assert browser.ask("document.title") != "hit", page
            assert "onerror" in browser.ask("document.body.textContent") or page.endswith("A"), page
        # The browser itself tells of every answer that is no 200: of the two runs that are none.
        assert [line for line in browser.said if "404" not in line] == []


def test_it_outlives_what_happens_to_the_folder(tmp_path: Path) -> None:
    results = tmp_path / "results"
    with served(results, tmp_path / "log.txt") as address, Browser() as browser:
        browser.open(address)
        browser.wait_for("document.body.innerText.includes('There is no results folder yet')")
        assert "spectral-search run cnn_stage1a --quick" in browser.ask("document.body.innerText")
        paths = hostile_run(results, "here")
        browser.wait_for("document.querySelectorAll('tbody tr').length === 1")
        browser.open(f"{address}#/run/here")
        browser.wait_for("document.querySelector('h1')?.textContent.startsWith('here')")
        results.rename(tmp_path / "elsewhere")
        browser.wait_for("document.querySelector('.problem')?.textContent.includes('No run')")
        (tmp_path / "elsewhere").rename(results)
        browser.wait_for("document.querySelector('.problem') === null")
        spec = paths.spec_yaml.read_text()
        write_atomic(paths.spec_yaml, "{")
        browser.wait_for("document.querySelector('.problem')?.textContent.includes('spec.yaml')")
        write_atomic(paths.spec_yaml, spec)
        browser.wait_for("document.querySelector('.problem') === null")
        with open(paths.trial(0).progress_jsonl, "ab") as file:
            file.write(b"what?\n{}\n")
        browser.open(f"{address}#/run/here/details")
        browser.wait_for("document.body.innerText.includes('Line 3 of')")
        browser.open(address)
        write_atomic(paths.manifest_json, "{")
        browser.wait_for("document.querySelector('.fault')?.textContent.includes('manifest.json')")

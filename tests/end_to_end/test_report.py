"""The report of real runs: what it says, what it writes, and how it stands in a browser."""

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learnable_root import write_root
from rich.console import Console

from spectral_search import service
from spectral_search.errors import RequestError
from spectral_search.record.comparison import render_comparison
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord
from spectral_search.report.write_report import Report, csv_columns
from spectral_search.service import RunOptions
from spectral_search.tasks.spectra.definition import TASK

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")

MLP = {"kind": "mlp", "hidden": [16]}
CNN = {"kind": "cnn", "channels": [4], "kernel_size": 5, "norm": "batch", "average_to": 8}
PROBE = """<script>
addEventListener("load", () => {
  const seen = [...document.querySelectorAll("figure svg")].filter((svg) => svg.getBoundingClientRect().width > 0)
  const clipped = [...document.querySelectorAll("body *")].filter(
    (part) => !part.closest("svg") && part.getBoundingClientRect().right > innerWidth + 1)
  parent.postMessage(JSON.stringify({
    width: innerWidth,
    scroll: document.documentElement.scrollWidth,
    figures: document.querySelectorAll("figure").length,
    drawn: seen.length,
    layouts: [...new Set(seen.map((svg) => svg.getAttribute("class")))],
    clipped: clipped.map((part) => part.outerHTML.slice(0, 80)),
    requests: performance.getEntriesByType("resource").map((entry) => entry.name),
    ink: getComputedStyle(document.body).color,
  }), "*")
})
</script>"""
FRAME = """<!doctype html><meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">
<script>addEventListener("message", (event) => { document.title = event.data })</script>
<iframe src="probed.html" width="%d" height="1200" style="border:0"></iframe>"""
"""A window of Chromium is never narrower than 500 pixels; a frame may be."""


def make_run(results: Path, name: str, spec: dict[str, Any], **options: Any) -> RunRecord:
    """A search of seconds on the inline executor."""
    file = results.parent / f"{name}.yaml"
    file.write_text(json.dumps({"stage": name, **spec}))
    chosen = RunOptions(name=name, results=str(results), executor="inline", **options)
    made = service.plan(str(file), chosen, service.silent(), dry_run=False)
    return service.run(made, name, chosen, service.silent())


def small_spec(root: Path, model: dict[str, Any], **search: Any) -> dict[str, Any]:
    return {
        "data": {"root": str(root), "num_train": 400},
        "model": model,
        "fit": {"epochs": 4, "batch_size": 64, "lr": 3e-3, "precision": "float32"},
        "space": {"fit.lr": {"log_uniform": [1e-3, 3e-2]}, "model.activation": {"choice": ["relu", "gelu"]}},
        "search": {"trials": 13, "startup_trials": 6, "min_epochs": 2, "finalists": 2, "retest_draws": 2, **search},
        "resources": {"gpus": [], "concurrent": 1},
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_root(tmp_path_factory.mktemp("data"), train=800, val=200, test=400, with_noisy=True)


@pytest.fixture(scope="module")
def results(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLP of two sizes and a CNN."""
    folder = tmp_path_factory.mktemp("runs") / "results"
    make_run(folder, "mlp", small_spec(root, MLP))
    make_run(folder, "more", small_spec(root, MLP, trials=2), num_train=800)
    make_run(folder, "cnn", small_spec(root, CNN, trials=2, retest_seeds=1), num_train=400)
    return folder


@pytest.fixture(scope="module")
def report(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    page = tmp_path_factory.mktemp("page") / "all.html"
    return service.report(["mlp", "more", "cnn"], str(page), service.silent(), str(results))


def test_every_figure_is_drawn_or_says_what_is_missing(report: Report) -> None:
    for figure in report.figures:
        assert figure.caption, figure.key
        if figure.draw is None:
            assert figure.command.startswith("spectral-search "), figure.key
        else:
            for ending, magic in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
                file = report.page.with_name("all_figures") / f"{figure.key}.{ending}"
                assert file in report.files and file.read_bytes().startswith(magic)
    drawn = {figure.key for figure in report.figures if figure.draw is not None}
    assert {"comparison", "r2_against_size", "r2_against_snr", "r2_per_bin", "predicted_against_true"} <= drawn
    assert {
        "learning_curves_mlp",
        "learning_curves_cnn",
        "cost_against_result",
        "parameters_mlp",
        "finalists_mlp",
    } <= drawn


def test_the_table_of_results(report: Report, results: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(report.table.read_text())))
    assert list(rows[0]) == csv_columns(TASK)
    by_name = {row["experiment_id"]: row for row in rows}
    record = service.status("more", str(results))
    assert float(by_name["more"]["test_r2"]) == record.test["r2"]
    assert (by_name["more"]["train_size"], by_name["cnn"]["model"], by_name["cnn"]["input"]) == (
        "800",
        "CNN",
        "standardize",
    )


def test_the_page_says_what_the_records_say(report: Report, results: Path) -> None:
    text = report.page.read_text()
    record = service.status("mlp", str(results))
    assert f"{record.test['r2']:.3f}" in text and f"{record.retest['low']:.3f}" in text
    assert text.count("not yet run") >= 4  # nothing here has 100k spectra
    document = report.to_dict()
    assert [finding["answer"] for finding in document["verdicts"]] == ["not yet run"] * 4
    assert len(document["numbers"]) == 6 and json.dumps(document)


def chromium(page: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=3000"]
    profile = f"--user-data-dir={page.parent / 'profile'}"
    command = [str(CHROMIUM), *flags, profile, "--enable-logging=stderr", *arguments, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.fixture
def probe(report: Report, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Open the page in a browser and measure it from inside."""

    def measure(width: int, *flags: str) -> dict[str, Any]:
        (tmp_path / "probed.html").write_text(report.page.read_text().replace("</body>", f"{PROBE}</body>"))
        page, netlog = tmp_path / "frame.html", tmp_path / "net.json"
        page.write_text(FRAME % width)
        done = chromium(page, "--window-size=1300,1300", f"--log-net-log={netlog}", *flags, "--dump-dom")
        assert "CONSOLE" not in done.stderr, done.stderr
        found = json.loads(re.search(r"<title>(\{.*?\})</title>", done.stdout, re.DOTALL)[1].replace("&lt;", "<"))
        urls = re.findall(r'"url":"(https?://[^"]+)"', netlog.read_text())
        # The browser's own errands (updates, field trials) go to its maker; the page may ask nobody for anything.
        own = [url for url in urls if not re.search(r"google|gvt1|chromium", url)]
        return {**found, "urls": own}

    return measure


@needs_browser
@pytest.mark.parametrize(("width", "layout"), [(1100, "wide"), (390, "narrow")])
def test_a_browser_shows_it_all_offline(
    report: Report, probe: Callable[..., dict[str, Any]], width: int, layout: str
) -> None:
    found = probe(width)
    assert found["width"] == width
    assert found["scroll"] <= width and found["clipped"] == []
    assert found["requests"] == [] and found["urls"] == []
    assert found["figures"] == len(report.figures)
    assert found["drawn"] == sum(figure.draw is not None for figure in report.figures)
    assert found["layouts"] == [layout]


@needs_browser
def test_dark_and_printed(report: Report, probe: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    assert probe(800)["ink"] == "rgb(27, 31, 36)"
    dark = probe(800, "--blink-settings=preferredColorScheme=0")
    assert dark["ink"] == "rgb(231, 234, 238)"
    pdf = tmp_path / "report.pdf"
    chromium(report.page, f"--print-to-pdf={pdf}")
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))
    assert pages >= 4


def test_runs_side_by_side(results: Path) -> None:
    found = service.compare("mlp", "more", str(results))
    assert found.gain is not None and found.gain.low <= found.gain.value <= found.gain.high
    one, other = (service.status(name, str(results)).test["r2"] for name in ("mlp", "more"))
    assert found.gain.value == pytest.approx(other - one, abs=1e-6)
    assert found.spec["data.num_train"] == (400, 800) and found.spec["search.trials"] == (13, 2)
    document = found.to_dict()
    assert json.dumps(document)
    assert sum(document["runs"][0]["chosen_by_draw"].values()) == 2
    console = Console(file=io.StringIO(), width=100)
    console.print(render_comparison(found))
    told = console.file.getvalue()
    assert "training spectra" in told and "400" in told and found.verdict.split(":")[0] in told


def test_compare_refuses(results: Path) -> None:
    with pytest.raises(RequestError, match="twice"):
        service.compare("mlp", "mlp", str(results))
    with pytest.raises(RequestError, match="No run 'absent'"):
        service.compare("mlp", "absent", str(results))


def test_runs_on_other_spectra_are_not_compared(results: Path, root: Path, tmp_path: Path) -> None:
    other = write_root(tmp_path / "other", train=400, val=100, test=200, with_noisy=True)
    make_run(results, "elsewhere", small_spec(other, MLP, trials=1, retest_seeds=1))
    found = service.compare("mlp", "elsewhere", str(results))
    assert found.gain is None and "different spectra" in found.verdict
    shutil.rmtree(results / "elsewhere")


def test_evaluate_makes_the_predictions_of_an_old_run(results: Path, root: Path, tmp_path: Path) -> None:
    """A run of an earlier version keeps no predictions: it is told, and `evaluate` brings them back, the same."""
    old = tmp_path / "old"
    shutil.copytree(results, old)
    paths = RunPaths(old, "mlp")
    (file,) = paths.predictions_dir.glob("test_*.parquet")
    before = file.read_bytes()
    file.unlink()
    found = service.compare("mlp", "more", str(old))
    assert found.gain is None and "`spectral-search evaluate mlp --data ROOT`" in found.verdict
    service.evaluate("mlp", str(root), results=str(old))
    assert service.compare("mlp", "more", str(old)).gain is not None
    assert len(before) == len(file.read_bytes())


def test_other_data_leave_a_run_as_it_is(results: Path, tmp_path: Path) -> None:
    other = write_root(tmp_path / "other", train=400, val=100, test=200, with_noisy=True)
    (file,) = RunPaths(results, "mlp").predictions_dir.glob("test_*.parquet")
    before = file.read_bytes()
    service.evaluate("mlp", str(other), results=str(results))
    assert file.read_bytes() == before


def test_predictions_are_those_of_the_score(results: Path) -> None:
    run = service.status("mlp", str(results))
    labels = service.compare("mlp", "more", str(results)).runs[0].method
    assert labels.value == pytest.approx(run.test["r2"], abs=1e-6)
    assert np.isfinite(labels.labels["snr"]).all()

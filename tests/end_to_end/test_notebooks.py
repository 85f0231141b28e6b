"""The notebooks run from a clean start, say what their texts say, and stay small."""

import ast
import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_BYTES = 300_000


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def told(notebook: Any) -> str:
    """All text that the cells put out."""
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    return "\n".join(output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs)


def test_there_are_four() -> None:
    assert [file.stem for file in NOTEBOOKS] == ["inputs", "own_task", "signal", "tour"]


def test_a_task_of_ones_own_takes_forty_lines_of_code() -> None:
    notebook = nbformat.read(ROOT / "notebooks" / "own_task.ipynb", 4)
    lines = [line for cell in code(notebook) for line in cell.source.splitlines() if line.strip()]
    assert 0 < len(lines) <= 40


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_committed_with_small_outputs(file: Path) -> None:
    notebook = nbformat.read(file, 4)
    assert file.stat().st_size < MOST_BYTES
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, 1 + len(code(notebook))))
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    assert outputs and not [
        output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"
    ]
    assert "/work" not in told(notebook) and "site-packages" not in told(notebook)


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_only_service_records_and_reports_are_imported(file: Path) -> None:
    tree = ast.parse("\n".join(cell.source for cell in code(nbformat.read(file, 4))))
    names = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("spectral_search")
        for alias in node.names
    }
    assert names
    allowed = ("service", "record.", "report.", "drawing.", "tasks.spectra.report.")
    assert not [name for name in names if not name.removeprefix("spectral_search.").startswith(allowed)]


def run(file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Execute a notebook in a folder of its own."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("TMPDIR", str(folder))
    notebook = nbformat.read(file, 4)
    NotebookClient(notebook, timeout=550, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


@pytest.mark.slow
def test_the_tour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = told(run(ROOT / "notebooks" / "tour.ipynb", tmp_path, monkeypatch))
    for text in ("val_r2", "mattered most", "on fresh noise", "other seeds", "paired 95% interval", "longer (MLP)"):
        assert text in said, text


@pytest.mark.slow
def test_raw_whitening_collapses_and_centring_cures_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = run(ROOT / "notebooks" / "inputs.ipynb", tmp_path, monkeypatch)
    rows = [line.split() for line in told(notebook).splitlines() if len(line.split()) == 5 and line.split()[0] in "012"]
    r2 = {row[1]: float(row[2]) for row in rows}
    assert r2["raw_whiten"] < 0.1
    assert r2["standardize"] > 0.4 and r2["whiten"] > 0.4


@pytest.mark.slow
def test_a_few_components_are_enough_and_a_cnn_gains_by_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = told(run(ROOT / "notebooks" / "signal.ipynb", tmp_path, monkeypatch))
    r2 = {
        name: float(value) for name, value in re.findall(r"^\d +(\d+|all pixels|\w+) +(-?\d\.\d+)$", said, re.MULTILINE)
    }
    assert r2["32"] > r2["all pixels"] + 0.02 and r2["2"] < 0.3
    assert r2["denoised"] > r2["standardize"] + 0.2


@pytest.mark.slow
def test_a_task_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = told(run(ROOT / "notebooks" / "own_task.ipynb", tmp_path, monkeypatch))
    network, linear = map(float, re.findall(r"test MAE: network (\S+), linear regression (\d+\.\d+)", said)[0])
    assert network < linear + 5.0 < 60.0  # who always says the mean is off by more
    assert "'val_mae'" in said and "progression_predicted" in said
    (folder,) = tmp_path.glob("spectral-search-own-task-*")
    assert "diabetes" in (folder / "report.html").read_text() and any((folder / "report_figures").iterdir())

"""Tasks are found by name or file, and refused with what there is."""

from pathlib import Path

import pytest

from spectral_search.errors import RequestError
from spectral_search.spec.task_modules import task_names
from spectral_search.task.registry import task_of

FILE = """
from spectral_search.task.metric import Metric
from spectral_search.task.task import Task


class Cars(Task):
    name = "cars"
    metrics = (Metric("mae", "MAE", higher_is_better=False, unit="mph"),)
    open = look_at = recorded = require_same = parent_note = input_note = evaluate = predict = None


TASK = Cars()
"""


def test_spectra_are_a_task() -> None:
    assert "spectra" in task_names()
    assert task_of("spectra").objective.val_name == "val_r2"


def test_a_file_brings_a_task(tmp_path: Path) -> None:
    file = tmp_path / "cars.py"
    file.write_text(FILE)
    assert task_of(str(file)).objective.unit == "mph"


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(RequestError, match=r"no task 'spectre'\. Did you mean spectra\? There are: .*spectra"):
        task_of("spectre")


@pytest.mark.parametrize(
    ("text", "fault"), [("TASK = 3", "is none"), ("", "defines no TASK"), (None, "does not exist")]
)
def test_a_file_without_a_task_is_refused(tmp_path: Path, text: str | None, fault: str) -> None:
    file = tmp_path / f"broken{len(text or 'none')}.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(RequestError, match=fault):
        task_of(str(file))

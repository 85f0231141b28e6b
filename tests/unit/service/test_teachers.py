"""The teacher of a spec: found, entered with its digest, or refused before anything is begun."""

from pathlib import Path

import pytest
from small_dataset import trial_config

from spectral_search.errors import RequestError
from spectral_search.record.bundle import write_bundle
from spectral_search.service.teachers import with_teacher
from spectral_search.spec.run import RunSpec
from spectral_search.train.teacher_files import teacher_digest

MLP = {"kind": "mlp", "hidden": [8]}


def spec(**sections: object) -> RunSpec:
    return RunSpec.from_dict({"stage": "some", "model": MLP, **sections})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "teacher.yaml", spec().to_dict(), {}, {}, {})
    return tmp_path / "teacher.yaml"


def test_a_teacher_is_entered_in_full_and_a_spec_without_one_is_left(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    made = with_teacher(spec(fit={"distill": {"model": "teacher.yaml"}}), None)
    assert (made.fit.distill.model, made.fit.distill.sha256) == (str(model), teacher_digest(model))
    assert with_teacher(made, None) == made
    plain = spec()
    assert with_teacher(plain, None) is plain
    assert RunSpec.from_dict(made.to_dict()) == made


def test_the_weight_of_a_teacher_is_searched_and_the_teacher_is_not(model: Path) -> None:
    distill = {"model": str(model), "temperature": 2.0}
    made = with_teacher(spec(fit={"distill": distill}, space={"fit.distill.weight": {"uniform": [0.0, 1.0]}}), None)
    assert made.with_params({"fit.distill.weight": 0.5}).fit.distill.weight == 0.5
    assert "fit.distill.weight" in made.space
    with pytest.raises(RequestError, match=r"fit.distill.model cannot vary between trials; search fit.distill.weight"):
        with_teacher(spec(grid={"fit.distill.model": [str(model)]}), None)


def test_what_is_no_teacher_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="fit.distill.model: nowhere is neither an exported model nor a finished"):
        with_teacher(spec(fit={"distill": {"model": "nowhere"}}), str(tmp_path))
    (tmp_path / "teacher.model.safetensors").unlink()
    with pytest.raises(RequestError, match="fit.distill.model: .*safetensors is missing; export the model again"):
        with_teacher(spec(fit={"distill": {"model": str(model)}}), None)


def test_a_model_of_another_task_or_another_model_is_refused(model: Path, tmp_path: Path) -> None:
    cars = Path(__file__).parents[2] / "tiny_task.py"
    write_bundle(tmp_path / "cars.yaml", spec(task=str(cars)).to_dict(), {}, {}, {})
    with pytest.raises(RequestError, match="is a model of cars, and this search is of spectra"):
        with_teacher(spec(fit={"distill": {"model": str(tmp_path / "cars.yaml")}}), None)
    with pytest.raises(RequestError, match="is not the model that this began with"):
        with_teacher(spec(fit={"distill": {"model": str(model), "sha256": "0" * 64}}), None)


def test_an_exported_student_names_its_teacher(model: Path) -> None:
    made = with_teacher(spec(fit={"distill": {"model": str(model)}}), None)
    assert made.fixed({}).fit.distill == made.fit.distill != trial_config().fit.distill

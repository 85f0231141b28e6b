"""Learning from an exported model: read once, asked once a batch, the same alone as in company and after a resume."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spectral_search.errors import RequestError
from spectral_search.record.bundle import write_bundle
from spectral_search.record.paths import RunPaths
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.train.array_run import ArrayScale, ArraySet
from spectral_search.train.array_task import Arrays
from spectral_search.train.checkpoint import load_checkpoint, save_checkpoint
from spectral_search.train.member import Member
from spectral_search.train.teacher import Teacher
from spectral_search.train.teacher_files import require_known_data, require_same_teacher, teacher_digest
from spectral_search.train.trainer import Trainer

CPU = torch.device("cpu")
MODELS: dict[str, dict[str, Any]] = {
    "pieces": {"kind": "mlp", "hidden": [256]},
    "stack": {"kind": "mlp", "hidden": [16], "norm": "layer"},
    "cnn": {"kind": "cnn", "channels": [4], "kernel_size": 5, "norm": "layer"},
}


def spec(model: dict[str, Any], **fit: Any) -> RunSpec:
    recipe = {"epochs": 6, "batch_size": 64, "lr": 3e-3, "precision": "float32", **fit}
    return RunSpec.from_dict({"stage": "test", "model": model, "fit": recipe})


def config(model: str, **fit: Any) -> TrialConfig:
    return spec(MODELS[model], **fit).base


@pytest.fixture(scope="module")
def dataset() -> ArraySet:
    torch.set_num_threads(1)
    x_NF = np.random.default_rng(0).normal(size=(640, 16)).astype(np.float32)
    train, val = (Arrays(x_NF[rows], np.tanh(x_NF[rows].sum(1))) for rows in (slice(0, 512), slice(512, 640)))
    return ArraySet(train, val, ArrayScale.of(train), "spectra")


@pytest.fixture(scope="module")
def teacher(dataset: ArraySet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported network, trained for a while."""
    trainer, taught = Trainer(dataset, CPU), spec({"kind": "mlp", "hidden": [32]}, seed=7)
    member = trainer.member(0, taught.base)
    trained(trainer, member)
    return exported(tmp_path_factory.mktemp("teacher") / "t.yaml", taught, member, dataset.scale)


def exported(file: Path, taught: RunSpec, member: Member, scale: ArrayScale) -> Path:
    weights = {name: value.numpy() for name, value in member.model.state_dict().items()}
    write_bundle(file, taught.to_dict(), weights, scale.to_arrays(), {})
    return file


def trained(trainer: Trainer, *members: Member, epochs: int = 3) -> list[list[float]]:
    for _ in range(epochs):
        for result in trainer.run_epoch(list(members)).values():
            assert isinstance(result, dict), result
    return [[record["train_loss"] for record in member.history] for member in members]


def distill(model: Path, **changes: Any) -> dict[str, Any]:
    return {"distill": {"model": str(model), "sha256": teacher_digest(model), **changes}}


@pytest.mark.parametrize("model", MODELS)
def test_with_all_weight_on_the_teacher_a_student_comes_to_predict_what_it_does(
    dataset: ArraySet, teacher: Path, model: str
) -> None:
    trainer = Trainer(dataset, CPU)
    student = trainer.member(1, config(model, epochs=40, **distill(teacher, weight=1.0)))
    losses = trained(trainer, student, epochs=20)[0]
    known = trainer._teachers[str(teacher)]
    batch = next(iter(trainer.data.batches({known.input_key: known.wanted}, "arrays", 512, (0, 1), (0,))))
    with torch.no_grad():
        output_B = student.network.output(batch.inputs[known.input_key], batch.context_B)
    apart = (output_B - known.outputs(batch)).square()
    assert losses[-1] < 0.3 * losses[0] and float(apart.mean()) == pytest.approx(losses[-1], rel=0.5)


@pytest.mark.parametrize("model", MODELS)
def test_it_is_asked_once_a_batch_and_a_student_trains_as_it_does_alone(
    dataset: ArraySet, teacher: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy = {"augment": [{"kind": "noise", "sigma": 0.1}]}
    fits = [distill(teacher), {}, {**distill(teacher, weight=0.2), **noisy}, distill(teacher, weight=0.0)]
    asked, outputs = [], Teacher.outputs
    monkeypatch.setattr(Teacher, "outputs", lambda self, batch: asked.append(batch.index) or outputs(self, batch))
    company = Trainer(dataset, CPU)
    together = trained(company, *(company.member(n, config(model, **fit)) for n, fit in enumerate(fits)))
    assert asked == 3 * list(range(8))
    for number in (0, 1, 2):
        trainer = Trainer(dataset, CPU)
        assert trained(trainer, trainer.member(number, config(model, **fits[number])))[0] == pytest.approx(
            together[number], rel=1e-4
        )
    plain = Trainer(dataset, CPU)
    assert trained(plain, plain.member(3, config(model)))[0] == pytest.approx(together[3], rel=1e-4)


def test_resumed_it_goes_on_bit_for_bit(dataset: ArraySet, teacher: Path, tmp_path: Path) -> None:
    recipe = config("stack", **distill(teacher), augment=[{"kind": "noise", "sigma": 0.1}, {"kind": "mixup"}])
    trainer, paths = Trainer(dataset, CPU), RunPaths(tmp_path, "run").trial(0).create()
    whole = trainer.member(0, recipe)
    trained(trainer, whole, epochs=4)
    first = Trainer(dataset, CPU)
    begun = first.member(0, recipe)
    trained(first, begun, epochs=2)
    save_checkpoint(begun, paths)
    again = Trainer(dataset, CPU)
    resumed = again.member(0, recipe)
    assert load_checkpoint(resumed, paths)
    trained(again, resumed, epochs=2)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


def test_another_teacher_is_refused(dataset: ArraySet, teacher: Path, tmp_path: Path) -> None:
    trainer, other = Trainer(dataset, CPU), spec({"kind": "mlp", "hidden": [32]}, seed=8)
    file = exported(tmp_path / "t.yaml", other, trainer.member(0, other.base), dataset.scale)
    recipe = config("stack", distill={"model": str(file), "sha256": teacher_digest(teacher)})
    with pytest.raises(RequestError, match="is not the model that this began with"):
        trainer.member(1, recipe)
    file.unlink()
    with pytest.raises(RequestError, match="is not there any more"):
        require_same_teacher(recipe.fit.distill)


def test_a_teacher_of_another_kind_of_targets_or_of_other_examples_is_refused(
    dataset: ArraySet, teacher: Path, tmp_path: Path
) -> None:
    trainer = Trainer(dataset, CPU)
    classes, wide = (spec({"kind": "mlp", "hidden": [8]}, loss=loss) for loss in ("bce", "mse"))
    made = Trainer(dataset, CPU).member(0, wide.base)
    file = exported(tmp_path / "classes.yaml", classes, made, dataset.scale)
    with pytest.raises(RequestError, match="tells classes, and fit.loss mse is of numbers"):
        trainer.member(1, config("stack", **distill(file)))
    larger = spec({"kind": "mlp", "hidden": [9]})
    file = exported(tmp_path / "other.yaml", larger, made, dataset.scale)
    with pytest.raises(RequestError, match="does not fit these examples"):
        trainer.member(1, config("stack", **distill(file)))


def test_a_teacher_that_reads_from_elsewhere_is_refused(
    dataset: ArraySet, teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, recipe = Trainer(dataset, CPU), config("stack", **distill(teacher))
    monkeypatch.setattr(trainer.data, "source", lambda asked: "own" if asked is recipe else "other")
    with pytest.raises(RequestError, match="reads other and this network own: give both inputs of one kind"):
        trainer.member(1, recipe)


def test_a_teacher_that_knows_examples_by_other_statistics_is_refused(
    dataset: ArraySet, teacher: Path, tmp_path: Path
) -> None:
    given = config("stack", **distill(teacher)).fit.distill
    own = exported(
        tmp_path / "own.yaml", spec({"kind": "mlp"}), Trainer(dataset, CPU).member(0, config("stack")), dataset.scale
    )
    preprocessing = own.with_name("own.preprocessing.safetensors")
    require_known_data(given, preprocessing)
    write_bundle(own, {}, {}, {**dataset.scale.to_arrays(), "mean": np.ones(16)}, {})
    with pytest.raises(RequestError, match=r"other statistics than this run has \(mean\)"):
        require_known_data(given, preprocessing)

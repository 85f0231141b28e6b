"""Baselines as a whole: stored as they finish, found by a run on the same spectra, refused before any work."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from baseline_roots import ask, write_shard
from learnable_root import write_root
from small_dataset import make_spectra

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.baselines import fit_baselines as baselines
from spectral_search.tasks.spectra.baselines.fit_baselines import Question, chosen_methods, measure
from spectral_search.tasks.spectra.report import baselines_view, kept_audit
from spectral_search.tasks.spectra.report import kept_baselines as stored
from spectral_search.tasks.spectra.section import DataSpec

CPU = torch.device("cpu")


def told(title: str) -> Callable[[int, int], None]:
    return lambda done, total: None


def fit(question: Question, results: Path, *methods: str, again: bool = False) -> stored.Baselines:
    return measure(question, results, methods, CPU, told, lambda text: None, again=again)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_root(tmp_path_factory.mktemp("baselines") / "data", train=300, val=100, test=80, with_noisy=True)


def test_what_is_finished_is_kept_and_not_fitted_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = ask(root)

    def interrupted(problem: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(baselines.METHODS, "ceiling", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(question, tmp_path, "ridge", "ceiling")
    monkeypatch.undo()
    monkeypatch.setitem(baselines.METHODS, "ridge", interrupted)
    found = fit(question, tmp_path, "ridge", "ceiling")
    assert list(found.methods) == ["ridge", "ceiling"]
    with pytest.raises(KeyboardInterrupt):
        fit(question, tmp_path, "ridge", again=True)
    table = found.predictions("ceiling")
    assert list(table["row"]) == list(range(80)) and table["log_g_predicted"].notna().all()
    document = baselines_view.document(found)
    assert set(document) == {"ridge", "lightgbm", "oracle_mixture", "ceiling"} and document["lightgbm"] is None
    entry = document["ceiling"]
    assert entry["low"] <= entry["test_r2"] <= entry["high"] and entry["effective_templates"] >= 1
    assert {"test_mae_dex", "test_rmse_dex", "seconds"} <= set(entry)


def found_baselines(results: Path, manifest_data: Mapping[str, Any], data: DataSpec) -> stored.Baselines | None:
    """On exactly the spectra of a run."""
    for known in stored.list_baselines(results, manifest_data):
        train = int(known.document["spectra"]["train"])
        if known.paths.folder.name == stored.setting_key(data, manifest_data, train):
            return known
    return None


def test_a_run_finds_the_baselines_of_its_own_spectra(root: Path, tmp_path: Path) -> None:
    question = ask(root)
    fit(question, tmp_path, "ridge")
    fit(ask(root, num_train=200), tmp_path, "ridge")
    manifest_data = baselines.manifest_data(question)
    known = found_baselines(tmp_path, manifest_data, question.spec.data)
    assert known is not None and known.document["spectra"] == {"train": 300, "val": 100, "test": 80}
    other = question.spec.data.model_copy(update={"noise_level": 0.5})
    assert found_baselines(tmp_path, manifest_data, other) is None
    assert [b.document["spectra"]["train"] for b in stored.list_baselines(tmp_path, manifest_data)] == [
        200,
        300,
    ]


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_edited_spectra_are_measured_anew(root: Path, tmp_path: Path, part: str) -> None:
    """Labels and names are the same; the old numbers stay where they are, and belong to the old bytes."""
    shutil.copytree(root, tmp_path / "data")
    results, before = tmp_path / "results", ask(tmp_path / "data")
    fit(before, results, "ridge")
    known = baselines.manifest_data(before)
    with h5py.File(tmp_path / f"data/{part}_0/dataset.h5", "r+") as file:
        flux = file["dataset/arrays/flux/value"]
        flux[3] = flux[3] * 1.01
    after = ask(tmp_path / "data")
    now = baselines.manifest_data(after)
    assert found_baselines(results, known, before.spec.data) is not None
    assert found_baselines(results, now, after.spec.data) is None
    assert list(fit(after, results, "ridge").methods) == ["ridge"]
    assert found_baselines(results, now, after.spec.data) is not None


def test_an_audit_belongs_to_the_bytes_it_saw(root: Path, tmp_path: Path) -> None:
    from spectral_search.run.plan import make_plan

    shutil.copytree(root, tmp_path / "data")
    for file in (tmp_path / "data").glob("*/dataset.h5"):
        os.utime(file, (1e9, 1e9))
    question = ask(tmp_path / "data", input={"kind": "flux_error"})

    def note() -> str:
        asked = ask(tmp_path / "data", input={"kind": "flux_error"})
        (told,) = (note for note in make_plan(asked.spec, asked.root, results=tmp_path).notes if "leaky" in note)
        return told

    baselines.audit(question, tmp_path, told)
    assert "as the audit measured" in note()
    with h5py.File(tmp_path / "data/test_0/dataset.h5", "r+") as file:
        file["dataset/arrays/noisy/value"][5] *= 3
    assert "measures it on yours" in note()


def test_what_is_read_is_part_of_the_key(root: Path, tmp_path: Path) -> None:
    pixels = ask(root)
    signal = replace(pixels, reads="signal")
    assert chosen_methods(pixels, ["ridge", "ceiling"])[0] == ["ridge", "ceiling"]
    assert chosen_methods(signal, ["ridge", "ceiling"])[0] == ["ceiling", "ridge_signal"]
    assert baselines_view.document(fit(signal, tmp_path, "ridge_signal"))["ridge"]["input"] == "signal"
    found = fit(pixels, tmp_path, "ridge")
    assert list(found.methods) == ["ridge", "ridge_signal"]
    told_of = baselines_view.document(found)
    assert told_of["ridge"]["input"] == "pixels" and told_of["ridge"]["test_r2"] == found.methods["ridge"]["r2"]


def test_without_a_test_set_the_numbers_are_of_val(tmp_path: Path) -> None:
    root = write_root(tmp_path / "data", train=200, val=80, test=0)
    found = fit(ask(root), tmp_path, "ridge")
    entry = baselines_view.document(found)["ridge"]
    assert entry["test_r2"] is None and entry["val_r2"] > 0.5 and entry["part"] == "val"


def test_what_the_data_do_not_allow_is_left_out_or_refused(tmp_path: Path) -> None:
    for seed, part in enumerate(("train", "val"), start=1):
        spectra = make_spectra(60, seed)
        del spectra.labels["T_eff"]
        write_shard(tmp_path / f"{part}_0", spectra)
    question = ask(tmp_path, noise_level=0.0)
    methods, left_out = chosen_methods(question, [])
    assert methods == ["ridge", "lightgbm"] and len(left_out) == 2
    with pytest.raises(RequestError, match="needs T_eff"):
        chosen_methods(question, ["oracle_mixture"])
    with pytest.raises(RequestError, match="No baseline is called forest: choose among ridge"):
        chosen_methods(question, ["forest"])


def test_a_leaky_input_is_warned_of_with_what_the_audit_measured(root: Path, tmp_path: Path) -> None:
    from spectral_search.run.plan import make_plan

    question = ask(root, input={"kind": "flux_error"})
    (unknown,) = (note for note in make_plan(question.spec, question.root, results=tmp_path).notes if "leaky" in note)
    assert "`spectral-search audit` measures it on yours" in unknown
    document = baselines.audit(question, tmp_path, told)
    measured = kept_audit.error_alone(document)
    (known,) = (note for note in make_plan(question.spec, question.root, results=tmp_path).notes if "leaky" in note)
    assert measured is not None and f"error alone reaches R2 {measured:.4f}, as the audit measured" in known

"""A search in components: what the plan finds and refuses, what is kept in memory, and what training makes of it."""

import io
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from rich.console import Console

from spectral_search.errors import RequestError
from spectral_search.record.scores import scores
from spectral_search.run.plan import Plan, make_plan
from spectral_search.run.plan_view import render_plan
from spectral_search.spec.run import RunSpec
from spectral_search.tasks.spectra.shards.blocks import iter_blocks
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.split import make_splits
from spectral_search.tasks.spectra.signal.subspace_plan import FoundSubspace, find_subspace
from spectral_search.tasks.spectra.simulator.simulate import simulate
from spectral_search.tasks.spectra.training.prepare_dataset import Prepared, prepare
from spectral_search.train.trainer import Trainer

CPU = torch.device("cpu")
COMPONENTS = 48
"""What `auto` finds in the simulated spectra of 256 pixels below."""
KINDS = ("signal", "standardize")
SPEC = {
    "stage": "small",
    "data": {"input": {"kind": "signal"}},
    "model": {"kind": "mlp", "hidden": [32]},
    "fit": {"epochs": 3, "batch_size": 64, "lr": 3e-3, "precision": "float32"},
    "resources": {"gpus": []},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("subspace") / "data"
    simulate(root, train=600, val=128, test=64, pixels=256, dtype="float32")
    return root


def spec_of(**changes: object) -> RunSpec:
    return RunSpec.from_dict(SPEC).override({key.replace("__", "."): value for key, value in changes.items()})


def planned(data: Path, spec: RunSpec) -> Plan:
    return make_plan(spec, DataRoot.find(str(data)), executor="inline")


def prepared(plan: Plan) -> Prepared:
    return prepare(plan.spec, plan.data.splits, iter_blocks, plan.data.prep)


def test_the_plan_says_how_many_components_and_what_they_leave_out(data: Path) -> None:
    plan = planned(data, spec_of())
    told = " ".join(plan.notes)
    assert plan.spec.data.input.components == COMPONENTS
    assert f"has {COMPONENTS} components that rise above the noise, found in 600 noise-free training" in told
    assert "--input standardize" in told
    assert plan.parameters({}) == COMPONENTS * 32 + 32 + 32 + 1


def test_nothing_of_the_training_set_is_kept_in_pixels(data: Path) -> None:
    plan = planned(data, spec_of())
    dataset = prepared(plan).dataset
    assert dataset.train is None and dataset.train_spectra == 600
    assert (
        dataset.components is not None
        and dataset.components.nbytes < 600 * 4 * (COMPONENTS + 32) + 32 * 4 * COMPONENTS**2
    )
    assert dataset.val.in_components and dataset.val.noisy_DNL.shape[1:] == (128, COMPONENTS)


def test_a_search_of_both_kinds_of_input_keeps_both_in_one_order(data: Path) -> None:
    spec = RunSpec.from_dict({**SPEC, "space": {"data.input.kind": {"choice": ["signal", "standardize"]}}})
    plan = planned(data, spec)
    dataset = prepared(plan).dataset
    assert dataset.train is not None and dataset.components is not None
    np.testing.assert_array_equal(dataset.train.log_g_N, dataset.components.log_g_N)
    trainer = Trainer(dataset, CPU)
    both = [trainer.member(k, plan.spec.with_params({"data.input.kind": kind})) for k, kind in enumerate(KINDS)]
    together = trainer.run_epoch(both)
    for number, kind in enumerate(KINDS):
        alone = Trainer(dataset, CPU)
        member = alone.member(number, plan.spec.with_params({"data.input.kind": kind}))
        assert alone.run_epoch([member])[number]["val_r2"] == pytest.approx(together[number]["val_r2"], abs=1e-5)


def test_val_in_components_gives_what_val_in_pixels_gives(data: Path) -> None:
    plan = planned(data, spec_of())
    found = prepared(plan)
    trainer = Trainer(found.dataset, CPU)
    member = trainer.member(0, plan.spec.base)
    trainer.run_epoch([member])
    other = plan.spec.override({"data.noise_drawn": "pixels"})
    in_pixels = prepare(other, plan.data.splits, iter_blocks, plan.data.prep)
    assert not in_pixels.dataset.val.in_components
    (ours,), (theirs,) = (trainer.predict([member], made.dataset.val) for made in (found, in_pixels))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("kind", ["signal", "denoised"])
def test_training_learns_alike_with_noise_drawn_either_way(data: Path, kind: str) -> None:
    reached = []
    for drawn in ("components", "pixels"):
        plan = planned(data, spec_of(data__input__kind=kind, data__noise_drawn=drawn, fit__epochs=12))
        trainer = Trainer(prepared(plan).dataset, CPU)
        members = [trainer.member(number, plan.spec.base) for number in range(4)]
        for _ in range(12):
            trainer.run_epoch(members)
        reached.append(np.mean([member.history[-1]["val_r2"] for member in members]))
    assert min(reached) > 0.1
    assert reached[0] == pytest.approx(reached[1], abs=0.02)


def test_noise_in_components_follows_from_counters_alone(data: Path) -> None:
    plan = planned(data, spec_of())
    made = [prepared(plan).dataset for _ in range(2)]
    histories = []
    for dataset, company in zip(made, (1, 3), strict=True):
        trainer = Trainer(dataset, CPU)
        members = [trainer.member(number, plan.spec.base) for number in range(company)]
        for _ in range(2):
            trainer.run_epoch(members)
        histories.append([record["val_r2"] for record in members[0].history])
    assert histories[0] == pytest.approx(histories[1], abs=1e-6)


@pytest.fixture(scope="module")
def observed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> DataRoot:
    """The same spectra, with noise in the training flux."""
    root = DataRoot.find(str(data))
    (source,) = root.train
    noisy = tmp_path_factory.mktemp("observed") / "train_0" / "dataset.h5"
    noisy.parent.mkdir()
    noisy.write_bytes(source.path.read_bytes())
    with h5py.File(noisy, "r+") as file:
        flux, error = (file[f"dataset/arrays/{name}/value"] for name in ("flux", "error"))
        noise_NL = np.random.default_rng(1).standard_normal(flux.shape)
        flux[:] = np.maximum(flux[:] + np.nan_to_num(error[:]) * noise_NL, 0.0)
    return replace(root, train=DataRoot.find(str(noisy)).train)


def test_training_flux_that_is_noisy_is_refused(observed: DataRoot) -> None:
    spec = spec_of()
    with pytest.raises(RequestError, match=r"training flux holds noise of its own.*--input standardize"):
        find_subspace(spec, make_splits(observed, spec.data), [spec.base])


CHOSEN = {"input": {"kind": "signal", "otherwise": "standardize"}}
VARIED = {
    "space": {
        "data.input.kind": {"choice": ["signal", "denoised", "whiten"]},
        "data.input.components": {"choice": [8, 16]},
        "fit.lr": {"choice": [1e-3, 3e-3]},
    },
    "grid": {"data.input.kind": ["signal", "standardize"], "data.input.components": [8], "fit.lr": [1e-3]},
}


def test_noisy_training_flux_lets_another_input_stand_in(observed: DataRoot) -> None:
    spec = RunSpec.from_dict({**SPEC, "data": CHOSEN, **VARIED})
    plan = make_plan(spec, observed, executor="inline")
    given = plan.spec.data.input
    assert (given.kind, given.otherwise, given.components, plan.data.prep) == ("standardize", None, "auto", None)
    assert plan.spec.space["data.input.kind"].choices == ["standardize", "whiten"]
    assert list(plan.spec.space) == ["data.input.kind", "fit.lr"]
    assert plan.spec.grid == {"data.input.kind": ["standardize"], "fit.lr": [1e-3]}
    (told,) = [note for note in plan.notes if "holds noise of its own" in note]
    assert "networks see standardize and not denoised and signal, as data.input.otherwise says" in told
    with pytest.raises(RequestError, match="holds noise of its own"):
        make_plan(spec.override({"data.input.kind": "signal"}), observed, executor="inline")


def test_too_few_spectra_to_show_the_signal_let_another_input_stand_in(data: Path) -> None:
    plan = planned(data, RunSpec.from_dict({**SPEC, "data": {**CHOSEN, "num_train": 12, "num_val": 64}}))
    assert plan.spec.data.input.kind == "standardize"
    assert any("In 12 training spectra the signal of the val spectra hardly shows" in note for note in plan.notes)


def test_what_is_kept_of_a_choice_is_what_was_chosen(data: Path) -> None:
    spec = RunSpec.from_dict({**SPEC, "data": CHOSEN, "grid": {"data.input.kind": ["whiten"], "fit.lr": [1e-3, 3e-3]}})
    plan = planned(data, spec)
    given = plan.spec.data.input
    assert (given.kind, given.components, given.otherwise) == ("signal", COMPONENTS, None)
    again = planned(data, RunSpec.from_dict(plan.spec.to_dict()))
    assert again.spec == plan.spec
    by_grid = planned(data, spec.override({"search.sampler": "grid"}))
    given = by_grid.spec.data.input
    assert (given.kind, given.otherwise, by_grid.data.prep) == ("whiten", None, None)
    assert by_grid.parameters({}) == 256 * 32 + 32 + 32 + 1
    assert not any("components" in note for note in by_grid.notes)


def test_the_plan_shows_the_input_in_a_line(data: Path) -> None:
    file = io.StringIO()
    for kind in ("signal", "standardize"):
        Console(file=file, width=80).print(render_plan(planned(data, spec_of(data__input__kind=kind))))
    lines = [" ".join(line.split()) for line in file.getvalue().splitlines()]
    assert [line for line in lines if line.startswith("input ")] == [
        f"input signal, {COMPONENTS} components",
        "input standardize",
    ]


def test_what_stands_in_cannot_be_searched() -> None:
    with pytest.raises(RequestError, match=r"space.data.input.otherwise cannot vary"):
        RunSpec.from_dict({**SPEC, "space": {"data.input.otherwise": {"choice": ["standardize", "whiten"]}}})


def test_the_residual_of_a_ridge_on_components_is_learnt(data: Path) -> None:
    plan = planned(data, spec_of(fit__target="ridge_residual", fit__ridge_alpha=10.0))
    dataset = prepared(plan).dataset
    trainer = Trainer(dataset, CPU)
    member = trainer.member(0, plan.spec.base)
    weight_F, _ = member.network.ridge or (torch.zeros(0), 0)
    assert weight_F.shape == (COMPONENTS,)
    (ridge_DN,) = trainer.predict([member], dataset.val)  # its network adds nothing yet
    ridge = scores(ridge_DN, np.broadcast_to(dataset.val.log_g_N, ridge_DN.shape))
    assert ridge["r2"] > 0.1
    for _ in range(3):
        trainer.run_epoch([member])
    assert member.history[-1]["val_r2"] > ridge["r2"]


def test_more_components_than_there_are_is_refused(data: Path) -> None:
    with pytest.raises(RequestError, match=r"asks for 300 .* use at most 128"):
        planned(data, spec_of(data__input__components=300))


def test_signal_outside_of_the_subspace_is_warned_of(data: Path) -> None:
    spec = spec_of()
    found = find_subspace(spec, make_splits(DataRoot.find(str(data)), spec.data), [spec.base])
    assert isinstance(found, FoundSubspace) and len(found.notes()) == 1
    assert "more than 1%" in replace(found, outside=0.02).notes()[1]


@pytest.mark.parametrize("kind", ["cnn", "res_cnn", "vit", "moe_cnn"])
def test_signal_for_a_network_that_needs_neighbours_names_the_cure(kind: str) -> None:
    with pytest.raises(RequestError, match=r"no neighbouring pixels.*use denoised, or model.kind mlp"):
        RunSpec.from_dict({**SPEC, "model": {"kind": kind}})

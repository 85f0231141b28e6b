"""docs/export.md: the prediction by hand that it shows, run as it stands there, is what `predict` gives."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_dataset import make_dataset, make_spectra, trial_config
from small_shards import fake_labels

from spectral_search.record.bundle import read_bundle, write_bundle
from spectral_search.spec.run import RunSpec
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.shard_writer import ShardWriter
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.signal.subspace import find_directions, whitened
from spectral_search.tasks.spectra.training.dataset import Dataset, Labelled
from spectral_search.tasks.spectra.training.predictor import Predictor
from spectral_search.train.trainer import Trainer

pytestmark = pytest.mark.slow

DOC = Path(__file__).parents[2] / "docs" / "export.md"
CODE = "\n".join(re.findall(r"```python\n(.*?)```", DOC.read_text(), re.DOTALL))
TOLERANCE_DEX = 1e-4
"""As the page says."""
CPU = torch.device("cpu")
PIXELS = 33
SHARD = "data/test_10k_0/dataset.h5"


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    torch.set_num_threads(1)
    train, val = (make_spectra(count, seed, pixels=PIXELS, nan_edges=True) for count, seed in ((300, 1), (60, 2)))
    dataset, prep = make_dataset(train, val, draws=1)
    # A ranking as LightGBM would leave it: any order of the pixels.
    object.__setattr__(prep, "pixel_rank_L", np.random.default_rng(0).permutation(PIXELS))
    assert isinstance(dataset.train, Labelled)
    signal = find_directions(whitened(dataset.train.flux_NL, prep.centre_L, prep.inverse_noise_L), 1).take(6)
    object.__setattr__(prep, "directions_LK", np.ascontiguousarray(signal.directions_LK))
    object.__setattr__(prep, "strength_K", signal.strength_K)
    return dataset


def export(folder: Path, dataset: Dataset, inputs: dict[str, Any], model: dict[str, Any], **fit: Any) -> None:
    """A network after an epoch of training, exported as best.yaml."""
    level = inputs.pop("noise_level", 1.0)
    config = trial_config(model, {"epochs": 1, **fit}, **inputs)
    trainer = Trainer(dataset, CPU)
    member = trainer.member(3, config)
    trainer.run_epoch([member])
    document = RunSpec.from_dict({"stage": "test", **config.to_dict()}).to_dict()
    document["data"] |= {"noise_level": level, "split_seed": 17}
    weights = {name: value.numpy().copy() for name, value in member.model.state_dict().items()}
    write_bundle(folder / "best.yaml", document, weights, dataset.prep.to_arrays(), {})


def write_shard(folder: Path, *, noisy: bool = True, mask: str = "int") -> None:
    """A shard with everything that makes values invalid, faint spectra, and a valid pixel that training had not."""
    data = make_spectra(50, 9, pixels=PIXELS)
    flux_NL, error_NL = data.flux_NL, data.error_NL
    error_NL[20:] *= 8.0
    error_NL[:, -1] = np.nan
    noisy_NL = flux_NL + np.random.default_rng(3).normal(size=flux_NL.shape) * error_NL
    flux_NL[3, 5], error_NL[4, 6], error_NL[5, 7], noisy_NL[6, 8] = np.inf, -1.0, 0.0, np.nan
    bad_NL = np.zeros(flux_NL.shape, bool)
    bad_NL[7, 9:12] = True
    wave_L = np.linspace(7100.0, 8850.0, PIXELS)
    options = {"with_noisy": noisy, "with_mask": mask != "none", "chunk_rows": 16}
    with ShardWriter(folder / SHARD, spectra=50, pixels=PIXELS, wave_angstrom_L=wave_L, **options) as writer:
        writer.write(0, flux_NL, error_NL, noisy_NL if noisy else None, bad_NL if mask != "none" else None)
        writer.write_params(fake_labels(50))


def by_hand(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page's code leaves behind, run in a folder with the files that it names."""
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(compile(CODE, str(DOC), "exec"), names)
    return names


def predicted(folder: Path, *, observed: bool = False) -> np.ndarray:
    selection = Selection.all_of(DataRoot.find(folder / SHARD).train)
    table = Predictor(read_bundle(folder / "best.yaml"), CPU).predict_shards(selection, observed=observed).table
    return table["log_g_predicted"].to_numpy()


MLP = {"kind": "mlp", "hidden": [16, 8]}
CNN = {"kind": "cnn", "channels": [8, 16], "kernel_size": 5, "head": [8]}
INPUTS: list[dict[str, Any]] = [
    {"kind": "standardize"},
    {"kind": "standardize", "clamp": 1.5},
    {"kind": "standardize", "squash": "asinh", "noise_level": 0.5},
    {"kind": "standardize", "top_pixels": 9},
    {"kind": "whiten"},
    {"kind": "whiten", "error_floor": 0.3, "squash": "log1p", "clamp": 3.0},
    {"kind": "raw_whiten", "error_floor": 0.1},
    {"kind": "flux_error"},
    {"kind": "flux_inverse_error", "top_pixels": 20, "clamp": 1.0},
    {"kind": "standardize", "noise_level": 0.0},
    {"kind": "signal"},
    {"kind": "signal", "components": 4, "squash": "asinh", "noise_level": 0.5},
    {"kind": "denoised", "components": 5, "clamp": 2.0},
]
MODELS: list[dict[str, Any]] = [
    {**MLP, "norm": "layer", "norm_layers": "first", "activation": "gelu", "dropout": 0.3},
    {**MLP, "norm": "batch", "activation": "silu", "residual": True},
    {**MLP, "hidden": [16, 16], "norm": "group", "activation": "tanh", "residual": True},
    {**CNN, "norm": "batch", "activation": "relu"},
    {**CNN, "norm": "layer", "activation": "gelu", "pool": 1, "average_to": 4, "dropout": 0.2},
    {**CNN, "norm": "group", "activation": "elu", "head": []},
]


@pytest.mark.parametrize("noisy", [True, False], ids=["recorded", "drawn"])
@pytest.mark.parametrize("inputs", INPUTS, ids=lambda inputs: "-".join(map(str, inputs.values())))
def test_every_input(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: dict[str, Any], noisy: bool
) -> None:
    export(tmp_path, dataset, dict(inputs), MLP)
    write_shard(tmp_path, noisy=noisy)
    names = by_hand(tmp_path, monkeypatch)
    np.testing.assert_allclose(names["log_g"], predicted(tmp_path), rtol=0, atol=TOLERANCE_DEX)
    in_steps = names["predict"]("best.yaml", SHARD, step=7)
    np.testing.assert_allclose(in_steps, names["log_g"], rtol=0, atol=TOLERANCE_DEX)
    observed = names["predict"]("best.yaml", SHARD, observed=True)
    np.testing.assert_allclose(observed, predicted(tmp_path, observed=True), rtol=0, atol=TOLERANCE_DEX)
    assert np.std(names["log_g"]) > 100 * TOLERANCE_DEX


@pytest.mark.parametrize("model", MODELS, ids=lambda model: "-".join(map(str, model.values())))
def test_every_network_of_the_page(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: dict[str, Any]
) -> None:
    target = "ridge_residual" if model.get("norm") == "batch" else "direct"
    export(tmp_path, dataset, {"kind": "standardize"}, model, target=target)
    write_shard(tmp_path)
    found = by_hand(tmp_path, monkeypatch)["log_g"]
    np.testing.assert_allclose(found, predicted(tmp_path), rtol=0, atol=TOLERANCE_DEX)


def test_a_residual_on_a_ridge_on_components(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(tmp_path, dataset, {"kind": "signal"}, MLP, target="ridge_residual")
    write_shard(tmp_path)
    found = by_hand(tmp_path, monkeypatch)["log_g"]
    np.testing.assert_allclose(found, predicted(tmp_path), rtol=0, atol=TOLERANCE_DEX)


@pytest.mark.parametrize("mask", ["int", "bool", "none"])
def test_masks_of_both_conventions(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: str
) -> None:
    import h5py

    export(tmp_path, dataset, {"kind": "whiten"}, MLP)
    write_shard(tmp_path, mask=mask)
    if mask == "bool":
        with h5py.File(tmp_path / SHARD, "a") as file:
            bad_NL = file["dataset/arrays/mask/value"][...]
            del file["dataset/arrays/mask/value"]
            file["dataset/arrays/mask/value"] = bad_NL == 0
    found = by_hand(tmp_path, monkeypatch)["log_g"]
    np.testing.assert_allclose(found, predicted(tmp_path), rtol=0, atol=TOLERANCE_DEX)


def test_networks_that_the_page_leaves_to_the_package(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spectral_search.models.build import build_model

    export(
        tmp_path, dataset, {"kind": "standardize"}, {"kind": "vit", "patch": 8, "width": 16, "layers": 1, "heads": 2}
    )
    write_shard(tmp_path)
    names: dict[str, Any] = {}
    monkeypatch.chdir(tmp_path)
    exec(CODE.rpartition("\nlog_g = ")[0], names)

    def standardised(x: torch.Tensor, weights: dict[str, torch.Tensor], config: dict[str, Any]) -> torch.Tensor:
        network = build_model(RunSpec.from_dict(config).model, pixels=x.shape[2], channels=x.shape[1])
        network.load_state_dict(weights)
        return network.eval()(x)

    names["standardised"] = standardised
    found = names["predict"]("best.yaml", SHARD)
    np.testing.assert_allclose(found, predicted(tmp_path), rtol=0, atol=TOLERANCE_DEX)


def test_under_autocast_it_meets_bfloat16(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(tmp_path, dataset, {"kind": "standardize"}, MLP, precision="bfloat16")
    write_shard(tmp_path)
    names = by_hand(tmp_path, monkeypatch)
    in_float32, expected = names["log_g"], predicted(tmp_path)
    assert 1e-4 < np.abs(in_float32 - expected).max() < 0.1
    plain = names["standardised"]

    def standardised(*given: Any) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return plain(*given).float()

    names["standardised"] = standardised
    found = names["predict"]("best.yaml", SHARD)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


def test_the_page_names_every_array(dataset: Dataset) -> None:
    assert [name for name in dataset.prep.to_arrays() if f"`{name}`" not in DOC.read_text()] == []


def test_another_folder_name_is_a_bundle_too(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(tmp_path, dataset, {"kind": "standardize"}, MLP)
    write_shard(tmp_path)
    names = by_hand(tmp_path, monkeypatch)
    bundle = read_bundle(tmp_path / "best.yaml")
    write_bundle(tmp_path / "best" / "config.yaml", bundle.config, bundle.weights, bundle.preprocessing, {})
    np.testing.assert_array_equal(names["predict"]("best/config.yaml", SHARD), names["log_g"])

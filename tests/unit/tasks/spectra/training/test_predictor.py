"""An exported model predicts what its trial predicted, and refuses what does not fit it."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from small_dataset import make_spectra, small_dataset, trial_config
from small_shards import fake_labels

from spectral_search.errors import RequestError
from spectral_search.record.bundle import Bundle, read_bundle, write_bundle
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.tasks.spectra.shards.blocks import iter_blocks
from spectral_search.tasks.spectra.shards.content import content_digests
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.shard_writer import ShardWriter
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.training.dataset import Dataset
from spectral_search.tasks.spectra.training.predictor import Predictor
from spectral_search.train.trainer import Trainer

CPU = torch.device("cpu")
MODELS = {
    "mlp": {"kind": "mlp", "hidden": [16], "dropout": 0.3, "norm": "batch"},
    "cnn": {"kind": "cnn", "channels": [4], "kernel_size": 5, "norm": "batch", "head": [8]},
    "oracle": {"kind": "moe_cnn", "gate": "oracle", "channels": [2], "head": [4]},
}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    torch.set_num_threads(1)
    return small_dataset(400, 150, draws=2)


def exported(dataset: Dataset, config: TrialConfig) -> tuple[Bundle, np.ndarray]:
    """A trained member as a bundle, and its predictions for the val set."""
    trainer = Trainer(dataset, CPU)
    member = trainer.member(3, config)
    trainer.run_epoch([member])
    spec = RunSpec.from_dict({"stage": "test", **config.to_dict()})
    weights = {name: value.numpy().copy() for name, value in member.model.state_dict().items()}
    predicted_DN = trainer.predict([member], dataset.val)[0]
    return Bundle(spec.to_dict(), weights, dataset.prep.to_arrays(), {}), predicted_DN


@pytest.mark.parametrize("target", ["direct", "ridge_residual"])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_a_bundle_from_disk_predicts_what_the_member_did(
    dataset: Dataset, tmp_path: Path, model: dict[str, object], target: str
) -> None:
    bundle, expected_DN = exported(dataset, trial_config(model, {"target": target}, kind="whiten", error_floor=0.1))
    write_bundle(tmp_path / "model.yaml", bundle.config, bundle.weights, bundle.preprocessing, {})
    predictor = Predictor(read_bundle(tmp_path / "model.yaml"), CPU)
    np.testing.assert_allclose(predictor.predict(dataset.val), expected_DN, rtol=1e-6)


def write_shard(
    path: Path,
    spectra: int,
    *,
    noisy: bool,
    pixels: int = 32,
    chunk_rows: int = 16,
    labels: pd.DataFrame | None = None,
    shift_angstrom: float = 0.0,
    descending: bool = False,
) -> Selection:
    data = make_spectra(spectra, 9, pixels=pixels, nan_edges=True)
    error_NL = np.where(data.error_NL > 0, data.error_NL, np.nan)
    wave_L = (np.linspace(7100.0, 8850.0, pixels) + shift_angstrom)[:: -1 if descending else 1]
    options = {"with_noisy": noisy, "with_mask": False, "chunk_rows": chunk_rows}
    with ShardWriter(path, spectra=spectra, pixels=pixels, wave_angstrom_L=wave_L, **options) as writer:
        writer.write(0, data.flux_NL, error_NL, data.flux_NL * 1.1 if noisy else None, None)
        writer.write_params(fake_labels(spectra) if labels is None else labels)
    return Selection.all_of(DataRoot.find(path).train)


def test_shards_without_noise_get_the_same_draw_however_they_are_cut(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor(exported(dataset, trial_config(MODELS["mlp"]))[0], CPU)
    whole = predictor.predict_shards(write_shard(tmp_path / "train_a/dataset.h5", 60, noisy=False))
    assert whole.noise == "one frozen draw of noise at level 1"
    selection = write_shard(tmp_path / "train_b/dataset.h5", 60, noisy=False, chunk_rows=7)
    small_blocks = partial(iter_blocks, target_bytes=7 * 8 * 32)
    assert len(list(small_blocks(selection))) == 9
    monkeypatch.setattr("spectral_search.tasks.spectra.training.evaluation_spectra.iter_blocks", small_blocks)
    parts = predictor.predict_shards(selection)
    np.testing.assert_allclose(parts.table["log_g_predicted"], whole.table["log_g_predicted"], rtol=1e-5)
    observed = predictor.predict_shards(selection, observed=True)
    assert observed.noise == "flux as observed, no noise added"
    assert not np.allclose(observed.table["log_g_predicted"], whole.table["log_g_predicted"], rtol=1e-5)
    assert {"id", "log_g", "T_eff", "M_H", "snr", "log_g_predicted"} <= set(whole.table)


def test_recorded_noise_is_taken_at_level_1_only(dataset: Dataset, tmp_path: Path) -> None:
    selection = write_shard(tmp_path / "train/dataset.h5", 40, noisy=True)
    bundle = exported(dataset, trial_config(MODELS["mlp"]))[0]
    recorded = Predictor(bundle, CPU).predict_shards(selection)
    assert recorded.noise == "noise as recorded in the shards"
    config = {**bundle.config, "data": {**bundle.config["data"], "noise_level": 0.0}}
    silent = Predictor(replace(bundle, config=config), CPU).predict_shards(selection)
    assert silent.noise == "one frozen draw of noise at level 0"
    # The shard's recorded noisy is flux x 1.1: a model of level 0 must be given the flux itself.
    assert not np.allclose(silent.table["log_g_predicted"], recorded.table["log_g_predicted"], rtol=1e-5)


def test_another_number_of_pixels_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    predictor = Predictor(exported(dataset, trial_config(MODELS["cnn"]))[0], CPU)
    selection = write_shard(tmp_path / "train/dataset.h5", 20, noisy=False, pixels=40)
    with pytest.raises(RequestError, match="reads spectra of 32 pixels and these shards have 40"):
        predictor.predict_shards(selection)


def on_grid(bundle: Bundle) -> Predictor:
    """The model of a bundle that knows its wavelengths."""
    wave_L = np.linspace(7100.0, 8850.0, 32)
    return Predictor(replace(bundle, preprocessing={**bundle.preprocessing, "wave_angstrom_L": wave_L}), CPU)


def test_another_wavelength_grid_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    """Of equal length: an arm shifted by a pixel would be predicted without a word."""
    bundle = exported(dataset, trial_config(MODELS["mlp"]))[0]
    near = write_shard(tmp_path / "train_a/dataset.h5", 20, noisy=False, shift_angstrom=5e-4)
    far = write_shard(tmp_path / "train_b/dataset.h5", 20, noisy=False, shift_angstrom=5e-3)
    assert len(on_grid(bundle).predict_shards(near).table) == 20
    with pytest.raises(RequestError, match=r"7100\.000 to 8850\.000 .* train_b.* 7100\.005 to 8850\.005, up to 0\.005"):
        on_grid(bundle).predict_shards(far)
    with pytest.raises(RequestError, match="train_b"):  # in whichever shard it is
        on_grid(bundle).predict_shards(Selection.all_of([*near.shards, *far.shards]))
    turned = write_shard(tmp_path / "train_c/dataset.h5", 20, noisy=False, descending=True)
    with pytest.raises(RequestError, match=r"train_c.* in the other order of wavelengths: turn"):
        on_grid(bundle).predict_shards(turned)
    assert len(Predictor(bundle, CPU).predict_shards(far).table) == 20  # a model of an earlier version does not know


def test_shards_that_do_not_say_their_wavelengths_are_taken(dataset: Dataset, tmp_path: Path) -> None:
    selection = write_shard(tmp_path / "train/dataset.h5", 20, noisy=False)
    with h5py.File(tmp_path / "train/dataset.h5", "r+") as file:
        del file["spectrumdataset"]
    assert len(on_grid(exported(dataset, trial_config(MODELS["mlp"]))[0]).predict_shards(selection).table) == 20


def test_predictions_say_what_they_are_of(dataset: Dataset, tmp_path: Path) -> None:
    bundle = exported(dataset, trial_config(MODELS["mlp"]))[0]
    selection = write_shard(tmp_path / "train/dataset.h5", 20, noisy=True)
    content = Predictor(bundle, CPU).predict_shards(selection).content
    assert content == content_digests(selection) and set(content) == {"flux", "error", "noisy"}
    assert set(Predictor(bundle, CPU).predict_shards(selection, observed=True).content) == {"flux", "error"}


def test_foreign_weights_are_refused(dataset: Dataset) -> None:
    bundle = exported(dataset, trial_config(MODELS["mlp"]))[0]
    name = next(iter(bundle.weights))
    for weights in (
        {**bundle.weights, name: np.zeros((3, 3), np.float32)},
        {key: value for key, value in bundle.weights.items() if key != name},
        {**bundle.weights, "more": np.zeros(3, np.float32)},
    ):
        with pytest.raises(RequestError, match="are not those of the network"):
            Predictor(replace(bundle, weights=weights), CPU)


def test_predictions_carry_the_ids_of_the_shards(dataset: Dataset, tmp_path: Path) -> None:
    """Each as it is stored: beyond the digits of a float64, under another name, as categories, without labels."""
    predictor = Predictor(exported(dataset, trial_config(MODELS["mlp"]))[0], CPU)
    stars = [6_417_812_345_678_901_235 + row for row in range(5)]
    labels = fake_labels(5).drop(columns="id")
    for number, column in enumerate(
        [{"SOURCE_ID": stars}, {"star_id": pd.Categorical([f"HD {n}" for n in stars])}, {}]
    ):
        path = tmp_path / f"{number}/dataset.h5"
        write_shard(path, 5, noisy=False, labels=labels.assign(**column))
        if not column:
            with h5py.File(path, "r+") as file:
                del file["dataset/params"]
                file["dataset/id"] = stars
        root = DataRoot.find(path, need_labels=False)
        found = predictor.predict_shards(Selection.all_of(root.train)).table["id"].tolist()
        assert found == ([f"HD {n}" for n in stars] if number == 1 else stars)

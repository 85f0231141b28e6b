"""The peers train the same recipe as this project does, or their times would not compare."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.measured_configs import step1_config
from benchmarks.parts.searches_beside_peers import FULL, arguments, peer_config
from benchmarks.peers.peer_recipe import load_arrays, trained
from spectral_search.spec.run import RunSpec
from spectral_search.tasks.spectra.shards.blocks import iter_blocks
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.split import make_splits
from spectral_search.tasks.spectra.simulator.simulate import simulate
from spectral_search.tasks.spectra.training.prepare_dataset import prepare
from spectral_search.train.trainer import Trainer

EPOCHS = 12


@pytest.mark.slow
def test_a_peer_learns_what_we_learn(tmp_path: Path) -> None:
    root = tmp_path / "root"
    simulate(root, train=2048, val=1024, test=0, pixels=512, dtype="float32")
    spec = RunSpec.from_dict(
        {
            "stage": "peer",
            "data": {"root": str(root), "residency": "resident", "val_draws": 1},
            "model": {"kind": "mlp"},
            "fit": {},
        }
    )
    found = DataRoot.find([str(root)])
    trainer = Trainer(prepare(spec, make_splits(found, spec.data), iter_blocks).dataset, torch.device("cpu"))
    config = step1_config(batch_size=128, epochs=EPOCHS, lr=1e-3, precision="float32")
    member = trainer.member(0, config)
    ours = [trainer.run_epoch([member])[0]["val_r2"] for _ in range(EPOCHS)]

    recipe = peer_config(root, FULL)["recipe"] | {"batch_size": 128, "epochs": EPOCHS}
    params = {
        "fit.lr": 1e-3,
        "fit.weight_decay": 0.0,
        "fit.schedule": "constant",
        "model.dropout": config.model.dropout,
    }
    theirs = list(trained(load_arrays(str(root)), recipe, params))
    assert max(ours) > 0.2
    assert max(theirs) == pytest.approx(max(ours), abs=0.04)


@pytest.mark.parametrize("epochs", [2, 20])
def test_the_peers_rungs_are_those_of_their_guides(tmp_path: Path, epochs: int) -> None:
    """Ours, at a tenth of the epochs or where a stage puts them, are no part of what they are held to."""
    config = peer_config(tmp_path, replace(FULL, epochs=epochs))
    scheduler = config["scheduler"]
    assert (scheduler["grace_period"], scheduler["reduction_factor"], scheduler["max_t"]) == (min(3, epochs), 3, epochs)
    assert "precision" not in config["recipe"]


def test_ours_is_measured_with_its_own_defaults(tmp_path: Path) -> None:
    assert not [text for text in arguments(tmp_path, FULL) if "sampler" in text or "pruner" in text]

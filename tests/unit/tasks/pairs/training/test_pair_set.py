"""Pairs as training reads them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_pairs import drawings

from spectral_search.record.paths import RunPaths
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.task.training import TrainBatch, Wanted
from spectral_search.tasks.pairs.images.pair_part import PairPart, drawn_pairs
from spectral_search.tasks.pairs.training.pair_set import GreyScale, PairSet
from spectral_search.train.checkpoint import load_checkpoint, save_checkpoint
from spectral_search.train.trainer import Trainer

IMAGES_MHW, CLASS_M = drawings(4, 6, 6)
TRAIN, VAL = (
    drawn_pairs(IMAGES_MHW.reshape(24, 36), CLASS_M, pairs, tuple("abcd"), 1, name)
    for pairs, name in ((50, "train"), (20, "val"))
)
HELD = PairSet(TRAIN, VAL, GreyScale.of(TRAIN.images_MP), "pairs", fresh=True)
CONFIG = RunSpec.from_dict({"stage": "some", "task": "pairs", "model": {"kind": "siamese_cnn"}}).base
WANTED = {"x": Wanted(CONFIG, torch.float32)}


def epoch(held: PairSet, number: int, seed: int = 1) -> list[TrainBatch]:
    data = held.on_device(torch.device("cpu"))
    return list(data.batches(WANTED, data.source(CONFIG), 16, (seed, number), (seed, "noise", number)))


def inputs(batches: list[TrainBatch]) -> np.ndarray:
    return torch.cat([batch.inputs["x"] for batch in batches]).numpy()


def expected(part: PairPart) -> np.ndarray:
    grey = np.stack([part.images_MP[part.first_N], part.images_MP[part.second_N]], 1).astype(np.float64)
    return (grey - TRAIN.images_MP.mean()) / TRAIN.images_MP.std()


def test_val_is_its_pairs_standardised_by_the_training_images() -> None:
    measured = HELD.on_device(torch.device("cpu")).measured(VAL)
    parts = list(measured.parts(WANTED, 8))
    assert [part.rows for part in parts] == [slice(0, 8), slice(8, 16), slice(16, 20)]
    x_N2P = torch.cat([part.inputs["x"] for part in parts]).numpy()
    np.testing.assert_allclose(x_N2P, expected(VAL), atol=1e-5)


def test_an_epoch_has_every_pair_once_with_its_label() -> None:
    fixed = replace(HELD, fresh=False)
    batches = epoch(fixed, 1)
    assert [len(batch) for batch in batches] == [16, 17, 17]
    wanted = np.column_stack([expected(TRAIN).reshape(50, -1), TRAIN.same_N])
    targets = torch.cat([batch.target_B for batch in batches]).numpy()
    got = np.column_stack([inputs(batches).reshape(50, -1), targets])
    np.testing.assert_allclose(got[np.lexsort(got.T.round(3))], wanted[np.lexsort(wanted.T.round(3))], atol=1e-5)
    assert not np.array_equal(inputs(batches), inputs(epoch(fixed, 2)))


def test_epochs_have_pairs_of_their_own_that_follow_from_seed_and_epoch() -> None:
    first, again, second, other = (
        inputs(epoch(HELD, number, seed)) for number, seed in ((1, 1), (1, 1), (2, 1), (1, 2))
    )
    assert np.array_equal(first, again)
    pairs = [{row.tobytes() for row in rows} for rows in (first, second, other)]
    assert len(pairs[0] & pairs[1]) < 25 > len(pairs[0] & pairs[2])
    labels = torch.cat([batch.target_B for batch in epoch(HELD, 2)])
    assert labels.sum() == 25


def test_images_of_one_grey_are_only_centred() -> None:
    scale = GreyScale.of(np.full((3, 4), 9, np.uint8))
    assert (scale.mean, scale.std) == (9.0, 1.0)
    assert GreyScale.from_arrays(scale.to_arrays()) == scale


def test_members_of_other_number_formats_change_nothing_where_images_are_turned() -> None:
    augment = [{"kind": "affine", "images": 2}]

    def config(precision: str) -> TrialConfig:
        model = {"kind": "siamese_cnn", "layers": [1], "width": 4, "feat_dim": 8, "head": []}
        fit = {"loss": "bce", "batch_size": 16, "precision": precision, "augment": augment}
        return RunSpec.from_dict({"stage": "some", "task": "pairs", "model": model, "fit": fit}).base

    def trained(*precisions: str) -> dict[str, float]:
        trainer = Trainer(HELD, torch.device("cpu"))
        members = [trainer.member(0, config(precision)) for precision in precisions]
        for number, member in enumerate(members):
            member.key = number
        records = trainer.run_epoch(members)
        return {name: records[number]["train_loss"] for number, name in enumerate(precisions)}  # type: ignore[index]

    together = trained("bfloat16", "float32")
    assert together["bfloat16"] == trained("bfloat16")["bfloat16"] != together["float32"]
    assert together["float32"] == trained("float32")["float32"]


TOGETHER = replace(HELD, images_a_class=3)


def test_images_of_a_batch_are_compared_with_each_other() -> None:
    batches = epoch(TOGETHER, 1)
    assert len(batches) == 3
    rows = {image_P.tobytes(): row for row, image_P in enumerate(TRAIN.images_MP)}
    grey = TOGETHER.scale
    for batch in batches:
        x_B2P = batch.inputs["x"]
        images_IP = torch.cat([x_B2P[:, 0], x_B2P[:, 1]]) * grey.std + grey.mean
        row_I = np.array([rows[image_P.tobytes()] for image_P in images_IP.round().to(torch.uint8).numpy()])
        assert len(set(row_I)) == len(row_I) == 16, "every image is there once"
        assert TRAIN.class_M is not None
        class_Q2 = TRAIN.class_M[row_I[batch.context_B.numpy()]]
        np.testing.assert_array_equal(class_Q2[:, 0] == class_Q2[:, 1], batch.target_B.numpy() > 0.5)
        assert batch.target_B.mean() == 0.5 and len(batch) == len(batch.context_B) == 2 * 4 * 6
        assert (batch.context_B[:, 0] < batch.context_B[:, 1]).float().mean() < 0.8, "which comes first tells nothing"


def test_what_is_compared_follows_from_seed_and_epoch() -> None:
    one, again, later = epoch(TOGETHER, 1), epoch(TOGETHER, 1), epoch(TOGETHER, 2)
    np.testing.assert_array_equal(inputs(one), inputs(again))
    assert not np.array_equal(inputs(one), inputs(later))
    assert torch.equal(one[0].context_B, again[0].context_B)


def test_images_that_are_compared_give_the_logits_of_their_pairs() -> None:
    member = Trainer(TOGETHER, torch.device("cpu")).member(1, CONFIG)
    (batch, *_), model = epoch(TOGETHER, 1), member.network.model
    x_B2P = batch.inputs["x"]
    images_IP = torch.cat([x_B2P[:, 0], x_B2P[:, 1]])
    model.eval()
    with torch.no_grad():
        compared_Q = member.network.output(x_B2P, batch.context_B)
        pairs_Q2P = images_IP[batch.context_B]
        apart_Q = member.network.output(pairs_Q2P, torch.zeros(len(pairs_Q2P), dtype=torch.int64))
    torch.testing.assert_close(compared_Q, apart_Q, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "model",
    [
        {"kind": "siamese_cnn", "layers": [1, 1], "width": 4, "feat_dim": 8, "head": [4]},
        {"kind": "siamese_efficient", "stem_channels": 4, "channels": [4, 8], "blocks": [1, 1], "feat_dim": 8},
    ],
)
def test_moments_of_weights_that_lie_channels_last_go_on_where_they_were(
    model: dict[str, object], tmp_path: Path
) -> None:
    """Files hold them row by row; a step that walked through both as they lie would mix them up without a word."""
    config = RunSpec.from_dict({"stage": "some", "task": "pairs", "model": model, "fit": {"loss": "bce"}}).base
    paths = RunPaths(tmp_path, "run").trial(1).create()
    trainer = Trainer(HELD, torch.device("cpu"))
    whole = trainer.member(1, config)
    assert any(value.stride() != torch.empty(value.shape).stride() for value in whole.model.parameters())
    trainer.run_epoch([whole])
    save_checkpoint(whole, paths)
    trainer.run_epoch([whole])
    resumed = trainer.member(1, config)
    assert load_checkpoint(resumed, paths)
    trainer.run_epoch([resumed])
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name

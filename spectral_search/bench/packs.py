"""Packs: an epoch of several members in one pass, beside the same members one after the other."""

from dataclasses import dataclass

import torch

from spectral_search.bench.around import Around
from spectral_search.bench.clock import seconds, threads
from spectral_search.bench.findings import Findings, Row, Target
from spectral_search.bench.members import step1_config, varied
from spectral_search.bench.spectra import repeated_dataset
from spectral_search.fit.trainer import Trainer
from spectral_search.spec.run import RunSpec, TrialConfig

ROUNDS = 3
MLP, CNN_NAME = "[256, 64]", "CNN [32, 64] k7"
BOUNDS = {(MLP, 8): 0.3, (CNN_NAME, 4): 1.0}
CNN = RunSpec.from_dict(
    {
        "stage": "cnn",
        "data": {},
        "model": {"kind": "cnn", "channels": [32, 64], "kernel_size": 7},
        "fit": {"batch_size": 128},
    }
).base
PHYSICS = (
    "An epoch's cost is that of the pass (gathering the batch, a normal deviate a pixel, the input) plus that of "
    "each member's products and optimiser step. Apart, every member pays the pass; in a pack it is paid once, and "
    "the first layers are one wide product. Apart is the cheaper of one after the other on all cores, and one a core "
    "at a time with nothing lost between them; both include the val spectra, as an epoch of a search does."
)


@dataclass(frozen=True)
class Sizes:
    """Spectra to train and to validate on, of a batch, pixels, and members of the packs."""

    train: int
    val: int
    batch: int
    pixels: int
    members: tuple[int, ...]
    cnn: int


FULL = Sizes(8192, 2048, 2048, 4096, (1, 2, 4, 8, 16, 32, 64), 512)
QUICK = Sizes(256, 64, 64, 64, (1, 2, 4), 64)


def measure(around: Around) -> Findings:
    """Time packs of step1's MLP, and one of CNNs."""
    sizes = QUICK if around.quick else FULL
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    around.say(f"packs: {sizes.train:,} spectra of {sizes.pixels} pixels, batches of {sizes.batch} on {device}")
    trainer = Trainer(repeated_dataset(sizes.train, sizes.val, sizes.pixels), device)
    config = step1_config(batch_size=sizes.batch)
    alone = _alone_seconds(trainer, config)
    rows = [_row(trainer, config, members, alone, MLP) for members in sizes.members]
    drawn = {"members": list(sizes.members), "together_seconds": [row.value for row in rows], "alone_seconds": alone}
    small = Trainer(repeated_dataset(sizes.cnn, sizes.val // 8, sizes.pixels), device)
    rows.append(_row(small, CNN, 4, _alone_seconds(small, CNN), CNN_NAME))
    return Findings(rows, PHYSICS, details={"alone_seconds": alone}, drawn=drawn)


def _row(trainer: Trainer, config: TrialConfig, members: int, alone: float, network: str) -> Row:
    bound = BOUNDS.get((network, members))
    name = f"epoch of {members} x {network} together"
    target = None if bound is None else Target("at most", bound)
    return Row(name, _epoch_seconds(trainer, config, members), "s", "the same apart", members * alone, target)


def _alone_seconds(trainer: Trainer, config: TrialConfig) -> float:
    """What a member costs when members train apart: the cheaper way to use the cores."""
    cores = torch.get_num_threads()
    one_by_one = _epoch_seconds(trainer, config, 1)
    if trainer.device.type != "cpu" or cores == 1:
        return one_by_one
    with threads(1):
        return min(one_by_one, _epoch_seconds(trainer, config, 1) / cores)


def _epoch_seconds(trainer: Trainer, config: TrialConfig, members: int) -> float:
    """The best of a few epochs, val spectra included, after one to warm up."""
    pack = [trainer.member(number, varied(number, config)) for number in range(members)]
    trainer.run_epoch(pack)
    return min(seconds(lambda: trainer.run_epoch(pack), trainer.device) for _ in range(ROUNDS))

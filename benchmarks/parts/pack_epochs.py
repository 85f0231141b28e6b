"""Packs: an epoch of several members in one pass, beside the same members one after the other."""

from dataclasses import dataclass
from itertools import pairwise

import torch

from benchmarks.bench_context import BenchContext
from benchmarks.bench_findings import Findings, Row, Target
from benchmarks.fair_timing import best_seconds, threads
from benchmarks.measured_configs import hidden_of, on_signal, step1_config, varied
from benchmarks.repeated_spectra import repeated_components, repeated_dataset
from benchmarks.step_floors import Product, mlp_products, product_seconds
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.train.trainer import Trainer

_ROUNDS = 3
_MLP, _CNN_NAME = "[256, 64]", "CNN [32, 64] k7"
_BOUNDS = {(_MLP, 8): 0.3, (_CNN_NAME, 4): 1.0}
_CNN = RunSpec.from_dict(
    {
        "stage": "cnn",
        "data": {},
        "model": {"kind": "cnn", "channels": [32, 64], "kernel_size": 7},
        "fit": {"batch_size": 128},
    }
).base
_PHYSICS = (
    "An epoch's cost is that of the pass (gathering the batch, a normal deviate a pixel, the input) plus that of "
    "each member's products and optimiser step. Apart, every member pays the pass; in a pack it is paid once, and "
    "the first layers are one wide product. Apart is the cheaper of one after the other on all cores, and one a core "
    "at a time with nothing lost between them; both include the val spectra, as an epoch of a search does. On the "
    "signal a further member is what a pack of all takes beyond what one alone takes, per member that came: held to "
    "an epoch of one alone on all pixels, and to its own products, those with the val spectra included, measured alone "
    "on all cores."
)


@dataclass(frozen=True)
class Sizes:
    """Spectra to train and to validate on, of a batch, pixels, members of the packs, and what packs on the signal have.

    The batches of `signal` are step1's and that of the stage for MLPs on the signal.
    """

    train: int
    val: int
    batch: int
    pixels: int
    members: tuple[int, ...]
    cnn: int
    components: int
    signal: tuple[int, ...]
    signal_members: int


_FULL = Sizes(8192, 2048, 2048, 4096, (1, 2, 4, 8, 16, 32, 64), 512, 64, (2048, 512), 16)
_QUICK = Sizes(256, 64, 64, 64, (1, 2, 4), 64, 8, (64, 32), 3)


def measure(context: BenchContext) -> Findings:
    """Time packs of step1's MLP, and one of CNNs."""
    sizes = _QUICK if context.quick else _FULL
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    context.say(f"packs: {sizes.train:,} spectra of {sizes.pixels} pixels, batches of {sizes.batch} on {device}")
    trainer = Trainer(repeated_dataset(sizes.train, sizes.val, sizes.pixels), device)
    config = step1_config(batch_size=sizes.batch)
    rows = [_row(trainer, config, members, _MLP) for members in sizes.members]
    drawn = {
        "members": list(sizes.members),
        "together_seconds": [row.value for row in rows],
        "apart_seconds": [row.reference for row in rows],
    }
    rows += [row for batch in sizes.signal for row in _signal_rows(trainer, sizes, batch)]
    few = Trainer(repeated_dataset(sizes.cnn, sizes.val // 8, sizes.pixels), device)
    rows.append(_row(few, _CNN, 4, _CNN_NAME))
    return Findings(rows, _PHYSICS, drawn=drawn)


def _row(trainer: Trainer, config: TrialConfig, members: int, network: str) -> Row:
    bound = _BOUNDS.get((network, members))
    target = None if bound is None else Target("at most", bound)
    together, apart = _epoch_seconds(trainer, config, members)
    return Row(f"epoch of {members} x {network} together", together, "s", "the same apart", apart, target)


def _epoch_seconds(trainer: Trainer, config: TrialConfig, members: int) -> tuple[float, float]:
    """An epoch of members in one pass, and of the same members apart, val spectra included.

    Apart, a member costs what one of them does alone, with the cores used the cheaper way: all for one member after
    the other, or a core for each of as many members.
    """
    pack, lone = ([trainer.member(number, varied(number, config)) for number in range(count)] for count in (members, 1))
    cores = torch.get_num_threads() if trainer.device.type == "cpu" else 1

    def on_one_core() -> None:
        with threads(1):
            trainer.run_epoch(lone)

    works = [lambda: trainer.run_epoch(pack), lambda: trainer.run_epoch(lone), on_one_core]
    together, alone, alone_on_one = best_seconds(works, _ROUNDS, trainer.device)
    return together, members * min(alone, alone_on_one / cores)


def _signal_rows(on_pixels: Trainer, sizes: Sizes, batch: int) -> list[Row]:
    """What a further member of a pack on the signal costs, beside one alone on all pixels and its own products."""
    dataset = repeated_components(sizes.train, sizes.val, sizes.pixels, sizes.components)
    trainer, config = Trainer(dataset, on_pixels.device), step1_config(batch_size=batch)
    pixels = [on_pixels.member(0, varied(0, config))]
    count, signal = sizes.signal_members, on_signal(config)
    alone, pack = ([trainer.member(k, varied(k, signal)) for k in range(members)] for members in (1, count))
    works = [lambda: trainer.run_epoch(pack), lambda: trainer.run_epoch(alone), lambda: on_pixels.run_epoch(pixels)]
    together, one, one_on_pixels = best_seconds(works, _ROUNDS, trainer.device)
    further = (together - one) / (count - 1)
    widths = len(dataset.prep.strength_K), *hidden_of(config), 1
    products = _product_seconds(trainer, widths, sizes, (batch, alone[0].network.precision))
    name = f"a further {_MLP} in a pack of {count} on the signal, batch {batch}"
    return [
        Row(name, further, "s", "an epoch of one alone on all pixels", one_on_pixels, Target("at most", 0.1)),
        Row(name, further, "s", "its own products", products, Target("at most", 2.0)),
    ]


def _product_seconds(trainer: Trainer, widths: tuple[int, ...], sizes: Sizes, taken: tuple[int, str]) -> float:
    """The least time of one member's products of an epoch, as one of as many members, val spectra included.

    Args:
        trainer: On the device.
        widths: Components, hidden layers and outputs.
        sizes: How many spectra.
        taken: Of a batch, and the number format that the members train in.
    """
    (batch, precision), count = taken, sizes.signal_members
    steps = round(sizes.train / batch)
    training = product_seconds(mlp_products(widths, batch, count), precision, trainer.device)
    forward = [Product(count, sizes.val, i, o) for i, o in pairwise(widths)]
    return (steps * training + product_seconds(forward, precision, trainer.device)) / count

"""Training: a step of the Trainer beside the sum of its matrix products and its random numbers, in the same run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from benchmarks.bench_context import BenchContext
from benchmarks.bench_findings import Findings, Row, Target
from benchmarks.measured_configs import on_signal, step1_config
from benchmarks.repeated_spectra import repeated_components, repeated_dataset
from benchmarks.step_floors import (
    component_seconds,
    mlp_products,
    noise_seconds,
    own_noise_seconds,
    product_seconds,
    traffic_seconds,
)
from spectral_search.spec.trial import TrialConfig
from spectral_search.train.precision import resolve_precision
from spectral_search.train.trainer import Trainer

_VAL_SPECTRA = 256
"""Few: the seconds of an epoch's record are those of its training alone."""
_EPOCHS = 4
"""After one to warm up; the fastest counts."""
_HIDDEN = ((256, 64), (1024, 512, 256))
_PHYSICS = (
    "The floor of a step is the time of its matrix products (forward, gradients of the weights, gradients of the "
    "inputs of all layers but the first) plus that of drawing a normal deviate for every pixel of the batch, each "
    "measured alone on all cores in the format that the fit uses. Torch's normal_ is what a step is held to, since a "
    "generator of our own would make the floor the easier the slower it is; where a fit has its own, a second "
    "line is beside that. What is above the floor moves memory: gathering the batch, adding the noise, the input "
    "transform, activations, dropout, the optimiser. On the signal a step multiplies so little that what it moves "
    "belongs to the floor: products, the deviates and mixtures of its components, and their memory traffic at the "
    "speed of a copy."
)


@dataclass(frozen=True)
class Sizes:
    """Spectra of an epoch, of a batch, pixels, and components of the signal."""

    train: int
    batch: int
    pixels: int
    components: int


_FULL = Sizes(16_384, 2048, 4096, 64)
_QUICK = Sizes(512, 128, 256, 16)


def measure(context: BenchContext) -> Findings:
    """Time steps of two MLPs alone, and of a pack of eight of the smaller."""
    sizes = _QUICK if context.quick else _FULL
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    context.say(f"training: {sizes.train:,} spectra of {sizes.pixels} pixels, batches of {sizes.batch} on {device}")
    trainer = Trainer(repeated_dataset(sizes.train, _VAL_SPECTRA, sizes.pixels), device)
    noise = {"torch's": noise_seconds(sizes.batch, sizes.pixels, device)}
    if device.type == "cpu":  # a GPU's is torch's
        noise["own"] = own_noise_seconds(sizes.batch, sizes.pixels, device)
    rows: list[Row] = []
    for hidden, members in ((_HIDDEN[0], 1), (_HIDDEN[1], 1), (_HIDDEN[0], 8)):
        rows += _step(trainer, sizes, hidden, members, noise)
    del trainer
    rows.append(_signal_step(sizes, _HIDDEN[0], device))
    return Findings(
        rows,
        _PHYSICS,
        details={
            "noise_ms": {whose: seconds * 1e3 for whose, seconds in noise.items()},
            "threads": torch.get_num_threads(),
        },
    )


def _step(
    trainer: Trainer, sizes: Sizes, hidden: tuple[int, ...], members: int, noise: Mapping[str, float]
) -> list[Row]:
    """A step beside each of the floors, of which the first has the target."""
    products = mlp_products((sizes.pixels, *hidden, 1), sizes.batch, members)
    precision = resolve_precision("auto", trainer.device)
    floor = product_seconds(products, precision, trainer.device)
    seconds = _step_seconds(trainer, hidden, sizes.batch, members)
    # Once more, since a machine may slow down in between: the lower floor is the stricter.
    floor = min(floor, product_seconds(products, precision, trainer.device))
    rate = sum(product.flops for product in products) / floor / 1e9
    name = f"step of {members if members > 1 else 'one'} {list(hidden)}, batch {sizes.batch}"
    rows = []
    for whose, drawing in noise.items():
        beside = f"{floor * 1e3:.1f} ms products ({precision}, {rate:,.0f} GF/s) + {drawing * 1e3:.1f} ms {whose} noise"
        rows.append(Row(name, seconds * 1e3, "ms", beside, (floor + drawing) * 1e3))
    if members == 1:
        rows[0] = replace(rows[0], target=Target("at most", 1.3))
    return rows


def _signal_step(sizes: Sizes, hidden: tuple[int, ...], device: torch.device) -> Row:
    """A lone step on the components of the signal beside its floor."""
    dataset = repeated_components(sizes.train, _VAL_SPECTRA, sizes.pixels, sizes.components)
    components, shared = len(dataset.prep.strength_K), 0 if dataset.components is None else dataset.components.shared
    trainer, widths = Trainer(dataset, device), (components, *hidden, 1)
    precision = trainer.member(0, _config(hidden, sizes.batch, signal=True)).network.precision

    def floors() -> tuple[float, float, float]:
        return (
            product_seconds(mlp_products(widths, sizes.batch, 1), precision, device),
            component_seconds(sizes.batch, components, shared, device),
            traffic_seconds(widths, sizes.batch, shared, precision, device),
        )

    before = floors()
    seconds = _step_seconds(trainer, hidden, sizes.batch, 1, signal=True)
    products, drawing, traffic = (min(pair) for pair in zip(before, floors(), strict=True))
    beside = (
        f"{products * 1e3:.2f} ms products ({precision}) + {drawing * 1e3:.2f} ms draws + {traffic * 1e3:.2f} ms "
        "memory traffic"
    )
    name = f"step of one {list(hidden)} on {components} components, batch {sizes.batch}"
    return Row(name, seconds * 1e3, "ms", beside, (products + drawing + traffic) * 1e3, Target("at most", 2.5))


def _step_seconds(
    trainer: Trainer, hidden: tuple[int, ...], batch: int, members: int, *, signal: bool = False
) -> float:
    """The time of a step in the fastest of a few epochs of some members together, on the signal or on all pixels."""
    config = _config(hidden, batch, signal=signal)
    pack = [trainer.member(number, config) for number in range(members)]
    epochs = [trainer.run_epoch(pack) for _ in range(_EPOCHS + 1)]
    times = [record["seconds"] for results in epochs[1:] for record in results.values() if isinstance(record, dict)]
    steps = max(1, round(trainer.data.examples / batch))
    return min(times) / steps


def _config(hidden: tuple[int, ...], batch: int, *, signal: bool) -> TrialConfig:
    config = step1_config(hidden=list(hidden), batch_size=batch, epochs=_EPOCHS + 1)
    return on_signal(config) if signal else config

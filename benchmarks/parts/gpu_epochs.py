"""Three epochs on a GPU beside their floors: a large MLP, a pack of small ones, and a CNN, on resident spectra.

Needs neither files nor Ray. Without a GPU the same code runs in a reduced form on the CPU, as a test of itself.
Shape suffixes: N spectra, B spectra of a chunk, L pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from benchmarks.bench_context import BenchContext
from benchmarks.bench_findings import Findings, Row, Target
from benchmarks.measured_configs import hidden_of, stage_config, step1_config
from benchmarks.repeated_spectra import repeated_dataset
from benchmarks.step_floors import bandwidth, mlp_products, product_seconds
from spectral_search.spec.run import TrialConfig
from spectral_search.tasks.spectra.training.dataset import Dataset, Labelled
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing
from spectral_search.train.precision import resolve_precision
from spectral_search.train.trainer import Trainer

_CNN_BYTES = 6300
"""What MVP-CNN-1 must move to and from memory for a pixel of a spectrum in a step: 26 MB a spectrum of 4096 pixels, the
6 s that an epoch of a million takes at 4.3 TB/s."""
_CHUNK_ROWS = 16_384
_PHYSICS = (
    "An MLP's epoch cannot be shorter than its matrix products (on an H200 at 790 TF/s in bfloat16: 62 ms for [2048, "
    "1024, 512] on a million spectra), a CNN's not than its traffic with the memory, 0.5 MB a tensor a spectrum (6 s "
    "for MVP-CNN-1 at 4.3 TB/s). Both rates are measured here, in this run. The spectra lie on the device in "
    "float16; order, noise and input are made there, and are not part of the floor."
)


@dataclass(frozen=True)
class Sizes:
    """Spectra for the MLPs and for the CNN, pixels, batch, members of the pack, and bytes copied for the bandwidth."""

    spectra: int
    cnn_spectra: int
    pixels: int
    batch: int
    members: int
    copied: int


_FULL = Sizes(1_000_000, 1_000_000, 4096, 2048, 32, 4 << 30)
_REDUCED = Sizes(512, 64, 128, 64, 4, 16 << 20)


def measure(context: BenchContext) -> Findings:
    """Time the three epochs; reduced where there is no GPU."""
    has_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if has_gpu else "cpu")
    sizes = _FULL if has_gpu and not context.quick else _REDUCED
    context.say(f"gpu: {sizes.spectra:,} spectra of {sizes.pixels} pixels, made on {device}")
    like = repeated_dataset(256, 64, sizes.pixels)
    train = _made_spectra(like.prep, sizes.spectra, device)
    trainer = Trainer(Dataset(train, like.val, like.prep, 1.0), device)
    large = step1_config(hidden=[2048, 1024, 512], batch_size=sizes.batch)
    rows = [
        _mlp_row(trainer, large, 1, "[2048, 1024, 512]"),
        _mlp_row(trainer, step1_config(batch_size=sizes.batch), sizes.members, f"{sizes.members} x [256, 64]"),
    ]
    rows_N = slice(sizes.cnn_spectra)
    few = Labelled(train.flux_NL[rows_N], train.error_NL[rows_N], train.log_g_N[rows_N], train.bin_N[rows_N])
    rows.append(_cnn_row(Trainer(Dataset(few, like.val, like.prep, 1.0), device), sizes))
    notes = [] if has_gpu else ["There is no GPU here: a test of the code on the CPU, reduced; no number of a GPU."]
    return Findings(rows if sizes == _FULL else [replace(row, target=None) for row in rows], _PHYSICS, notes)


def _made_spectra(prep: Preprocessing, spectra: int, device: torch.device) -> Labelled:
    """Spectra with the mean and the variance of real ones, in float16, drawn on the device."""
    generator = torch.Generator(device).manual_seed(42)
    mean_L, spread_L, error_L = (
        torch.as_tensor(values_L, dtype=torch.float32, device=device)
        for values_L in (prep.mean_L, np.sqrt(prep.flux_var_L), prep.error_mean_L)
    )
    flux_NL, error_NL = (np.empty((spectra, prep.pixels), np.float16) for _ in range(2))
    for start in range(0, spectra, _CHUNK_ROWS):
        rows = slice(start, min(start + _CHUNK_ROWS, spectra))
        deviate_BL = torch.randn((rows.stop - rows.start, prep.pixels), generator=generator, device=device)
        flux_NL[rows] = deviate_BL.mul_(spread_L).add_(mean_L).half().cpu().numpy()
        error_NL[rows] = error_L.half().cpu().numpy()
    log_g_N = np.random.default_rng(42).uniform(1.0, 5.0, spectra).astype(np.float32)
    return Labelled(flux_NL, error_NL, log_g_N, np.zeros(spectra, np.int64))


def _mlp_row(trainer: Trainer, config: TrialConfig, members: int, name: str) -> Row:
    batch, precision = config.fit.batch_size, resolve_precision("auto", trainer.device)
    products = mlp_products((trainer.data.values, *hidden_of(config), 1), batch, members)
    floor = product_seconds(products, precision, trainer.device) * trainer.data.examples / batch
    seconds = _epoch_seconds(trainer, [config] * members)
    return Row(f"epoch of {name}", seconds, "s", f"its products, {precision}", floor, Target("at most", 3.0))


def _cnn_row(trainer: Trainer, sizes: Sizes) -> Row:
    config = stage_config("mvp_cnn1", epochs=2)
    rate = bandwidth(trainer.device, sizes.copied)
    floor = trainer.data.examples * sizes.pixels * _CNN_BYTES / rate
    beside = f"its traffic at {rate / 1e12:.2f} TB/s"
    return Row("epoch of MVP-CNN-1", _epoch_seconds(trainer, [config]), "s", beside, floor, Target("at most", 3.0))


def _epoch_seconds(trainer: Trainer, configs: Sequence[TrialConfig]) -> float:
    """Training time of the second epoch, val spectra left out; the first warms up."""
    pack = [trainer.member(number, config) for number, config in enumerate(configs)]
    trainer.run_epoch(pack)
    record = trainer.run_epoch(pack)[0]
    if not isinstance(record, dict):
        raise record
    return float(record["seconds"])

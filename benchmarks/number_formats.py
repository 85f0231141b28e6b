"""Which of float32 and bfloat16 this machine's CPU trains faster in: products alone, and epochs of several networks.

`fit.precision: auto` decides by the CPU's maker and flags, which stand on this. Epochs hold measuring on val. The
formats take turns, the best of several counts. Prints one JSON line.
"""

import json
from functools import partial

import torch

from benchmarks.fair_timing import best_seconds, threads
from benchmarks.machine_state import look_at_machine
from benchmarks.measured_configs import on_signal, stage_config, step1_config, varied
from benchmarks.repeated_spectra import repeated_components, repeated_dataset
from spectral_search.spec.run import TrialConfig
from spectral_search.tasks.spectra.training.dataset import Dataset
from spectral_search.train.precision import FORMATS, resolve_precision
from spectral_search.train.trainer import Trainer

_CPU = torch.device("cpu")
_KINDS = ("float32", "bfloat16")
_SIDE, _PRODUCT_ROUNDS, _ROUNDS = 1024, 30, 3
_TRAIN, _VAL, _PIXELS, _COMPONENTS, _PACK = 8192, 2048, 4096, 64, 16
_SLOWER_BY = 16
"""So many fewer spectra for CNNs and transformers."""
_SMALLEST_VIT = {"patch": 64, "stride": 16, "width": 128, "layers": 4, "heads": 4}
"""Of those that vit_sweep proposes."""

ByFormat = dict[str, float]


def main() -> None:
    """Print products in GF/s of a core, and milliseconds of epochs, in either format."""
    machine = look_at_machine()
    cnn, vit = (stage_config(stage, batch_size=128) for stage in ("cnn_stage1a", "vit_sweep"))
    vit = vit.model_copy(update={"model": vit.model.model_copy(update=_SMALLEST_VIT)})
    few = repeated_dataset(_TRAIN // _SLOWER_BY, _VAL // _SLOWER_BY, _PIXELS)
    found = {
        "machine": machine.document(),
        "auto": resolve_precision("auto", _CPU),
        "product_gflops": _product_gflops(),
        "epoch_ms": {
            **_mlp_epochs(),
            "cnn_stage1a, batch 128": _epoch_ms(few, cnn, 1),
            "the smallest of vit_sweep, batch 128": _epoch_ms(few, vit, 1),
        },
    }
    print(json.dumps(found))


def _product_gflops() -> ByFormat:
    """Of square matrices on one core."""
    pairs = [torch.randn(2, _SIDE, _SIDE).to(FORMATS[kind]) for kind in _KINDS]
    with threads(1):
        seconds = best_seconds([partial(torch.mm, *pair) for pair in pairs], _PRODUCT_ROUNDS, _CPU)
    return {kind: round(2e-9 * _SIDE**3 / taken, 1) for kind, taken in zip(_KINDS, seconds, strict=True)}


def _mlp_epochs() -> dict[str, ByFormat]:
    """Step1's network, alone and in packs, on all pixels and on the signal."""
    pixels, config = repeated_dataset(_TRAIN, _VAL, _PIXELS), step1_config(batch_size=2048)
    found = {
        "one [256, 64], batch 2048": _epoch_ms(pixels, config, 1),
        "four [256, 64], batch 2048": _epoch_ms(pixels, config, 4),
    }
    del pixels
    signal = repeated_components(_TRAIN, _VAL, _PIXELS, _COMPONENTS)
    for batch in (2048, 512):
        config = on_signal(step1_config(batch_size=batch))
        one, pack = (_epoch_ms(signal, config, members) for members in (1, _PACK))
        further = {kind: round((pack[kind] - one[kind]) / (_PACK - 1), 2) for kind in _KINDS}
        found |= {f"one on the signal, batch {batch}": one, f"a further one on the signal, batch {batch}": further}
    return found


def _epoch_ms(dataset: Dataset, config: TrialConfig, members: int) -> ByFormat:
    """An epoch of so many members in one pass."""
    trainer = Trainer(dataset, _CPU)
    packs = [[trainer.member(k, varied(k, _in_format(kind, config))) for k in range(members)] for kind in _KINDS]
    seconds = best_seconds([partial(trainer.run_epoch, pack) for pack in packs], _ROUNDS, _CPU)
    return {kind: round(1e3 * taken, 1) for kind, taken in zip(_KINDS, seconds, strict=True)}


def _in_format(kind: str, config: TrialConfig) -> TrialConfig:
    return config.model_copy(update={"fit": config.fit.model_copy(update={"precision": kind})})


if __name__ == "__main__":
    main()

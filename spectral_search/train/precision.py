"""Which number format the products of a fit use; weights, statistics and losses stay in float32."""

from contextlib import AbstractContextManager, nullcontext

import torch

from spectral_search.train.cpu_formats import cpu_gains_by_bfloat16

FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_precision(requested: str, device: torch.device) -> str:
    """Turn `auto` into what the device does well: bfloat16 where GPUs (Ampere on) or CPUs gain by it, else float32.

    float16 is for GPUs only: its narrow range needs loss scaling, and no CPU gains by it.
    """
    if requested != "auto":
        return "float32" if requested == "float16" and device.type == "cpu" else requested
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.get_device_capability(device)[0] >= 8 else "float16"
    return "bfloat16" if device.type == "cpu" and cpu_gains_by_bfloat16() else "float32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context in which a network of this precision runs."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, FORMATS[precision])

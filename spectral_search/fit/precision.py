"""Which number format the products of a fit use; weights, statistics and losses stay in float32."""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path

import torch

CPU_INFO = Path("/proc/cpuinfo")
CPU_FLAGS = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 BF16"}
"""What multiplies bfloat16, by the CPU's flag: Intel's tiles since Sapphire Rapids; vectors, AMD's since Zen 4."""
FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_precision(requested: str, device: torch.device) -> str:
    """Turn `auto` into what the device does well: bfloat16 where GPUs (Ampere on) or CPUs multiply it, else float32.

    float16 is for GPUs only: its narrow range needs loss scaling, and no CPU gains by it.
    """
    if requested != "auto":
        return "float32" if requested == "float16" and device.type == "cpu" else requested
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.get_device_capability(device)[0] >= 8 else "float16"
    return "bfloat16" if device.type == "cpu" and cpu_multiplies_bfloat16() else "float32"


@cache
def cpu_multiplies_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware, by tiles or by vectors (Linux only; False elsewhere)."""
    return CPU_INFO.exists() and not CPU_FLAGS.keys().isdisjoint(CPU_INFO.read_text().split())


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context in which a network of this precision runs."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, FORMATS[precision])

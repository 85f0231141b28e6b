"""What this machine's CPU multiplies in hardware. Imports no torch, so that a dry run can ask."""

from functools import cache
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
CPU_FLAGS = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 BF16"}
"""What multiplies bfloat16, by the CPU's flag: Intel's tiles since Sapphire Rapids; vectors, AMD's since Zen 4."""


@cache
def cpu_multiplies_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware, by tiles or by vectors (Linux only; False elsewhere)."""
    return CPU_INFO.exists() and not CPU_FLAGS.keys().isdisjoint(CPU_INFO.read_text().split())

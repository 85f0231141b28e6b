"""Who made this machine's CPU, and what it multiplies fast. Imports no torch, so that a dry run can ask."""

from functools import cache
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
CPU_FLAGS = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 BF16"}
"""What multiplies bfloat16, by the CPU's flag: Intel's tiles since Sapphire Rapids; vectors, AMD's since Zen 4."""


def cpu_is_intel() -> bool:
    """Whether Intel made the CPU (Linux only; False elsewhere)."""
    return "GenuineIntel" in _words("vendor_id", CPU_INFO)


def cpu_gains_by_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 faster than float32: by tiles, or by vectors of any maker but Intel.

    Intel's vectors take bfloat16 on one port and float32 on two, so that its products take twice as long as in float32,
    where AMD's take a quarter of the time. Linux only; False elsewhere.
    """
    flags = _words("flags", CPU_INFO)
    return "amx_bf16" in flags or ("avx512_bf16" in flags and not cpu_is_intel())


@cache
def _words(key: str, path: Path) -> frozenset[str]:
    """What a file like /proc/cpuinfo says of all cores under a key; nothing where there is no file."""
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.partition(":") for line in lines)
    return frozenset(word for name, _, words in pairs if name.strip() == key for word in words.split())

"""Seeds that are functions of a counter - (seed, what for, epoch, batch) - and never of shared state."""

import hashlib


def counter_seed(*counter: int | str) -> int:
    """A 63-bit seed that depends on every part of the counter and on their order."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in counter)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1

"""What a small val set does to val R2, told before a search is made on it.

For normal labels and errors the standard error of R2 is 2 R (1 - R2) / sqrt(n) (Olkin and Finn 1995, Psychological
Bulletin 118, 155, for a squared correlation): 0.022 at n = 1,000 and 0.007 at 10,000 near R2 0.5. That is for many
spectra; of a few the interval is neither symmetric nor that narrow, and is simulated here.
Shape suffixes: D simulated val sets, N spectra.
"""

import math

import numpy as np

_SUPPOSED_R2 = 0.5
_NORMAL_95 = 1.96
_TOO_WIDE = 0.1
"""A half interval beyond this is told; whole published sweeps span less than 0.02."""
_DRAWS = 4000


def standard_error(r2: float, spectra: int) -> float:
    """Of R2 measured on so many spectra."""
    return 2.0 * math.sqrt(max(0.0, r2)) * (1.0 - r2) / math.sqrt(spectra)


def simulated_interval(r2: float, spectra: int) -> tuple[float, float]:
    """The 95% interval of R2 measured on so many spectra by a network whose R2 on very many is `r2`."""
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((spectra, _DRAWS))))
    predicted_DN = math.sqrt(r2) * generator.standard_normal((_DRAWS, spectra))
    missed_DN = math.sqrt(1.0 - r2) * generator.standard_normal((_DRAWS, spectra))
    total_D = (predicted_DN + missed_DN).var(axis=1) * spectra
    low, high = np.quantile(1.0 - (missed_DN**2).sum(1) / total_D, (0.025, 0.975))
    return float(low), float(high)


def small_val_notes(spectra: int) -> list[str]:
    """A sentence where val R2 will hardly tell one trial from another."""
    if _NORMAL_95 * standard_error(_SUPPOSED_R2, spectra) <= _TOO_WIDE:
        return []
    low, high = simulated_interval(_SUPPOSED_R2, spectra)
    told = (
        f"val holds {spectra} spectra: the val R2 of a network whose true R2 is {_SUPPOSED_R2:g} will lie between "
        f"{low:.2f} and {high:.2f} (95% interval), so the winner is chosen by luck as much as by merit; 1,000 spectra "
        "give 0.45 to 0.54, 10,000 give 0.49 to 0.51."
    )
    return [told]

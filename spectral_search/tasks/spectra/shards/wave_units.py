"""Units of wavelength: what their names are, and in which one numbers are wavelengths of starlight.

A file that names no unit is judged by the range of its values, as nobody has spectra of stars that could be taken for
another: 700 to 900 are nm, 3.58 to 3.96 are log10 of Angstrom. What is ambiguous (1,500 to 1,700: nm, or ultraviolet in
Angstrom) is taken for what spectra of cool stars are, and the checker says so.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class WaveUnit:
    """A unit of wavelength.

    Attributes:
        name: As it is shown: `Å`, `nm`, `um`, `m`, `log10(Å)`.
        angstrom: How many Angstrom it is; of a logarithm the unit within it.
        base: Of a logarithm, else None.
    """

    name: str
    angstrom: float
    base: float | None = None

    @property
    def shown(self) -> "WaveUnit":
        """The unit in which people read wavelengths of this one: logarithms are read as what they are of."""
        return ANGSTROM if self.base is not None else self

    def to_angstrom(self, stored: np.ndarray) -> np.ndarray:
        """Stored values in Angstrom."""
        return self.angstrom * (stored if self.base is None else self.base**stored)

    def from_angstrom(self, wave_angstrom: Any) -> Any:
        """Values (numbers or arrays) in Angstrom in this unit; not for logarithms."""
        return wave_angstrom / self.angstrom


ANGSTROM = WaveUnit("Å", 1.0)
_LENGTHS = (
    (ANGSTROM, "a aa å ang angs angstrom angstroms ångström ångströms angstroem"),
    (WaveUnit("nm", 10.0), "nm nanometer nanometers nanometre nanometres"),
    (WaveUnit("um", 1e4), "um µm μm mum micron microns micrometer micrometers micrometre micrometres"),
    (WaveUnit("mm", 1e7), "mm millimeter millimetre"),
    (WaveUnit("cm", 1e8), "cm centimeter centimetre"),
    (WaveUnit("m", 1e10), "m meter meters metre metres"),
)
_UNITS = {word: unit for unit, words in _LENGTHS for word in words.split()}
_LOGARITHM = re.compile(r"(log10|log|lg|dex|ln)[ (\[]*([^)\]]+?)[)\]]*")


def parse_unit(text: str) -> WaveUnit | None:
    """The unit that a text names, None where it is none of wavelength."""
    word = text.strip().replace("\u212b", "å").lower()  # the Angstrom sign, which is not the letter
    if word in _UNITS:
        return _UNITS[word]
    found = _LOGARITHM.fullmatch(word)
    inner = _UNITS.get(found[2].strip()) if found else None
    if found is None or inner is None:
        return None
    base = np.e if found[1] == "ln" else 10.0
    return WaveUnit(f"{'ln' if found[1] == 'ln' else 'log10'}({inner.name})", inner.angstrom, base)


def guess_unit(wave: np.ndarray) -> WaveUnit | None:
    """The unit in which finite values are wavelengths of starlight; None where they are in none.

    Atmospheres and detectors bound what is met: about 900 Å to 30 um.
    """
    low, high = (float(np.min(wave)), float(np.max(wave))) if wave.size else (0.0, 0.0)
    for unit, least, most in (
        # Ultraviolet spectra end beyond 2,500 Å only when they began there in Å; infrared ones in nm end at 2,480.
        (_UNITS["nm"], 90.0, 2500.0),
        (ANGSTROM, 900.0, 3e5),
        (parse_unit("log10(aa)"), 3.3, 4.5),
        (_UNITS["um"], 0.09, 30.0),
        (_UNITS["m"], 9e-8, 3e-5),
    ):
        if unit is not None and least <= low and high <= most:
            return unit
    return None

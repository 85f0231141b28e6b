"""Audit: pixels that are valid in some shards and not in others, and shards in another unit.

Shape suffixes: N spectra, L pixels, S shards.
"""

import math
from collections.abc import Sequence

import numpy as np

from spectral_search.tasks.spectra.audit.audit_findings import Audited, AuditFinding
from spectral_search.tasks.spectra.audit.survey import ShardSurvey
from spectral_search.tasks.spectra.consistency.typical_levels import Level
from spectral_search.tasks.spectra.training.preprocessing import MAX_INVALID_FRACTION

_MIN_FACTOR = 1.25
"""Shards whose typical level differs by less are taken for samples of the same stars."""
_SIGMAS = 6.0


def check(data: Audited, surveys: Sequence[ShardSurvey]) -> list[AuditFinding]:
    """Validity and scale of all shards against each other."""
    wave_L = data.root.wave_angstrom_L
    return [*_validity(surveys, wave_L), _scale(surveys)]


def _validity(surveys: Sequence[ShardSurvey], wave_L: np.ndarray | None) -> list[AuditFinding]:
    invalid_SL = np.stack([survey.invalid_L > MAX_INVALID_FRACTION for survey in surveys])
    differing = np.flatnonzero(invalid_SL.any(0) & ~invalid_SL.all(0))
    never = int(invalid_SL.all(0).sum())
    numbers = {"differing_pixels": len(differing), "pixels_invalid_everywhere": never}
    if not len(differing):
        text = f"All shards have the same valid pixels ({never:,} of {invalid_SL.shape[1]:,} are invalid in all)."
        return [AuditFinding("validity", "ok", text, numbers)]
    where = ", ".join(_pixel(int(pixel), wave_L) for pixel in differing[:4])
    bad = [s.shard.name for s, invalid_L in zip(surveys, invalid_SL, strict=True) if invalid_L[differing].any()]
    text = (
        f"{len(differing):,} pixels ({where}{', ...' if len(differing) > 4 else ''}) are invalid (masked, or without a "
        f"valid error) in {', '.join(bad[:4])}{', ...' if len(bad) > 4 else ''} and valid in other shards. Here they "
        "are left out of every set; other programs would see zeros in one set and noise in another. Write the shards "
        "alike if the pixels matter."
    )
    return [AuditFinding("validity", "warning", text, numbers)]


def _pixel(pixel: int, wave_L: np.ndarray | None) -> str:
    return f"{pixel}" if wave_L is None else f"{pixel} at {wave_L[pixel]:.1f} A"


def _scale(surveys: Sequence[ShardSurvey]) -> AuditFinding:
    odd, factors = [], {}
    for kind in ("flux", "error"):
        levels = [Level.of(getattr(survey, f"{kind}_N")) for survey in surveys]
        centre = float(np.median([level.median for level in levels if level is not None] or [0.0]))
        for survey, level in zip(surveys, levels, strict=True):
            if level is None:
                continue
            shift = level.median - centre
            factors[f"{survey.shard.name} {kind}"] = math.exp(shift)
            if abs(shift) > max(math.log(_MIN_FACTOR), _SIGMAS * level.standard_error):
                odd.append(
                    f"the {kind} of {survey.shard.name} is typically {math.exp(shift):.3g} times that of the others"
                )
    if odd:
        text = (
            f"Shards differ in scale: {'; '.join(odd)}. If the stars are alike, a shard is in another unit: write it "
            "again, for networks would meet spectra unlike those they train on."
        )
        return AuditFinding("scale", "warning", text, factors)
    return AuditFinding("scale", "ok", "Flux and error have the same scale in all shards.", factors)

"""Audit: whether the noise that shards hold is what the noise model says, (noisy - flux) / error ~ N(0, 1).

Clipping at 0 hides part of it: a value of 0 stands for a deviate anywhere below -flux / error. It gets a random deviate
of that range, so that all deviates together are standard normal if the model holds, without leaving any out.
Shape suffixes: N spectra, L pixels, M valid values.
"""

import numpy as np
from scipy.special import ndtr, ndtri

from spectral_search.spec.seeds import numpy_seed
from spectral_search.tasks.spectra.audit.audit_findings import Audited, AuditFinding, sample
from spectral_search.tasks.spectra.shards.loaded_spectra import Spectra
from spectral_search.tasks.spectra.shards.split import Selection

_SPECTRA = 2048
_TOLERANCE = 0.02
_FAR = 3.0
_FAR_FRACTION = 0.0026998
"""Part of N(0, 1) beyond 3."""


def check(data: Audited) -> list[AuditFinding]:
    """One finding for each part whose shards hold noisy spectra."""
    return [
        _finding(name, measured(sample(selection, _SPECTRA, noisy=True), data.seed))
        for name, selection in data.parts.items()
        if selection.has_noisy and not _held_out(data, name)
    ] or [
        AuditFinding(
            "noise", "note", "No shard holds noisy spectra: the noise of val and test is drawn once and frozen."
        )
    ]


def _held_out(data: Audited, name: str) -> bool:
    """Whether a part lies in the same shards as train, which has been looked at."""
    selection: Selection = data.parts[name]
    return name != "train" and selection.shards == data.splits.train.shards


def measured(spectra: Spectra, seed: int) -> dict[str, float]:
    """Moments, tails and correlation of the deviates of all valid values."""
    if spectra.noisy_NL is None:
        raise ValueError("these spectra were read without their noisy flux")
    deviate_NL, valid_NL = deviates(spectra.flux_NL, spectra.error_NL, spectra.noisy_NL, seed)
    deviate_M = deviate_NL[valid_NL]
    both_NL = valid_NL[:, 1:] & valid_NL[:, :-1]
    neighbours = float(np.corrcoef(deviate_NL[:, 1:][both_NL], deviate_NL[:, :-1][both_NL])[0, 1])
    ordered_M = np.sort(deviate_M)
    return {
        "mean": float(deviate_M.mean()),
        "std": float(deviate_M.std()),
        "beyond_3_sigma": float((np.abs(deviate_M) > _FAR).mean()),
        "ks_distance": float(np.abs(ndtr(ordered_M) - (np.arange(len(ordered_M)) + 0.5) / len(ordered_M)).max()),
        "neighbour_correlation": neighbours,
        "clipped": float((spectra.noisy_NL[valid_NL] <= 0).mean()),
        "spectra": len(spectra),
    }


def deviates(
    flux_NL: np.ndarray, error_NL: np.ndarray, noisy_NL: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Deviates of noisy values in units of the error, float64, and which values have one, both (N, L)."""
    valid_NL = error_NL > 0
    bound_NL = np.divide(-flux_NL, error_NL, out=np.zeros(flux_NL.shape), where=valid_NL)
    deviate_NL = bound_NL + np.divide(noisy_NL, error_NL, out=np.zeros(flux_NL.shape), where=valid_NL)
    clipped_NL = valid_NL & (noisy_NL <= 0)
    share_M = np.random.default_rng(numpy_seed(seed)).uniform(size=int(clipped_NL.sum()))
    below_M = ndtri(np.maximum(share_M * ndtr(bound_NL[clipped_NL]), 1e-300))
    deviate_NL[clipped_NL] = below_M
    return deviate_NL, valid_NL


def _finding(name: str, numbers: dict[str, float]) -> AuditFinding:
    said = (
        f"the recorded noise of {name} has mean {numbers['mean']:+.3f}, standard deviation {numbers['std']:.3f}, "
        f"{numbers['beyond_3_sigma']:.2%} beyond 3 sigma (normal: {_FAR_FRACTION:.2%}) and correlation "
        f"{numbers['neighbour_correlation']:+.3f} between neighbouring pixels, in units of the error"
    )
    remedies = []
    if abs(numbers["std"] - 1.0) > _TOLERANCE:
        remedies.append(
            f"it is {numbers['std']:.2f} times what the error array says, so networks would be measured on other noise "
            f"than they train with; write the shards again, or set data.noise_level={numbers['std']:.2f}, which draws "
            "the noise instead of taking the recorded one"
        )
    if abs(numbers["mean"]) > _TOLERANCE:
        remedies.append("it is biased: noisy and flux differ by more than noise (another scale or offset?)")
    if abs(numbers["neighbour_correlation"]) > _TOLERANCE:
        remedies.append("neighbouring pixels share noise, which the noise drawn in training does not")
    if not remedies and numbers["ks_distance"] > _TOLERANCE:
        remedies.append("its distribution is not normal (outliers, cosmic rays?), unlike the noise drawn in training")
    if remedies:
        return AuditFinding(
            "noise", "warning", f"Not as the noise model has it: {said}: {'; '.join(remedies)}.", numbers
        )
    return AuditFinding("noise", "ok", f"As it should be: {said}.", numbers)

"""The audit finds planted faults, and finds none in clean data."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from baseline_roots import ask, spectra_of, write_shard
from small_dataset import make_spectra

from spectral_search.tasks.spectra.audit import leaks, overlap, recorded_noise, shard_differences
from spectral_search.tasks.spectra.audit.audit_findings import Audited, AuditFinding
from spectral_search.tasks.spectra.audit.survey import survey
from spectral_search.tasks.spectra.shards.loaded_spectra import Spectra

Plant = Callable[[dict[str, Spectra]], dict[str, dict[str, object]] | None]
SIZES = {"train": 400, "val": 150, "test": 150}


def clean(part: str, seed: int) -> Spectra:
    """Many independent lines, of which one tells log g; the error tells nothing."""
    rng = np.random.default_rng(seed)
    count, pixels = SIZES[part], 48
    log_g_N = rng.uniform(1.0, 5.0, count)
    flux_NL = 20.0 + rng.standard_normal((count, 3)) @ np.sin(np.outer(np.arange(1, 4), np.arange(pixels) * 0.3))
    flux_NL[:, 7] += log_g_N
    error_NL = np.broadcast_to(rng.uniform(0.5, 2.0, count)[:, None], flux_NL.shape)
    rest = {"t_eff_kelvin_N": rng.uniform(3750, 6000, count), "m_h_N": rng.uniform(-1, 0.75, count)}
    return spectra_of(flux_NL, error_NL, log_g_N, **rest)


def audited(folder: Path, plant: Plant = lambda parts: None) -> Audited:
    """A clean data root with something planted: parts are changed, options of `write_shard` by part returned."""
    parts = {part: clean(part, seed) for seed, part in enumerate(SIZES, start=1)}
    options = plant(parts) or {}
    for part, spectra in parts.items():
        write_shard(folder / f"{part}_0", spectra, **{"noisy": part != "train", **options.get(part, {})})
    question = ask(folder)
    return Audited(question.root, question.splits, seed=42, threads=1)


def surveyed(data: Audited) -> list[AuditFinding]:
    """The checks that rest on a pass over all spectra."""
    surveys = survey(data.shards, data.told)
    return [*overlap.check(data, surveys), *shard_differences.check(data, surveys)]


def warnings(findings: list[AuditFinding]) -> list[AuditFinding]:
    return [finding for finding in findings if finding.level == "warning"]


def test_clean_data_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "TREES", 20)
    data = audited(tmp_path)
    findings = [*surveyed(data), *recorded_noise.check(data), *leaks.check(data)]
    assert warnings(findings) == []
    assert {finding.check for finding in findings} == {
        "overlap", "validity", "scale", "noise", "error_alone", "snr_alone", "shuffled",
    }  # fmt: skip


def test_a_leaking_error_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "TREES", 20)

    def plant(parts: dict[str, Spectra]) -> None:
        for spectra in parts.values():
            spectra.error_NL[:] = np.sqrt(spectra.flux_NL)

    (finding,) = (found for found in leaks.check(audited(tmp_path, plant)) if found.check == "error_alone")
    assert finding.level == "warning" and finding.numbers["r2"] > 0.95 and "flux_error" in finding.text
    assert finding.numbers["low"] <= finding.numbers["r2"] <= finding.numbers["high"]


def test_brightness_that_goes_with_the_label_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "TREES", 20)

    def plant(parts: dict[str, Spectra]) -> None:
        for spectra in parts.values():
            spectra.flux_NL[:] *= spectra.labels["log_g"].to_numpy()[:, None]
            spectra.error_NL[:] = 2.0

    found = {finding.check: finding for finding in warnings(leaks.check(audited(tmp_path, plant)))}
    assert found["snr_alone"].numbers["r2"] > 0.9 and found["shuffled"].numbers["r2"] > 0.9


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_test_spectra_in_train_are_found(tmp_path: Path, factor: float) -> None:
    def plant(parts: dict[str, Spectra]) -> None:
        parts["test"].flux_NL[:7] = factor * parts["train"].flux_NL[20:27]

    (finding,) = warnings(surveyed(audited(tmp_path, plant)))
    assert (finding.check, finding.numbers["part"], finding.numbers["exact_or_scaled"]) == ("overlap", "test", 7)
    assert finding.numbers["exact"] == (7 if factor == 1.0 else 0)
    assert "rows 0, 1, 2, 3, 4" in finding.text


def test_copies_within_train_and_equal_labels_are_found(tmp_path: Path) -> None:
    def plant(parts: dict[str, Spectra]) -> None:
        parts["train"].flux_NL[:5] = parts["train"].flux_NL[5:10]
        for column in ("T_eff", "log_g", "M_H"):
            parts["val"].labels.loc[:3, column] = parts["train"].labels.loc[:3, column]

    findings = {finding.check + finding.level: finding for finding in surveyed(audited(tmp_path, plant))}
    assert findings["duplicateswarning"].numbers["copies"] == 5
    assert findings["overlapnote"].numbers["same_labels"] == 4 and "grid" in findings["overlapnote"].text


def test_val_held_out_from_a_train_with_copies_overlaps(tmp_path: Path) -> None:
    spectra = clean("train", 1)
    spectra.flux_NL[200:] = spectra.flux_NL[:200]
    write_shard(tmp_path / "train_0", spectra)
    question = ask(tmp_path, val_fraction=0.25)
    data = Audited(question.root, question.splits, seed=42, threads=1)
    found = {finding.check: finding for finding in warnings(surveyed(data))}
    assert found["overlap"].numbers["exact"] > 40 and found["duplicates"].numbers["copies"] > 40


def test_noise_of_another_scale_is_found(tmp_path: Path) -> None:
    data = audited(tmp_path, lambda parts: {"test": {"noise_scale": 1.2}})
    (finding,) = warnings(recorded_noise.check(data))
    assert "noise of test" in finding.text and "data.noise_level=1.2" in finding.text
    assert finding.numbers["std"] == pytest.approx(1.2, abs=0.03)


def test_clipping_at_zero_is_not_taken_for_wrong_noise() -> None:
    rng = np.random.default_rng(3)
    flux_NL = rng.uniform(0.0, 2.0, (400, 64))
    noisy_NL = np.clip(flux_NL + rng.standard_normal((400, 64)), 0.0, None)
    deviate_NL, valid_NL = recorded_noise.deviates(flux_NL, np.ones_like(flux_NL), noisy_NL, seed=0)
    assert valid_NL.all() and (noisy_NL == 0).mean() > 0.1
    assert abs(deviate_NL.mean()) < 0.02 and abs(deviate_NL.std() - 1.0) < 0.02


def test_correlated_and_biased_noise_are_found() -> None:
    rng = np.random.default_rng(4)
    flux_NL, error_NL = np.full((300, 64), 50.0), np.ones((300, 64))
    white_NL = rng.standard_normal((300, 65))
    numbers = {}
    for name, noise_NL in {
        "shared": (white_NL[:, 1:] + white_NL[:, :-1]) / np.sqrt(2),
        "biased": white_NL[:, 1:] + 0.3,
    }.items():
        spectra = Spectra(flux_NL, error_NL, flux_NL + noise_NL, make_spectra(300, 1).labels)
        numbers[name] = recorded_noise.measured(spectra, seed=0)
    assert numbers["shared"]["neighbour_correlation"] == pytest.approx(0.5, abs=0.05)
    assert numbers["biased"]["mean"] == pytest.approx(0.3, abs=0.05)
    assert "share noise" in recorded_noise._finding("val", numbers["shared"]).text
    assert "biased" in recorded_noise._finding("val", numbers["biased"]).text


def test_a_shard_with_other_valid_pixels_is_found(tmp_path: Path) -> None:
    (finding,) = warnings(surveyed(audited(tmp_path, lambda parts: {"train": {"nan_pixels": (0, 47)}})))
    assert finding.check == "validity" and finding.numbers["differing_pixels"] == 2
    assert "0 at 7100.0 A, 47 at 8850.0 A" in finding.text and "train_0/dataset.h5" in finding.text


def test_a_shard_in_another_unit_is_found(tmp_path: Path) -> None:
    def plant(parts: dict[str, Spectra]) -> None:
        parts["test"].flux_NL[:] *= 10.0
        parts["test"].error_NL[:] *= 10.0

    (finding,) = warnings(surveyed(audited(tmp_path, plant)))
    assert finding.check == "scale" and "flux of test_0/dataset.h5 is typically 10 times" in finding.text

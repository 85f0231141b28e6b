"""Inspection of a shard and of a data root, in numbers, in a terminal and as a picture."""

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from changed_root import changed, times, write_good_root
from rich.console import Console
from shard_variants import VARIANTS, Sample, Variant, make_sample, write_variant

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.shard_inspection import inspect_path
from spectral_search.tasks.spectra.shards.spectra_plot import plot_samples


@pytest.fixture(scope="module")
def sample() -> Sample:
    return make_sample()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    for number, (name, variant) in enumerate(
        {"train_0": Variant(noisy=False), "train_1": VARIANTS["gzip"], "val_0": VARIANTS["float32"]}.items()
    ):
        write_variant(folder / name / "dataset.h5", make_sample(seed=number), variant)
    return folder


def _text(path: Path) -> str:
    console = Console(width=150, record=True, file=io.StringIO())
    console.print(inspect_path(path).render())
    return console.export_text()


def test_one_shard(tmp_path: Path, sample: Sample) -> None:
    found = inspect_path(write_variant(tmp_path / "dataset.h5", sample, Variant())).to_dict()
    assert (found["kind"], found["spectra"], found["pixels"]) == ("shard", 37, [53])
    assert found["wavelength_angstrom"] == pytest.approx(
        {"min": sample.wave_angstrom_L[0], "max": sample.wave_angstrom_L[-1]}
    )
    good = np.isfinite(sample.error_NL) & ~sample.invalid_NL
    snr = [np.median(f[g] / e[g]) for f, e, g in zip(sample.flux_NL, sample.error_NL, good, strict=True)]
    assert found["snr"]["median"] == pytest.approx(np.median(snr)) and found["snr"]["sampled"] is False
    assert found["labels"]["log_g"] == {
        "min": sample.labels.log_g.min(), "max": sample.labels.log_g.max(), "not_finite": 0,
    }  # fmt: skip
    assert found["invalid"] == {
        "values": 37 * 53, "flux": 0, "error": 74, "masked": int(sample.invalid_NL.sum()),
        "pixels_without_error": [0, 52], "sampled": False,
    }  # fmt: skip
    assert found["shards"][0]["storage"]["noisy"]["chunks"] == [8, 53]


def test_a_data_root(root: Path) -> None:
    found = inspect_path(root).to_dict()
    assert found["splits"] == {"train": {"shards": 2, "spectra": 74}, "val": {"shards": 1, "spectra": 37}}
    assert [shard["name"] for shard in found["shards"]] == [
        f"{name}/dataset.h5" for name in ("train_0", "train_1", "val_0")
    ]
    json.dumps(found, allow_nan=False)


def test_the_terminal_view_says_it_all(root: Path) -> None:
    text = _text(root)
    for expected in [
        "111 spectra, 53 pixels, 7,116.5 to 8,833.5 Å",
        "float64, chunks 8 x 53, gzip",
        "37 (all)",
        "no valid error at pixels 0, 52",
        "hint: gzip reads some",
        "(train_1/dataset.h5)",
        "(all shards)",
    ]:
        assert expected in text, text
    assert text.count("have no valid error in any spectrum") == 1


def test_a_sample_is_called_a_sample(tmp_path: Path, sample: Sample) -> None:
    path = write_variant(tmp_path / "dataset.h5", sample, Variant())
    found = inspect_path(path, sample_rows=16).to_dict()
    assert found["snr"]["sampled"] and found["snr"]["spectra_used"] == 13
    assert found["invalid"]["values"] == 13 * 53


def test_shards_that_disagree_and_shards_that_cannot_be_read(tmp_path: Path, sample: Sample) -> None:
    write_variant(tmp_path / "train_0" / "dataset.h5", sample, Variant())
    write_variant(tmp_path / "train_1" / "dataset.h5", make_sample(pixels=52), Variant())
    shifted = replace(sample, wave_angstrom_L=sample.wave_angstrom_L + 2)
    write_variant(tmp_path / "train_2" / "dataset.h5", shifted, Variant())
    (tmp_path / "train_3").mkdir()
    (tmp_path / "train_3" / "dataset.h5").write_text("not HDF5")
    faults = [finding["sentence"] for finding in inspect_path(tmp_path).to_dict()["findings"]]
    assert len(faults) == 3
    for fault, expected in zip(
        faults,
        [
            "not an HDF5 file",
            "train_0/dataset.h5 has 53 a spectrum, train_1/dataset.h5 has 52",
            "up to 2 Angstrom apart",
        ],
        strict=True,
    ):
        assert expected in fault


def test_labels_that_are_all_missing_are_json(tmp_path: Path, sample: Sample) -> None:
    labels = sample.labels.assign(M_H=np.nan)
    found = inspect_path(write_variant(tmp_path / "dataset.h5", replace(sample, labels=labels), Variant())).to_dict()
    assert found["labels"]["M_H"] == {"min": None, "max": None, "not_finite": 37}
    json.dumps(found, allow_nan=False)


def test_nothing_to_inspect(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no shards in this folder; expected train"):
        inspect_path(tmp_path)
    with pytest.raises(RequestError, match="no such file"):
        inspect_path(tmp_path / "missing")
    (tmp_path / "train_0").mkdir()
    (tmp_path / "train_0" / "dataset.h5").write_bytes(b"")
    with pytest.raises(RequestError, match="is empty"):
        inspect_path(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_picture(suffix: str, root: Path, tmp_path: Path) -> None:
    file = plot_samples(root, tmp_path / "new" / f"samples.{suffix}", count=2)
    assert file.stat().st_size > 10_000
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("variant", ["no_noisy", "no_wave", "no_mask"])
def test_pictures_of_shards_without_the_optional_parts(variant: str, tmp_path: Path, sample: Sample) -> None:
    path = write_variant(tmp_path / "dataset.h5", sample, VARIANTS[variant])
    assert plot_samples(path, tmp_path / "samples.png", count=1).exists()


def test_pictures_that_cannot_be_written(root: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="pictures end in .png"):
        plot_samples(root, tmp_path / "samples.docx")
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="cannot be written"):
        plot_samples(root, tmp_path / "file" / "samples.png")


def test_inspection_imports_only_what_it_needs(root: Path) -> None:
    code = (
        "import sys; from spectral_search.tasks.spectra.shards.shard_inspection import inspect_path\n"
        "inspect_path(sys.argv[1]).to_dict()\n"
        "print({'torch', 'ray', 'matplotlib', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_folder_that_may_not_be_looked_into(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    tmp_path.chmod(0o755)
    root.chmod(0)
    if os.getuid() == 0:
        os.seteuid(65534)  # root may look everywhere
    try:
        with pytest.raises(RequestError, match="no permission"):
            inspect_path(root)
    finally:
        os.seteuid(os.getuid())
        root.chmod(0o755)


def test_shards_that_cannot_be_one_data_set_are_told(tmp_path: Path) -> None:
    good = write_good_root(tmp_path / "good")
    assert inspect_path(good).findings == ()
    found = inspect_path(changed(good, tmp_path / "mixed", times("val_0", 1e-17))).findings
    (fault,) = [finding.sentence for finding in found if finding.level == "fault"]
    assert "flux of val_0" in fault and "train_0" in fault


def test_files_that_no_search_reads_are_no_fault(tmp_path: Path) -> None:
    root = write_good_root(tmp_path / "root")
    with h5py.File(root / "raw.h5", "w") as file:  # as external links lead to
        file["flux"] = np.zeros(3)
    found = inspect_path(root)
    assert not found.has_faults
    (stray,) = [finding.sentence for finding in found.findings if finding.level == "warning"]
    assert stray.startswith("No search reads this file: ") and "raw.h5: no spectra" in stray


@pytest.mark.parametrize("kind", ["folder", "dangling link"])
def test_a_shard_that_cannot_be_opened_is_not_left_out(kind: str, tmp_path: Path) -> None:
    root = write_good_root(tmp_path / "root")
    file = root / "val_0" / "dataset.h5"
    file.unlink()
    if kind == "folder":
        file.mkdir()
    else:
        file.symlink_to(tmp_path / "annex")
    assert any("val_0/dataset.h5" in finding.sentence for finding in inspect_path(root).findings)


def test_train_shards_that_cannot_be_read_are_not_called_absent(tmp_path: Path) -> None:
    root = write_good_root(tmp_path / "root")
    for file in root.glob("train*/dataset.h5"):
        file.write_text("not HDF5")
    assert not any("there is no train*" in finding.sentence for finding in inspect_path(root).findings)

"""Wavelengths are recognised in their unit and order, used in Angstrom, and shown as they are stored."""

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from rich.console import Console
from small_shards import make_shard

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.shard import Shard
from spectral_search.tasks.spectra.shards.shard_check import check_shard
from spectral_search.tasks.spectra.shards.shard_inspection import inspect_path
from spectral_search.tasks.spectra.shards.shard_writer import edges_from_centres, repack
from spectral_search.tasks.spectra.shards.wave_units import ANGSTROM, guess_unit, parse_unit

WAVE_L = np.linspace(7100.0, 8850.0, 24)
STORED = {
    "nm": WAVE_L / 10,
    "um": WAVE_L / 1e4,
    "m": WAVE_L / 1e10,
    "log10(Å)": np.log10(WAVE_L),
    "Å": WAVE_L,
}


def _shard(path: Path, wave: Any, unit: Any = None, edges: Any = None, **attributes: Any) -> Path:
    make_shard(path, 8, wave_angstrom_L=WAVE_L, nan_edges=False)
    with h5py.File(path, "r+") as file:
        del file["spectrumdataset/wave"], file["spectrumdataset/wave_edges"]
        if wave is not None:
            file["spectrumdataset/wave"] = wave
            file["spectrumdataset/wave"].attrs.update(attributes if unit is None else {"unit": unit})
        if edges is not None:
            file["spectrumdataset/wave_edges"] = edges
    return path


@pytest.mark.parametrize(
    ("text", "name", "angstrom"),
    [
        *((text, "Å", 1.0) for text in ("Angstrom", "angstroms", "AA", "A", "Å", "\u212b", "Ångström", " ANGSTROM ")),
        *((text, "nm", 10.0) for text in ("nm", "nanometer", "Nanometres")),
        *((text, "um", 1e4) for text in ("um", "µm", "\u03bcm", "micron", "MICRONS", "micrometre")),
        ("mm", "mm", 1e7),
        ("cm", "cm", 1e8),
        ("m", "m", 1e10),
    ],
)
def test_names_of_units(text: str, name: str, angstrom: float) -> None:
    unit = parse_unit(text)
    assert unit is not None and unit.name == name
    assert unit.to_angstrom(np.array([2.0]))[0] == 2 * angstrom


@pytest.mark.parametrize("text", ["log10(Angstrom)", "log(AA)", "dex(Angstrom)", "log10 Angstrom", "log10[Å]"])
def test_logarithms(text: str) -> None:
    unit = parse_unit(text)
    assert unit is not None and unit.name == "log10(Å)" and unit.shown == ANGSTROM
    np.testing.assert_allclose(unit.to_angstrom(np.log10(WAVE_L)), WAVE_L)


def test_natural_logarithms_of_other_units() -> None:
    unit = parse_unit("ln(nm)")
    assert unit is not None and unit.name == "ln(nm)"
    np.testing.assert_allclose(unit.to_angstrom(np.log(WAVE_L / 10)), WAVE_L)


@pytest.mark.parametrize("text", ["Hz", "cm-1", "eV", "km/s", "parsec", "log10(Hz)", "log10"])
def test_what_is_no_unit_of_wavelength(text: str, tmp_path: Path) -> None:
    assert parse_unit(text) is None
    path = _shard(tmp_path / "train_0/dataset.h5", WAVE_L, text)
    with pytest.raises(RequestError, match=r"wave is in '.*', which is no unit of wavelength that is known here; give"):
        DataRoot.find(tmp_path)
    assert check_shard(path)[0].level == "fault"


@pytest.mark.parametrize(
    ("low", "high", "name"),
    [
        (7100, 8850, "Å"), (15_140, 16_960, "Å"), (1150, 9000, "Å"), (2600, 3200, "Å"), (10_000, 250_000, "Å"),
        (710, 885, "nm"), (300, 2480, "nm"), (1514, 1696, "nm"),
        (0.38, 0.68, "um"), (0.97, 5.3, "um"), (5, 28, "um"),
        (3.58, 3.96, "log10(Å)"), (4.18, 4.23, "log10(Å)"),
        (3.8e-7, 1.7e-6, "m"),
        (0, 4095, None), (-1, 1, None), (3e14, 8e14, None), (40, 80, None),
    ],
)  # fmt: skip
def test_units_by_range(low: float, high: float, name: str | None) -> None:
    unit = guess_unit(np.linspace(low, high, 9)[::-1])
    assert (unit.name if unit else None) == name


@pytest.mark.parametrize("said", [True, False])
@pytest.mark.parametrize("unit", STORED)
def test_any_unit_is_the_same_grid(unit: str, said: bool, tmp_path: Path) -> None:
    _shard(tmp_path / "train_0/dataset.h5", WAVE_L, "Angstrom")
    path = _shard(tmp_path / "train_1/dataset.h5", STORED[unit], unit if said else None)
    root = DataRoot.find(tmp_path)
    assert root.wave_angstrom_L is not None and root.wave_angstrom_L[0] == 7100.0
    with Shard.open(path) as shard:
        assert (shard.wave.unit.name, shard.wave.unit_from) == (unit, "attribute" if said else "range")
        assert shard.wave_angstrom_L is not None
        np.testing.assert_allclose(shard.wave_angstrom_L, WAVE_L, rtol=1e-12)
    warned = [finding.sentence for finding in check_shard(path) if "wavelengths" in finding.sentence]
    assert len(warned) == (not said and unit != "Å")
    assert all(f"read as {unit} by their range" in sentence for sentence in warned)


@pytest.mark.parametrize(
    ("attributes", "unit"),
    [
        ({"units": b"nm"}, "nm"),
        ({"UNIT": np.bytes_(b"nm")}, "nm"),
        ({"Units": np.array(["nm"], dtype=h5py.string_dtype())}, "nm"),
        ({"unit": ""}, "Å"),
        ({"unit": 3}, "Å"),
        ({"title": "nm"}, "Å"),
    ],
)
def test_attributes_that_say_the_unit(attributes: dict[str, Any], unit: str, tmp_path: Path) -> None:
    """Beyond the range in which nm would be guessed, so that only the attribute can say it."""
    with Shard.open(_shard(tmp_path / "dataset.h5", WAVE_L, **attributes)) as shard:
        assert shard.wave.unit.name == unit


def test_a_group_may_say_the_unit_of_wavelength_only_by_name(tmp_path: Path) -> None:
    path = _shard(tmp_path / "dataset.h5", WAVE_L)
    with h5py.File(path, "r+") as file:
        file["spectrumdataset"].attrs["unit"] = "erg/s"
        file["spectrumdataset"].attrs["wave_unit"] = "nm"
    with Shard.open(path) as shard:
        assert shard.wave.unit.name == "nm"


@pytest.mark.parametrize("unit", STORED)
def test_single_precision_is_the_same_grid(unit: str, tmp_path: Path) -> None:
    """In the infrared the last digit of a logarithm in float32 is ten times the tolerance."""
    wave_L = WAVE_L + 9000.0
    stored_L = np.log10(wave_L) if unit == "log10(Å)" else wave_L * (STORED[unit] / WAVE_L)
    _shard(tmp_path / "train_0/dataset.h5", wave_L, "AA")
    _shard(tmp_path / "train_1/dataset.h5", stored_L.astype("f4"), unit)
    DataRoot.find(tmp_path)
    _shard(tmp_path / "train_2/dataset.h5", wave_L + 0.05, "AA")
    with pytest.raises(RequestError, match=r"disagree on wavelength: .*up to 0.05 Angstrom"):
        DataRoot.find(tmp_path)


def test_integers_and_odd_shapes(tmp_path: Path) -> None:
    whole_L = WAVE_L.astype("i4")
    for number, stored in enumerate((whole_L, whole_L[None], whole_L[:, None], whole_L.astype(">f4"))):
        with Shard.open(_shard(tmp_path / f"{number}.h5", stored)) as shard:
            assert shard.wave_angstrom_L is not None
            np.testing.assert_array_equal(shard.wave_angstrom_L, whole_L)


def test_a_group_with_a_value_as_arrays_have_it(tmp_path: Path) -> None:
    path = _shard(tmp_path / "dataset.h5", None)
    with h5py.File(path, "r+") as file:
        file["spectrumdataset/wave/value"] = WAVE_L
    with Shard.open(path) as shard:
        assert shard.wave_angstrom_L is not None and shard.wave_angstrom_L[0] == 7100.0


@pytest.mark.parametrize(
    ("wave", "said"),
    [
        (np.full(24, b"7100"), "wave is stored as text, expected numbers"),
        (h5py.Empty("f8"), r"wave is stored as an empty dataset \(h5py.Empty of float64\)"),
        (WAVE_L + 0j, "wave is stored as complex128"),
        (WAVE_L > 8000, "wave is stored as bool"),
        (np.zeros(24, [("wave", "f8"), ("width", "f8")]), "wave is stored as "),
        (np.tile(WAVE_L, (8, 1)), r"wave has shape \(8, 24\) but the spectra 24 pixels"),
        (WAVE_L.reshape(4, 6), r"wave has shape \(4, 6\) but"),
        (np.float64(7100), r"wave has shape \(\) but"),
        (WAVE_L[:-1], r"wave has shape \(23,\) but"),
        (np.where(WAVE_L > 8500, np.nan, WAVE_L), r"wave is nan at pixel 19 \(5 of 24 are not finite\)"),
        (np.where(WAVE_L > 8800, np.inf, WAVE_L), "wave is inf at pixel 23"),
    ],
)
def test_waves_that_cannot_be_used(wave: Any, said: str, tmp_path: Path) -> None:
    path = _shard(tmp_path / "train_0/dataset.h5", wave)
    with pytest.raises(RequestError, match=f"dataset.h5: spectrumdataset/{said}") as caught:
        DataRoot.find(tmp_path)
    faults = [finding.sentence for finding in check_shard(path) if finding.level == "fault"]
    assert faults == list(caught.value.faults)


@pytest.mark.parametrize(
    "edges", [np.full(25, b"x"), h5py.Empty("f8"), np.full(25, np.nan), np.ones((3, 24)), np.zeros(25, "c8")]
)
def test_edges_that_cannot_be_used_are_left_out_with_a_hint(edges: Any, tmp_path: Path) -> None:
    path = _shard(tmp_path / "dataset.h5", WAVE_L, "AA", edges)
    with Shard.open(path) as shard:
        assert shard.wave_edges_angstrom_L1 is None and shard.wave_angstrom_L is not None
    assert [finding.level for finding in check_shard(path) if "wave_edges" in finding.sentence] == ["hint"]


def test_edges_have_the_unit_of_the_centres_or_their_own(tmp_path: Path) -> None:
    edges_L1 = edges_from_centres(WAVE_L)
    with Shard.open(_shard(tmp_path / "a.h5", WAVE_L / 10, "nm", edges_L1 / 10)) as shard:
        np.testing.assert_allclose(shard.wave_edges_angstrom_L1, edges_L1)
    path = _shard(tmp_path / "b.h5", WAVE_L / 10, "nm", edges_L1)
    with h5py.File(path, "r+") as file:
        file["spectrumdataset/wave_edges"].attrs["unit"] = "Angstrom"
    with Shard.open(path) as shard:
        np.testing.assert_allclose(shard.wave_edges_angstrom_L1, edges_L1)
    with Shard.open(_shard(tmp_path / "c.h5", None, None, edges_L1 / 10)) as shard:
        assert shard.wave.unit.name == "nm"
        np.testing.assert_allclose(shard.wave_angstrom_L, WAVE_L)


@pytest.mark.parametrize("two_rows", [False, True])
def test_decreasing_wavelengths_stay_in_their_order(two_rows: bool, tmp_path: Path) -> None:
    edges_L1 = edges_from_centres(WAVE_L)[::-1]
    stored = np.stack([edges_L1[1:], edges_L1[:-1]]) if two_rows else edges_L1  # lower edges, upper edges
    path = _shard(tmp_path / "train_0/dataset.h5", WAVE_L[::-1], "AA", stored)
    _shard(tmp_path / "test_0/dataset.h5", WAVE_L[::-1] / 10, "nm")
    with Shard.open(path) as shard:
        assert shard.wave.order == "decreasing"
        np.testing.assert_array_equal(shard.wave_angstrom_L, WAVE_L[::-1])
        np.testing.assert_array_equal(shard.wave_edges_angstrom_L1, edges_L1)
    root = DataRoot.find(tmp_path)
    assert root.wave_angstrom_L is not None and root.wave_angstrom_L[0] == 8850.0
    assert not [finding for finding in check_shard(path) if "wavelengths" in finding.sentence]


def test_shards_in_two_orders_are_refused_alike_by_run_and_inspection(tmp_path: Path) -> None:
    _shard(tmp_path / "train_0/dataset.h5", WAVE_L, "AA")
    _shard(tmp_path / "val_0/dataset.h5", WAVE_L[::-1], "AA")
    with pytest.raises(
        RequestError, match=r"disagree on the order of wavelengths: .*train_0.* are increasing, .*val_0"
    ) as e:
        DataRoot.find(tmp_path)
    findings = inspect_path(tmp_path).to_dict()["findings"]
    assert [finding["sentence"] for finding in findings if finding["level"] == "fault"] == list(e.value.faults)


def _headline(path: Path) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(inspect_path(path).render())
    return console.export_text().splitlines()[0]


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ("Å", ", 7,100.0 to 8,850.0 Å"),
        ("nm", ", 710 to 885 nm (7,100.0 to 8,850.0 Å)"),
        ("um", ", 0.71 to 0.885 um (7,100.0 to 8,850.0 Å)"),
        ("log10(Å)", ", 7,100.0 to 8,850.0 Å (stored in log10(Å))"),
    ],
)
def test_inspection_shows_the_stored_unit(unit: str, said: str, tmp_path: Path) -> None:
    path = _shard(tmp_path / "train_0/dataset.h5", STORED[unit], unit)
    assert _headline(path).endswith(said)
    found = inspect_path(path).to_dict()
    assert found["wavelength_angstrom"] == pytest.approx({"min": 7100.0, "max": 8850.0})
    expected = {"unit": unit, "unit_from": "attribute", "order": "increasing"}
    assert found["shards"][0]["wavelength_stored"] == expected


def test_inspection_of_several_units_and_orders(tmp_path: Path) -> None:
    _shard(tmp_path / "train_0/dataset.h5", WAVE_L[::-1], "AA")
    _shard(tmp_path / "train_1/dataset.h5", WAVE_L[::-1] / 10, "nm")
    assert _headline(tmp_path).endswith(", 7,100.0 to 8,850.0 Å (stored in Å and nm), decreasing")


def test_pictures_have_the_stored_unit_and_run_upwards(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    from spectral_search.tasks.spectra.shards import spectra_plot as plot

    drawn: list[Figure] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot, "_save", lambda figure, file: drawn.append(figure))
        plot.plot_samples(_shard(tmp_path / "dataset.h5", WAVE_L[::-1] / 10, "nm"), tmp_path / "samples.png", count=1)
    axis = drawn[0].axes[-1]
    assert axis.get_xlabel() == "wavelength (nm)"
    assert axis.get_xlim() == pytest.approx((710.0, 885.0))


def test_what_is_written_says_its_unit(tmp_path: Path) -> None:
    source = _shard(tmp_path / "source.h5", WAVE_L[::-1] / 10, "nm")
    repack(source, tmp_path / "dataset.h5")
    with Shard.open(tmp_path / "dataset.h5") as shard:
        assert (shard.wave.unit, shard.wave.unit_from, shard.wave.order) == (ANGSTROM, "attribute", "decreasing")
        np.testing.assert_allclose(shard.wave_angstrom_L, WAVE_L[::-1])

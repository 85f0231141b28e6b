"""Tables of readings in every format that they come in, and what is refused in a sentence."""

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from spectral_search.errors import RequestError
from spectral_search.tasks.traffic.readings import Readings
from spectral_search.tasks.traffic.section import TrafficData
from spectral_search.tasks.traffic.traffic_files import read_traffic, readings_arrays

TIMES = pd.date_range("2012-03-01", periods=40, freq="5min")
NAMES = ["773869", "767541", "767542"]
VALUES = np.round(np.random.default_rng(0).uniform(20, 70, (40, 3)), 2)
VALUES[3, 1] = 0.0  # missing


def read(file: Path, **keys: Any) -> Readings:
    return read_traffic(TrafficData(root=str(file), **keys))


def write_hdf(file: Path) -> None:
    pd.DataFrame(VALUES, TIMES, NAMES).to_hdf(file, key="df", format="fixed")


WRITERS = {
    "named.csv": lambda file: pd.DataFrame(VALUES, columns=NAMES).to_csv(file, index=False),
    "timed.csv": lambda file: pd.DataFrame(VALUES, TIMES, NAMES).to_csv(file),
    "plain.csv": lambda file: pd.DataFrame(VALUES).to_csv(file, index=False, header=False),
    "timed_plain.csv": lambda file: pd.DataFrame(VALUES, TIMES).to_csv(file, header=False),
    "named.csv.xz": lambda file: pd.DataFrame(VALUES, columns=NAMES).to_csv(file, index=False),
    "timed.csv.gz": lambda file: pd.DataFrame(VALUES, TIMES, NAMES).to_csv(file),
    "timed.npz": lambda file: np.savez(file, values=VALUES, times=TIMES.to_numpy(), sensors=NAMES),
    "plain.npz": lambda file: np.savez(file, speeds=VALUES.astype(np.float32)),
    "timed.h5": write_hdf,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_readings(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    readings = read(tmp_path / name)
    np.testing.assert_allclose(readings.values_TS, np.where(VALUES == 0.0, np.nan, VALUES), rtol=1e-6)
    assert readings.timed is name.startswith("timed")
    assert not readings.timed or readings.start == np.datetime64("2012-03-01T00:00")
    assert readings.sensors == (("0", "1", "2") if "plain" in name else tuple(NAMES))
    assert readings.step_minutes == 5


def test_missing_is_what_the_section_says(tmp_path: Path) -> None:
    WRITERS["plain.csv"](tmp_path / "plain.csv")
    assert np.isnan(read(tmp_path / "plain.csv").values_TS).sum() == 1
    assert not np.isnan(read(tmp_path / "plain.csv", missing=None).values_TS).any()


def test_a_start_gives_times_to_a_table_without(tmp_path: Path) -> None:
    WRITERS["plain.csv"](tmp_path / "plain.csv")
    readings = read(tmp_path / "plain.csv", start="2012-03-01T06:00", step_minutes=15)
    assert readings.timed and readings.times_T[2] == np.datetime64("2012-03-01T06:30")


def test_readings_come_back_from_their_own_file(tmp_path: Path) -> None:
    given = Readings(np.float32(VALUES), tuple(NAMES), np.datetime64("2024-01-01", "m"), 5, np.eye(3, dtype=np.float32))
    np.savez(tmp_path / "own.npz", **readings_arrays(given))
    again = read(tmp_path / "own.npz")
    assert (again.sensors, again.start, again.step_minutes, again.timed) == (given.sensors, given.start, 5, True)
    np.testing.assert_array_equal(again.values_TS, np.where(VALUES == 0.0, np.nan, given.values_TS))
    np.testing.assert_array_equal(again.adjacency_SS, np.eye(3))


def test_an_adjacency_lies_beside(tmp_path: Path) -> None:
    WRITERS["plain.csv"](tmp_path / "plain.csv")
    near_SS = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 1.0]])
    pd.DataFrame(near_SS).to_csv(tmp_path / "near.csv", index=False, header=False)
    np.savez(tmp_path / "near.npz", adjacency=near_SS)
    for name in ("near.csv", "near.npz"):
        found = read(tmp_path / "plain.csv", adjacency=str(tmp_path / name)).adjacency_SS
        np.testing.assert_allclose(found, near_SS, rtol=1e-6)


def broken(file: Path, kind: str) -> None:
    """Write a table with something wrong with it."""
    frame = pd.DataFrame(VALUES, TIMES, NAMES)
    match kind:
        case "gap":
            frame.drop(TIMES[7]).to_csv(file)
        case "twice":
            pd.concat([frame.iloc[:5], frame.iloc[4:]]).to_csv(file)
        case "backwards":
            frame[::-1].to_csv(file)
        case "no time":
            frame.index = [*TIMES[:5].astype(str), "later", *TIMES[6:].astype(str)]
            frame.to_csv(file)
        case "text":
            frame.astype(object).where(frame != frame.iloc[4, 2], "closed").to_csv(file, index=False)
        case "all missing":
            (0.0 * frame).to_csv(file, index=False)
        case "ragged":
            file.write_text("1.5,2.5\n3.5,4.5,5.5\n")
        case "empty":
            file.write_text("")
        case "infinite":
            frame.mask(frame == frame.iloc[4, 2], np.inf).to_csv(file, index=False)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("gap", r"a step of 10 minutes at 2012-03-01T00:30 \(row 7\) where steps are 5 minutes \(1 such\)"),
        ("twice", r"the same time twice at 2012-03-01T00:20 \(row 5\)"),
        ("backwards", r"times do not go up \(the usual step is -5 minutes\): sort the rows"),
        ("no time", r"row 7 has no time \('later'\)"),
        ("text", r"row 6, column 3 \(767542\) holds 'closed', which is no number"),
        ("all missing", r"all readings are missing \(empty or 0, which data.missing says stands for none\)"),
        ("ragged", r"cannot be read \(Expected 2 fields in line 2, saw 3\)"),
        ("empty", r"is empty"),
        ("infinite", r"row 5, column 3 is infinite"),
    ],
)
def test_a_table_that_is_wrong_is_refused(kind: str, said: str, tmp_path: Path) -> None:
    broken(tmp_path / "wrong.csv", kind)
    with pytest.raises(RequestError, match=said) as refused:
        read(tmp_path / "wrong.csv")
    assert len(refused.value.faults) == 1


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"values": VALUES.astype(str)}, "readings must be numbers, found <U"),
        ({"values": VALUES[0]}, r"readings must be of shape time x sensors, found \(3,\)"),
        ({"values": VALUES[:0]}, r"holds no readings, its shape is \(0, 3\)"),
        ({"a": VALUES, "b": VALUES}, r"holds no array values, of time x sensors \(found: a \(40, 3\), b \(40, 3\)\)"),
        ({"values": VALUES, "times": np.arange(40)}, "times must be datetime64, found int64"),
        ({"values": VALUES, "adjacency": np.eye(2)}, r"must be 3 x 3 numbers, found float64 of shape \(2, 2\)"),
        ({"values": VALUES, "adjacency": -np.eye(3)}, "finite numbers that are not negative"),
        ({"values": np.array([[{}]])}, "values holds pickled Python objects, which are never opened"),
    ],
)
def test_arrays_that_are_wrong_are_refused(arrays: dict[str, Any], said: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "wrong.npz", allow_pickle=True, **arrays)
    with pytest.raises(RequestError, match=said):
        read(tmp_path / "wrong.npz")


def test_what_is_not_there_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("#")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04")
    (tmp_path / "none.h5").write_bytes(b"no HDF5")
    for name, said in (
        ("gone.csv", "gone.csv is no table of readings: give the path of a file"),
        ("notes.md", "notes.md is of no kind that is known"),
        ("cut.npz", "cut.npz cannot be read"),
        ("none.h5", "none.h5 cannot be read"),
    ):
        with pytest.raises(RequestError, match=said):
            read(tmp_path / name)
    with pytest.raises(RequestError, match="2 are named"):
        read_traffic(TrafficData(root=["a.csv", "b.csv"]))


class Harmful:
    """What runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("harmed"),)


def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_hdf(tmp_path / "timed.h5")
    with h5py.File(tmp_path / "timed.h5", "a") as file:
        for name in file["df"].attrs:
            file["df"].attrs[name] = np.bytes_(pickle.dumps(Harmful()))
    assert read(tmp_path / "timed.h5").values_TS.shape == (40, 3)
    assert not (tmp_path / "harmed").exists()


def test_hdf5_of_another_layout_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["speed"] = VALUES
    with pytest.raises(RequestError, match=r"holds 0 frames of readings where one is expected \(found: speed\)"):
        read(tmp_path / "other.h5")
    pd.DataFrame({"a": [1.0, 2.0], "b": [1, 2]}).to_hdf(tmp_path / "mixed.h5", key="df", format="fixed")
    with pytest.raises(RequestError, match="columns of several types"):
        read(tmp_path / "mixed.h5")

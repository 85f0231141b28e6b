"""What HDF5 looks for elsewhere and does not find is refused with its name, and never filled in."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.shard import Shard
from spectral_search.tasks.spectra.shards.shard_check import check_shard

ROWS, PIXELS = 16, 5
FLUX = np.arange(1.0, 1 + ROWS * PIXELS, dtype=np.float32).reshape(ROWS, PIXELS)
VALUE = "dataset/arrays/{}/value"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A shard, beside other.h5 with the same flux."""
    with h5py.File(tmp_path / "dataset.h5", "w") as file:
        for name in ("flux", "error"):
            file[VALUE.format(name)] = FLUX
        file["dataset/params/log_g"] = np.linspace(1, 5, ROWS)
        file["spectrumdataset/wave"] = np.linspace(7100, 8850, PIXELS)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["flux"] = FLUX
    return tmp_path / "dataset.h5"


def _put(path: Path, name: str, link: object) -> None:
    with h5py.File(path, "r+") as file:
        if name in file:
            del file[name]
        file[name] = link


def _join(path: Path, *sources: tuple[str, str, int], rows: int = ROWS) -> None:
    """Makes flux virtual: (file, dataset, rows) one below the other."""
    with h5py.File(path, "r+") as file:
        del file["dataset/arrays/flux"]
        layout = h5py.VirtualLayout((rows, PIXELS), "f4")
        start = 0
        for name, dataset, count in sources:
            layout[start : start + count] = h5py.VirtualSource(name, dataset, (count, PIXELS))
            start += count
        file.create_virtual_dataset(VALUE.format("flux"), layout)


def _raw(path: Path, *files: tuple[str, int, int]) -> None:
    with h5py.File(path, "r+") as file:
        del file["dataset/arrays/flux"]
        file.create_dataset(VALUE.format("flux"), (ROWS, PIXELS), "f4", external=files)


def _said(path: Path) -> str:
    with pytest.raises(RequestError) as caught:
        Shard.open(path, need_labels=False)
    (sentence,) = caught.value.faults
    assert sentence.startswith(f"{path}: ") and sentence.endswith(".")
    assert sentence in [finding.sentence for finding in check_shard(path)]
    return sentence


LINKED = ["dataset", "dataset/arrays/flux", *map(VALUE.format, ("flux", "error", "noisy", "mask"))]
LINKED += ["dataset/params", "dataset/params/T_eff", "spectrumdataset/wave", "spectrumdataset/wave_edges"]


@pytest.mark.parametrize("name", LINKED)
def test_a_link_to_what_is_missing(name: str, path: Path) -> None:
    missing = path.parent / "gone.h5"
    _put(path, name, h5py.ExternalLink("gone.h5", "x"))
    assert f"is a link to {missing}, and that file is missing; copy it there" in _said(path)
    _put(path, name, h5py.ExternalLink("other.h5", "x/y"))
    assert f"is a link to x/y in {path.parent / 'other.h5'}, which holds no such dataset" in _said(path)
    _put(path, name, h5py.SoftLink("/nowhere"))
    assert f"is a link to /nowhere, which is not in {path}" in _said(path)


def test_a_link_to_itself(path: Path) -> None:
    _put(path, VALUE.format("flux"), h5py.SoftLink("/" + VALUE.format("flux")))
    assert "a link that leads back to itself" in _said(path)


def test_why_the_linked_file_cannot_be_opened_is_told(path: Path) -> None:
    _put(path, VALUE.format("flux"), h5py.ExternalLink("other.h5", "flux"))
    other = path.parent / "other.h5"
    other.write_text("no HDF5")
    assert f"flux/value is a link to {other}: not an HDF5 file" in _said(path)
    other.unlink()
    other.mkdir()
    assert f"is a link to {other} is a folder" in _said(path)


def test_a_linked_file_that_is_being_written(path: Path) -> None:
    _put(path, VALUE.format("flux"), h5py.ExternalLink("other.h5", "flux"))
    code = "import sys, h5py; file = h5py.File(sys.argv[1], 'r+'); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(path.parent / "other.h5")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None and writer.stdout.readline()
        assert f"{path.parent / 'other.h5'}: another process is writing the file" in _said(path)
        writer.communicate()


VIRTUAL: dict[str, tuple[Callable[[Path], object], str]] = {
    "file": (lambda path: _join(path, ("other.h5", "flux", 8), ("gone.h5", "flux", 8)), "the source {}/gone.h5, and"),
    "dataset": (lambda path: _join(path, ("other.h5", "x", 16)), "the source x in {}/other.h5, which holds no such"),
    "rows": (
        lambda path: _join(path, ("other.h5", "flux", 20), rows=20),
        "the source flux in {}/other.h5, which is too small (shape (16, 5))",
    ),
    "gap": (lambda path: _join(path, ("other.h5", "flux", 16), rows=24), "no source for 40 of its 120 values"),
    "itself": (lambda path: _join(path, (".", VALUE.format("flux"), 16)), "lead back to itself"),
    "no HDF5": (
        lambda path: (_join(path, ("text.h5", "flux", 16)), (path.parent / "text.h5").write_text("x")),
        "the source {}/text.h5: not an HDF5 file",
    ),
}


@pytest.mark.parametrize("name", VIRTUAL)
def test_a_virtual_dataset_whose_sources_are_not_all_there(name: str, path: Path) -> None:
    make, expected = VIRTUAL[name]
    make(path)
    assert "flux is a virtual dataset with " + expected.format(path.parent) in _said(path) or name == "itself"
    assert expected.format(path.parent) in _said(path)


def test_a_mask_whose_source_is_missing_is_not_taken_for_good(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        layout = h5py.VirtualLayout((ROWS, PIXELS), "i8")
        layout[:] = h5py.VirtualSource("gone.h5", "mask", (ROWS, PIXELS))
        file.create_virtual_dataset(VALUE.format("mask"), layout)
    assert f"mask is a virtual dataset with the source {path.parent}/gone.h5, and that file is missing" in _said(path)


def test_sources_that_go_after_opening_are_still_read(path: Path) -> None:
    with h5py.File(path.parent / "second.h5", "w") as file:
        file["flux"] = FLUX * 2
    _join(path, ("other.h5", "flux", 8), ("second.h5", "flux", 8))
    with Shard.open(path) as shard:
        (path.parent / "second.h5").unlink()
        np.testing.assert_array_equal(shard.read(0, ROWS)["flux"], np.concatenate([FLUX[:8], FLUX[:8] * 2]))


def test_more_sources_than_files_may_be_open_are_refused_and_not_filled_in(path: Path) -> None:
    for number in range(ROWS):
        with h5py.File(path.parent / f"{number}.h5", "w") as file:
            file["flux"] = FLUX[:1]
    _join(path, *((f"{number}.h5", "flux", 1) for number in range(ROWS)))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(path, os.O_RDONLY)
    os.close(lowest)
    outcomes = set()
    try:
        for spare in range(1, ROWS + 40):
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + spare, limits[1]))
            try:
                with Shard.open(path) as shard:
                    np.testing.assert_array_equal(shard.read(0, ROWS)["flux"], np.repeat(FLUX[:1], ROWS, axis=0))
                    outcomes.add("read")
            except RequestError as error:
                assert "too many files are open at once" in str(error)
                outcomes.add("refused")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert outcomes == {"read", "refused"}


def test_raw_files_that_are_missing_or_short(path: Path) -> None:
    raw, size = path.parent / "flux.raw", FLUX.nbytes
    _raw(path, (str(raw), 0, h5py.h5f.UNLIMITED))
    assert f"keeps its values in the raw file {raw}, which is missing" in _said(path)
    raw.write_bytes(FLUX.tobytes()[:-1])
    assert f"the raw file {raw}, which ends at byte {size - 1} of {size}; copy or write" in _said(path)
    raw.write_bytes(FLUX.tobytes())
    with Shard.open(path) as shard:
        np.testing.assert_array_equal(shard.read(0, ROWS)["flux"], FLUX)
    raw.unlink()
    raw.mkdir()
    assert f"raw file {raw}: the file cannot be read (Is a directory)" in _said(path)


SUMMED = """
import sys
from spectral_search.tasks.spectra.shards.shard import Shard
with Shard.open(sys.argv[1]) as shard:
    print(shard.read(0, 16)["flux"].sum())
"""


@pytest.mark.parametrize("kind", ["HDF5_EXTFILE_PREFIX", "HDF5_VDS_PREFIX", "HDF5_EXT_PREFIX"])
def test_the_folder_of_other_files_may_be_given_in_the_environment(
    kind: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    (path.parent / "far").mkdir()
    (path.parent / "other.h5").rename(path.parent / "far" / "other.h5")
    (path.parent / "far" / "flux.raw").write_bytes(FLUX.tobytes())
    if kind == "HDF5_EXTFILE_PREFIX":
        _raw(path, ("flux.raw", 0, FLUX.nbytes))
        assert "the raw file flux.raw, which is missing; copy it there (a relative name counts from the" in _said(path)
    elif kind == "HDF5_VDS_PREFIX":
        _join(path, ("other.h5", "flux", 16))
        assert f"source {path.parent}/other.h5, and that file is missing" in _said(path)
    else:
        _put(path, VALUE.format("flux"), h5py.ExternalLink("/gone/other.h5", "flux"))
        assert "is a link to /gone/other.h5, and that file is missing" in _said(path)
    folder = f"/gone:{path.parent}/far" if kind == "HDF5_EXT_PREFIX" else "${ORIGIN}/far"
    # HDF5 reads its environment as it starts, so another process is asked whether it finds the values.
    environment = {**os.environ, kind: folder, "PYTHONPATH": str(Path(__file__).parents[5])}
    done = subprocess.run([sys.executable, "-c", SUMMED, str(path)], env=environment, capture_output=True, text=True)
    assert done.stdout and float(done.stdout) == FLUX.sum(), done.stderr


def _create(path: Path, name: str, *, written: slice | None = None, dtype: str = "f4", **options: object) -> None:
    with h5py.File(path, "r+") as file:
        if name in file:
            del file[name]
        data = file.create_dataset(name, (ROWS, PIXELS), dtype, **options)
        if written is not None:
            data[written] = FLUX[written]


@pytest.mark.parametrize("name", ["flux", "error"])
@pytest.mark.parametrize("options", [{}, {"chunks": (4, PIXELS)}, {"fillvalue": 0}, {"fillvalue": np.nan}], ids=str)
def test_an_array_that_was_never_written(name: str, options: dict[str, object], path: Path) -> None:
    _create(path, VALUE.format(name), **options)
    assert f"{name} was never written, only made; the process that wrote the file did not finish" in _said(path)


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"fillvalue": 7}], ids=str)
@pytest.mark.parametrize("name", ["flux", "error", "noisy"])
def test_an_array_of_which_a_part_was_never_written(name: str, options: dict[str, object], path: Path) -> None:
    _create(path, VALUE.format(name), written=np.s_[:8], chunks=(4, PIXELS), **options)
    assert f"{name} was not written to its end: 2 of 4 chunks are missing, the first at rows 8 to 11; the" in _said(
        path
    )


def test_sources_and_columns_that_were_never_written(path: Path) -> None:
    _create(path.parent / "other.h5", "half", written=np.s_[:3], chunks=(4, PIXELS))
    _join(path, ("other.h5", "half", 16))
    assert f"flux (source half in {path.parent}/other.h5) was not written to its end: 3 of 4" in _said(path)
    _put(path, VALUE.format("flux"), FLUX)
    with h5py.File(path, "r+") as file:
        file.create_dataset("dataset/params/T_eff", (ROWS,), "f8")
    assert "dataset/params/T_eff was never written" in _said(path)


def test_noisy_that_was_never_written_counts_as_absent_and_is_told(path: Path) -> None:
    _create(path, VALUE.format("noisy"), chunks=(4, PIXELS))
    with Shard.open(path) as shard:
        assert not shard.has_noisy and shard.never_written == ("noisy",)
    sentences = [finding.sentence for finding in check_shard(path)]
    assert "noisy was made but never written: it counts as absent; write it, or leave it out." in sentences


def test_a_mask_without_a_fill_value_is_not_whatever_lies_in_memory(path: Path) -> None:
    _create(path, VALUE.format("mask"), dtype="i8", written=np.s_[:8], chunks=(4, PIXELS), fill_time="never")
    assert "mask was not written to its end and has no fill value" in _said(path)


def test_labels_of_one_name_in_two_files_are_not_confused(path: Path) -> None:
    for name, values in {"log_g": np.linspace(1, 5, ROWS), "T_eff": np.linspace(4000, 5000, ROWS)}.items():
        with h5py.File(path.parent / f"{name}.h5", "w") as file:
            file["values"] = values
        _put(path, f"dataset/params/{name}", h5py.ExternalLink(f"{name}.h5", "values"))
    with Shard.open(path) as shard:
        labels = shard.params()
    assert labels["log_g"].max() == 5 and labels["T_eff"].min() == 4000


def test_a_value_that_is_an_empty_dataset(path: Path) -> None:
    _put(path, VALUE.format("flux"), h5py.Empty("f4"))
    assert "flux is an empty dataset (h5py.Empty of float32, without a shape)" in _said(path)

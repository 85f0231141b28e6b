"""Components of a training set: made once for the same bytes and settings, then taken from the cache."""

import os
import pickle
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_signal import COMPONENTS, PIXELS, simulated

from spectral_search.record.array_cache import ArrayCache
from spectral_search.tasks.spectra.shards.blocks import Block, iter_blocks
from spectral_search.tasks.spectra.shards.content import arrays_used, read_hashes
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.signal.compress import compress
from spectral_search.tasks.spectra.signal.kept_components import Kept, kept_components
from spectral_search.tasks.spectra.simulator.simulate import simulate
from spectral_search.tasks.spectra.training.dataset import shared_tensor
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing

SPECTRA = 200
COMPARED = ("mean_NK", "mix_NR", "factors_RKK", "log_g_N", "bin_N")


def stored_bytes(spectra: int, components: int, shared: int, *, masked: bool = False) -> int:
    """Of an entry but for its header."""
    return spectra * (4 * (components + shared) + 8 * (3 if masked else 2)) + 4 * shared * components**2


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("kept") / "data"
    simulate(root, train=SPECTRA, val=0, test=0, pixels=PIXELS, dtype="float32", shards=2)
    for file in root.glob("*/*.h5"):
        os.utime(file, ns=(10**18, 10**18))  # one that was not written just now
    return root


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArrayCache:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = ArrayCache.here()
    assert found is not None
    return found


def selected(data: Path) -> Selection:
    return Selection.all_of(DataRoot.find(str(data)).train)


def prep() -> Preprocessing:
    return simulated()[2]


def kept(data: Path, cache: ArrayCache | None, noise_level: float = 1.0, prep: Preprocessing | None = None) -> Kept:
    selection = selected(data)
    read = partial(iter_blocks, selection, hashed=True)
    return kept_components(selection, read, prep or simulated()[2], noise_level, cache)


def from_cache(found: Kept) -> bool:
    return "from the cache" in found.notes[-1]


def test_the_second_time_nothing_is_read_and_all_is_the_same(data: Path, cache: ArrayCache) -> None:
    made, selection = kept(data, cache), selected(data)
    assert f"Components of 200 spectra: {made.components.nbytes / 1e3:.3g} kB, compressed in" in made.notes[0]
    assert made.notes[0].endswith(f"kept in {cache.folder}.")

    def unreadable() -> Iterator[Block]:
        raise AssertionError("spectra were read")

    found = kept_components(selection, unreadable, prep(), 1.0, cache)
    assert from_cache(found) and str(cache.folder) in found.notes[0]
    for name in COMPARED:
        ours, theirs = getattr(found.components, name), getattr(made.components, name)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    assert found.components.covariance_error == made.components.covariance_error
    expected = read_hashes(selection, arrays_used("train", selection))
    assert found.hashes.keys() == expected.keys()
    for array, hash_N in expected.items():
        np.testing.assert_array_equal(found.hashes[array], hash_N)
    shared_tensor(found.components.mean_NK)  # torch reads it as it lies in the file
    sent = pickle.loads(pickle.dumps(found.components, protocol=5))  # to another process
    np.testing.assert_array_equal(sent.mean_NK, made.components.mean_NK)


def test_an_edited_spectrum_is_never_served_from_before(data: Path, cache: ArrayCache, tmp_path: Path) -> None:
    root = tmp_path / "edited"
    for file in data.glob("*/dataset.h5"):
        (root / file.parent.name).mkdir(parents=True)
        (root / file.parent.name / file.name).write_bytes(file.read_bytes())
        os.utime(root / file.parent.name / file.name, ns=(10**18, 10**18))
    before = kept(root, cache)
    assert from_cache(kept(root, cache))
    earlier = selected(root)
    changed = sorted(root.glob("*/dataset.h5"))[1]
    with h5py.File(changed, "r+") as file:
        file["dataset/arrays/flux/value"][7, 100] *= np.float32(1.25)
    os.utime(changed, ns=(10**18, 10**18))
    # Size and time of writing are as they were; what was looked at before the change is as stale as the entry.
    now = kept(root, cache)
    assert not from_cache(now)
    (differs,) = np.flatnonzero((now.components.mean_NK != before.components.mean_NK).any(1))
    assert differs == SPECTRA // 2 + 7
    with open(changed, "ab") as file:
        file.write(b"\0")
    assert not from_cache(kept_components(earlier, partial(iter_blocks, earlier, hashed=True), prep(), 1.0, cache))


def test_other_settings_are_other_entries(data: Path, cache: ArrayCache) -> None:
    kept(data, cache)
    few = replace(prep(), directions_LK=np.ascontiguousarray(prep().directions_LK[:, :4]))
    shifted = replace(prep(), mean_L=prep().mean_L * np.float32(1.001))
    masked = replace(prep(), valid_L=prep().valid_L & (np.arange(PIXELS) != 50))
    others = [kept(data, cache, noise_level=0.5), kept(data, cache, noise_level=0.0)]
    others += [kept(data, cache, prep=other) for other in (few, shifted, masked, replace(prep(), flux_scale=2.0))]
    assert not any(from_cache(found) for found in others)
    # What compressing does not depend on is no part of the key: the same spectra with the same statistics are found.
    same = replace(prep(), wave_angstrom_L=np.arange(PIXELS, dtype=float), target_mean_dex=1.0)
    assert from_cache(kept(data, cache, prep=same))
    assert len(kept(data, cache, noise_level=0.0).components.factors_RKK) == 0


def test_a_part_of_the_spectra_is_another_entry(data: Path, cache: ArrayCache) -> None:
    kept(data, cache)
    half = selected(data).take(np.arange(0, SPECTRA, 2))
    found = [kept_components(half, partial(iter_blocks, half, hashed=True), prep(), 1.0, cache) for _ in range(2)]
    assert [from_cache(once) for once in found] == [False, True]
    assert len(found[1].components) == SPECTRA // 2
    whole = kept(data, cache)
    assert from_cache(whole) and len(whole.components) == len(whole.components.mean_NK) == SPECTRA


def test_a_damaged_entry_is_made_again_with_a_word(data: Path, cache: ArrayCache) -> None:
    made = kept(data, cache)
    (entry,) = cache.entries()
    content = bytearray(entry.path.read_bytes())
    content[len(content) // 2] ^= 1
    entry.path.write_bytes(content)
    found = kept(data, cache)
    assert "was damaged: it is made again" in found.notes[0] and "compressed in" in found.notes[1]
    np.testing.assert_array_equal(found.components.mean_NK, made.components.mean_NK)
    assert from_cache(kept(data, cache))


def test_without_a_cache_or_hashes_nothing_is_kept(data: Path, cache: ArrayCache) -> None:
    selection = selected(data)
    assert kept(data, None).notes[0].endswith("not kept.")
    unhashed = kept_components(selection, partial(iter_blocks, selection), prep(), 1.0, cache)
    assert unhashed.notes[0].endswith("not kept.") and cache.entries() == []
    # Of shards whose arrays lie in other files no time of writing tells: they would never be found again.
    elsewhere = Selection([replace(shard, mtime_ns=None, stamp=None) for shard in selection.shards], selection.rows_N)
    read = partial(iter_blocks, elsewhere, hashed=True)
    assert kept_components(elsewhere, read, prep(), 1.0, cache).notes[0].endswith("not kept.")
    assert cache.entries() == []


def test_a_million_spectra_take_less_than_400_mb(data: Path, cache: ArrayCache) -> None:
    made = kept(data, cache)
    (entry,) = cache.entries()
    shared = len(made.components.factors_RKK)
    assert made.components.mean_NK.shape[1] == COMPONENTS
    expected = stored_bytes(SPECTRA, COMPONENTS, shared)
    assert expected <= entry.nbytes < expected + 2000
    # 64 components and 8 shared directions are what simulated spectra of 4,096 pixels have.
    assert 300e6 < stored_bytes(10**6, 64, 9) < 320e6
    assert stored_bytes(10**6, 64, 17, masked=True) < 400e6


def test_blocks_that_cannot_be_written_to_are_compressed_too(data: Path) -> None:
    selection = selected(data)
    scaled = replace(prep(), flux_scale=2.0)

    def read_only() -> Iterator[Block]:
        for block in iter_blocks(selection):
            for values_BL in (block.flux_BL, block.error_BL):
                values_BL.flags.writeable = False
            yield block

    ours = compress(selection, read_only, scaled, 1.0)
    theirs = compress(selection, partial(iter_blocks, selection), scaled, 1.0)
    np.testing.assert_array_equal(ours.mean_NK, theirs.mean_NK)


def test_progress_is_told_to_the_end(data: Path) -> None:
    selection, told = selected(data), list[tuple[int, int]]()
    row_bytes = 2 * 4 * PIXELS
    blocks = partial(iter_blocks, selection, target_bytes=64 * row_bytes)
    compress(selection, blocks, prep(), 1.0, lambda done, total: told.append((done, total)))
    assert len(told) > 1 and told == sorted(told) and told[-1] == (SPECTRA, SPECTRA)

"""A folder of what can be made again: bounded, shared, never half, never another's."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from crashes import dies_at

from spectral_search.errors import RequestError
from spectral_search.record.array_cache import LIMIT_VARIABLE, ArrayCache, key_of
from spectral_search.spec.home_folder import CACHE_VARIABLE

ROW = np.arange(1000.0)
"""8,000 bytes; with its header an entry takes less than 9,000."""
KEYS = [key_of(number) for number in range(4)]


@pytest.fixture
def cache(tmp_path: Path) -> ArrayCache:
    return ArrayCache(tmp_path / "cache", 20_000)


def keep(cache: ArrayCache, number: int, shift: float = 0.0) -> str | None:
    return cache.keep("rows", KEYS[number], {"row": ROW + number + shift}, {"number": number})


def held(cache: ArrayCache) -> list[int]:
    """Numbers of the entries, those used last first."""
    return [KEYS.index(entry.name.removeprefix("rows-")) for entry in cache.entries()]


def used(cache: ArrayCache, number: int, ago_s: int) -> None:
    """Make an entry one that was used so long ago."""
    (entry,) = (entry for entry in cache.entries() if entry.name == f"rows-{KEYS[number]}")
    status = entry.path.stat()
    os.utime(entry.path, (status.st_atime - ago_s, status.st_mtime - ago_s))


def test_an_entry_is_found_by_its_key_alone(cache: ArrayCache) -> None:
    told: list[str] = []
    assert cache.recall("rows", KEYS[1], told) is None
    assert keep(cache, 1) is None
    found = cache.recall("rows", KEYS[1], told)
    assert found is not None and found.facts == {"number": 1}
    np.testing.assert_array_equal(found.arrays["row"], ROW + 1)
    assert cache.recall("rows", KEYS[2], told) is None and cache.recall("others", KEYS[1], told) is None
    assert told == []


def test_keys_tell_their_parts_apart() -> None:
    keys = {key_of(*parts) for parts in (("a", "b"), ("ab",), ("a", "", "b"), ("a\n1 b",), (1,), (1.0,), ("b", "a"))}
    assert len(keys) == 7


def test_a_damaged_entry_is_told_of_and_made_again(cache: ArrayCache) -> None:
    keep(cache, 0)
    (entry,) = cache.entries()
    content = bytearray(entry.path.read_bytes())
    content[-5] ^= 1
    entry.path.write_bytes(content)
    told: list[str] = []
    assert cache.recall("rows", KEYS[0], told) is None
    assert told == [f"The cached {entry.path.name} was damaged: it is made again."]
    assert not entry.path.exists()
    keep(cache, 0)
    assert cache.recall("rows", KEYS[0], told) is not None


def test_what_was_used_longest_ago_goes_first(cache: ArrayCache) -> None:
    for number in (0, 1):
        keep(cache, number)
        used(cache, number, 1000 - 100 * number)
    assert held(cache) == [1, 0]
    cache.recall("rows", KEYS[0], [])
    assert held(cache) == [0, 1]
    assert keep(cache, 2) is None
    assert sorted(held(cache)) == [0, 2]
    assert sum(entry.nbytes for entry in cache.entries()) <= cache.limit_bytes


def test_what_is_in_use_stays(cache: ArrayCache) -> None:
    keep(cache, 0)
    keep(cache, 1)
    used(cache, 0, 1000)
    found = cache.recall("rows", KEYS[0], [])
    used(cache, 0, 1000)
    assert {entry.in_use for entry in cache.entries() if entry.name.endswith(KEYS[0])} == {True}
    assert keep(cache, 2) is None
    assert sorted(held(cache)) == [0, 2]
    assert found is not None
    assert [entry.name for entry in cache.clear()] == [f"rows-{KEYS[2]}"]
    np.testing.assert_array_equal(found.arrays["row"], ROW)
    del found
    assert len(cache.clear()) == 1 and cache.entries() == []


def test_what_finds_no_room_is_not_kept_and_said(cache: ArrayCache) -> None:
    keep(cache, 0)
    found = cache.recall("rows", KEYS[0], [])
    small = ArrayCache(cache.folder, 9_000)
    assert keep(small, 1) == f"the cache may hold 9e-06 GB ({LIMIT_VARIABLE})"
    assert held(cache) == [0] and found is not None
    assert "may hold 0 GB" in str(keep(ArrayCache(cache.folder, 0), 1))
    del found
    keep(ArrayCache(cache.folder, 1_000), 1)  # too large for any room that could be made: nothing is removed for it
    assert held(cache) == [0]


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = ArrayCache(tmp_path / "file" / "cache", 10**9)
    assert "cannot be written" in str(keep(cache, 0))
    assert cache.recall("rows", KEYS[0], []) is None and cache.entries() == [] and cache.clear() == []


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(cache: ArrayCache) -> None:
    keep(cache, 0)
    old, young = (cache.folder / f".rows-{KEYS[1]}.safetensors.{secrets.token_hex(4)}.tmp" for _ in range(2))
    other = cache.folder / "notes.txt"
    for path in (old, young, other):
        path.write_text("half")
    os.utime(old, (0, 0))
    assert held(cache) == [0]
    keep(cache, 0)
    assert not old.exists() and young.exists() and other.exists()


@pytest.mark.slow
@pytest.mark.parametrize("work", [keep, lambda cache, number: cache.clear()], ids=["keep", "clear"])
def test_death_at_any_change_leaves_whole_entries(cache: ArrayCache, work: Callable[[ArrayCache, int], object]) -> None:
    change = 1
    while dies_at(change, lambda: (keep(cache, 0), keep(cache, 1), keep(cache, 2), work(cache, 0))):
        change += 1
        for number in held(cache):
            found = cache.recall("rows", KEYS[number], told := [])
            assert found is not None and not told
    assert change > 5


def test_two_that_make_the_same_at_once_do_not_harm_each_other(cache: ArrayCache) -> None:
    keep(cache, 0)
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            for _ in range(15):
                keep(cache, 0)
            os._exit(0)
        children.append(child)
    met, told = 0, []
    while met < 30:
        found = cache.recall("rows", KEYS[0], told)
        met += 1
        if found is not None:
            np.testing.assert_array_equal(found.arrays["row"], ROW)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
    assert told == [] and cache.recall("rows", KEYS[0], told) is not None
    assert [path.name for path in cache.folder.iterdir()] == [cache.entries()[0].path.name]


def test_folder_and_bound_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    found = ArrayCache.here()
    assert found is not None and found.folder == tmp_path / "signal" and found.limit_bytes == 4 * 10**9
    monkeypatch.setenv(LIMIT_VARIABLE, "0.5")
    found = ArrayCache.here()
    assert found is not None and found.limit_bytes == 5 * 10**8


@pytest.mark.parametrize("text", ["much", "-1", "nan", "inf"])
def test_a_bound_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, text)
    with pytest.raises(RequestError, match=rf"{LIMIT_VARIABLE} is '{text}' and must be the gigabytes"):
        ArrayCache.here()


def test_a_folder_of_nobody_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, "~nobody-of-that-name/x")
    with pytest.raises(RequestError, match="cannot be found"):
        ArrayCache.here()

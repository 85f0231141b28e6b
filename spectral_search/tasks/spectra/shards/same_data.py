"""Whether data are still what a run used: known by all bytes that it read, and refused before anything is trained.

A run records, of each spectrum that it uses, a hash of each array, when it has read it and before it trains. Whoever
goes on with it compares: at once where a shard's size, time of writing and layout are as recorded, by reading where
they are not, for files are moved, touched and written again; and whatever is read anyway is compared too.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.record.durable import read_arrays, replacing
from spectral_search.record.manifest import Manifest, sampled
from spectral_search.record.paths import RunPaths
from spectral_search.tasks.spectra.shards.blocks import Block
from spectral_search.tasks.spectra.shards.content import (
    Digests,
    Gathering,
    Hashes,
    Passing,
    arrays_used,
    by_shard,
    digests_of,
    known_digests,
    read_hashes,
    remember_hashes,
)
from spectral_search.tasks.spectra.shards.data_root import DataRoot, sampled_sha256
from spectral_search.tasks.spectra.shards.shard import ARRAYS
from spectral_search.tasks.spectra.shards.split import Selection, Splits

Read = Callable[[Selection, bool], Iterator[Block]]
Fingerprint = dict[str, dict[str, Any]]

_OF_THE_FILE = ("bytes", "mtime_ns", "layout")
"""What changes when a shard is moved, touched or written again, whether or not its spectra are the same."""
_OF_THE_SPECTRA = ("spectra", "pixels", "labels")
_SAMPLE_NOTE = (
    "Run {name} was begun by an earlier version, which recorded eight spectra of each shard and no more: these are "
    "as they were, whether the others are cannot be told."
)


def parts_of(splits: Splits) -> dict[str, Selection]:
    """Train, val and, where there is one, test."""
    parts = {"train": splits.train, "val": splits.val, "test": splits.test}
    return {part: selection for part, selection in parts.items() if selection is not None}


class Reading:
    """The spectra of a run, as they pass by while it prepares.

    Args:
        splits: Which they are.
    """

    def __init__(self, splits: Splits) -> None:
        self._gatherings = {part: Gathering(selection) for part, selection in parts_of(splits).items()}

    def watched(self, read: Read) -> Read:
        """The same reader, watched: its blocks must come with hashes. Other selections than these pass unseen."""

        return lambda selection, noisy: self.watch(selection, read(selection, noisy))

    def watch(self, selection: Selection, blocks: Iterable[Passing]) -> Iterator[Passing]:
        """Passes on blocks of a selection, likewise."""
        for gathering in self._gatherings.values():
            if gathering.selection is selection:
                return gathering.watch(blocks)
        return iter(blocks)

    def know(self, selection: Selection, hashes: Hashes) -> None:
        """Take note of hashes that are known without reading; of another selection than these they are not kept."""
        for gathering in self._gatherings.values():
            if gathering.selection is selection:
                gathering.know(hashes)

    def hashes(self) -> dict[str, Hashes]:
        """By part, of each array that was read as a whole."""
        found = {part: gathering.whole() for part, gathering in self._gatherings.items()}
        return {part: hashes for part, hashes in found.items() if hashes}


def keep_content(paths: RunPaths, splits: Splits, reading: Reading) -> None:
    """Record what a run has read, before anything is made of it; where there is a record already, compare.

    The caller holds the run.

    Raises:
        RequestError: It is not what the run has read before.
    """
    read, manifest, parts = reading.hashes(), Manifest.load(paths.manifest_json), parts_of(splits)
    if "content" in manifest.data:
        _refuse(paths.name, _all_differences(_recorded(paths), parts, read))
        return
    if splits.test is not None:
        # A search reads no noisy test spectra before its end; what they are must be known from the beginning.
        there = read.setdefault("test", {})
        there |= read_hashes(splits.test, [array for array in arrays_used("test", splits.test) if array not in there])
    for part, hashes in read.items():
        remember_hashes(parts[part], hashes)
    with replacing(paths.content_npz) as temporary, open(temporary, "wb") as file:
        arrays = {f"{part}_{array}": hash_N for part, hashes in read.items() for array, hash_N in hashes.items()}
        np.savez(file, allow_pickle=False, **arrays)
    content = {part: digests_of(parts[part], hashes) for part, hashes in read.items()}
    manifest.data = {**manifest.data, "content": content}
    manifest.save(paths.manifest_json)


def _recorded(paths: RunPaths) -> dict[str, Hashes]:
    """By part; empty where the run has read nothing yet.

    Raises:
        RequestError: The record is missing or damaged.
    """
    found: dict[str, Hashes] = {}
    if "content" not in Manifest.load(paths.manifest_json).data:
        return found
    for name, hash_N in read_arrays(paths.content_npz).items():
        part, _, array = name.partition("_")
        found.setdefault(part, {})[array] = hash_N
    return found


def _all_differences(
    recorded: Mapping[str, Hashes], parts: Mapping[str, Selection], read: Mapping[str, Hashes]
) -> list[str]:
    """Of the parts and arrays that were read now and before."""
    found = []
    for part in (part for part in parts if part in recorded and part in read):
        both = recorded[part].keys() & read[part].keys()
        before, present = ({array: hashes[array] for array in both} for hashes in (recorded[part], read[part]))
        found += _differences(part, parts[part], before, present)
    return found


def _differences(part: str, selection: Selection, recorded: Hashes, present: Hashes) -> list[str]:
    """What differs, shard by shard: how many spectra, in what, and which is the first."""
    unmarked, found = {"mask": np.zeros(len(selection), np.uint64)}, []
    before, now = {**unmarked, **recorded}, {**unmarked, **present}
    for shard, rows_S, where in by_shard(selection):
        differs = {
            array: (
                before[array][where] != now[array][where]
                if array in before and array in now
                else np.ones(len(rows_S), bool)
            )
            for array in ARRAYS
            if array in before or array in now
        }
        names = [array for array, differs_S in differs.items() if differs_S.any()]
        if names:
            differs_S = np.logical_or.reduce(list(differs.values()))
            count, first = int(differs_S.sum()), int(rows_S[np.argmax(differs_S)])
            found.append(
                f"{shard.name} ({' and '.join(names)} of {count:,} of {len(rows_S):,} {part} spectra, the first in row "
                f"{first})"
            )
    return found


def _refuse(name: str, differences: list[str]) -> None:
    if differences:
        raise RequestError(
            *(f"{told} changed since run {name} began: restore the data, or start a new run." for told in differences)
        )


def require_same_data(paths: RunPaths, root: DataRoot, splits: Splits, say: Callable[[str], None]) -> Fingerprint:
    """Refuse data that are not what a run used, before anything is made of them.

    Args:
        paths: The run.
        root: The data as they are now.
        splits: Which of them the run uses.
        say: Shows a sentence.

    Returns:
        What the manifest should know of the shards from now on, so that they need not be read again.

    Raises:
        RequestError: A sentence for each shard that is not there any more or has other labels or spectra.
    """
    recorded: Fingerprint = Manifest.load(paths.manifest_json).data.get("shards", {})
    present = root.fingerprint()
    faults, touched = [], []
    for name, known in recorded.items():
        if name not in present:
            faults.append(f"{name} (it is not there any more)")
        elif "labels" not in known:
            shard = next(shard for shard in root.shards if shard.name == name)
            faults += [name] if sampled_sha256(shard) != known["sha256"] else []
        elif any(known.get(key) != present[name][key] for key in _OF_THE_SPECTRA):
            faults.append(f"{name} (labels, wavelengths or the number of spectra)")
        elif known.get("mtime_ns") is None or any(known.get(key) != present[name][key] for key in _OF_THE_FILE):
            touched.append(name)
    _refuse(paths.name, faults)
    _refuse(paths.name, _read_and_compare(_recorded(paths), splits, touched, say) if touched else [])
    if sampled(recorded):
        say(_SAMPLE_NOTE.format(name=paths.name))
    return {name: {**known, **present[name]} for name, known in recorded.items()}


def _read_and_compare(
    recorded: Mapping[str, Hashes], splits: Splits, touched: list[str], say: Callable[[str], None]
) -> list[str]:
    """What differs in shards that are not known to be unchanged."""
    found, told = [], False
    for part, selection in parts_of(splits).items():
        if part not in recorded:
            continue
        arrays = arrays_used(part, selection)
        for shard, rows_S, where in by_shard(selection):
            if shard.name not in touched:
                continue
            alone = Selection([shard], rows_S)
            before = {array: hash_N[where] for array, hash_N in recorded[part].items()}
            if known_digests(alone, arrays) == digests_of(alone, before):
                continue
            if not told:
                say(f"Moved or written again since: {', '.join(touched)}. Their spectra are read and compared.")
                told = True
            present = read_hashes(alone, arrays)
            remember_hashes(alone, present)
            found += _differences(part, alone, before, present)
    return found


def parent_note(paths: RunPaths, root: DataRoot) -> str | None:
    """What to say where a run's result is taken over to data that are not, or not surely, what it used.

    Args:
        paths: The run.
        root: The data it is taken over to.
    """
    recorded: Fingerprint = Manifest.load(paths.manifest_json).data.get("shards", {})
    present = root.fingerprint()
    if sampled(recorded):
        return f"{paths.name} was begun by an earlier version: whether its data are these cannot be told."
    other = sorted(
        name
        for name in {*recorded, *present}
        if any(recorded.get(name, {}).get(key) != present.get(name, {}).get(key) for key in _OF_THE_SPECTRA)
    )
    if other:
        return f"{paths.name} had other data ({', '.join(other)}): its best may not be the best here."
    touched = [name for name in recorded if any(recorded[name].get(key) != present[name][key] for key in _OF_THE_FILE)]
    if touched:
        return (
            f"Moved or written again since {paths.name} used them: {', '.join(touched)}. If their spectra are others, "
            "its best may not be the best here."
        )
    return None


def same_bytes(recorded: Mapping[str, str], present: Digests) -> bool:
    """Whether a selection's digests are those recorded, in all arrays that were read now."""
    arrays = {*present, *(("mask",) if "mask" in recorded else ())}
    return bool(present) and all(recorded.get(array) == present.get(array) for array in arrays)

"""Which spectra train, validate and test: stratified, by spectrum, the same for the same seed.

Shape suffixes: N spectra.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.spec.seeds import numpy_seed
from spectral_search.tasks.spectra.label_bins import STRATA_EDGES
from spectral_search.tasks.spectra.section import DataSpec
from spectral_search.tasks.spectra.shards.data_root import DataRoot, ShardInfo
from spectral_search.tasks.spectra.shards.labels import read_labels

if TYPE_CHECKING:
    import pandas as pd

_MIN_TRAIN_SPECTRA = 8
_MIN_VAL_SPECTRA = 2

# Each purpose draws from its own stream of one seed, so that the size of one choice never moves another.
_SUBSET_STREAM = 1
_HOLDOUT_STREAM = 2


@dataclass(frozen=True)
class Selection:
    """Some spectra of some shards.

    Attributes:
        shards: The shards, in order.
        rows_N: Sorted unique rows (int64), counted through all shards as if they were one table.
    """

    shards: list[ShardInfo]
    rows_N: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.rows_N)

    @classmethod
    def all_of(cls, shards: list[ShardInfo]) -> "Selection":
        """Selects every spectrum of the shards."""
        return cls(shards, np.arange(sum(shard.spectra for shard in shards), dtype=np.int64))

    @property
    def pixels(self) -> int:
        """Pixels of each spectrum."""
        return self.shards[0].pixels

    @property
    def has_noisy(self) -> bool:
        """Whether every shard carries spectra with the noise already added."""
        return all(shard.has_noisy for shard in self.shards)

    @property
    def is_compressed(self) -> bool:
        """Whether spectra of any shard have to be decompressed."""
        return any(shard.is_compressed for shard in self.shards)

    def labels(self) -> "pd.DataFrame":
        """Reads the labels of the selected spectra, one row each, index 0 to N-1."""
        return read_labels(self.shards).iloc[self.rows_N].reset_index(drop=True)

    def take(self, positions_N: np.ndarray) -> "Selection":
        """Selects part of this selection by (unsorted, unique) positions within it."""
        return Selection(self.shards, np.sort(self.rows_N[positions_N]))


@dataclass(frozen=True)
class Splits:
    """The three disjoint selections of a run.

    Attributes:
        train: Spectra to train on.
        val: Spectra that choose the winner.
        test: Spectra touched once at the end; None when the root holds none.
    """

    train: Selection
    val: Selection
    test: Selection | None

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Gives plain arrays for np.savez: `<part>_rows` (int64) and `<part>_files` (relative names)."""
        arrays: dict[str, np.ndarray] = {}
        for part, selection in (("train", self.train), ("val", self.val), ("test", self.test)):
            if selection is not None:
                arrays[f"{part}_rows"] = selection.rows_N.astype(np.int64)
                arrays[f"{part}_files"] = np.asarray([shard.name for shard in selection.shards], dtype=np.str_)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], root: DataRoot) -> "Splits":
        """Rebuilds recorded splits on a data root.

        Raises:
            RequestError: The root no longer holds the files, or a file holds fewer spectra than recorded.
        """
        shards = {shard.name: shard for shard in (*root.train, *root.val, *root.test)}

        def part(name: str) -> Selection | None:
            if f"{name}_rows" not in arrays:
                return None
            files = [str(file) for file in arrays[f"{name}_files"]]
            if missing := [file for file in files if file not in shards]:
                raise RequestError(
                    f"The recorded split uses {', '.join(missing)}, which this data root does not hold; "
                    f"give the data root of the run, which holds {', '.join(shards) or 'nothing'} now."
                )
            return _checked(Selection([shards[file] for file in files], np.asarray(arrays[f"{name}_rows"], np.int64)))

        train, val = part("train"), part("val")
        if train is None or val is None:
            raise RequestError("The recorded split lacks its train or val rows; start a new run.")
        return cls(train, val, part("test"))

    def digest(self) -> str:
        """Hashes which rows of which files are in which part (hex, 16 digits)."""
        content = hashlib.sha256()
        for name, array in sorted(self.to_arrays().items()):
            # In one byte order, and with sizes: the same on all machines, and no two splits make the same bytes.
            data = "\n".join(array).encode() if array.dtype.kind == "U" else array.astype("<i8").tobytes()
            content.update(f"{name}:{array.size}:".encode() + data)
        return content.hexdigest()[:16]


def _checked(selection: Selection) -> Selection:
    held = sum(shard.spectra for shard in selection.shards)
    # Rows are sorted, so that the last is the largest.
    if len(selection) and int(selection.rows_N[-1]) >= held:
        names = ", ".join(shard.name for shard in selection.shards)
        raise RequestError(
            f"The recorded split uses row {int(selection.rows_N[-1])} of {names}, which hold only {held} spectra now; "
            "the data has changed since, start a new run."
        )
    return selection


def strata(labels: "pd.DataFrame") -> np.ndarray:
    """Numbers the T_eff x log g x [M/H] bin of each spectrum.

    Args:
        labels: Columns T_eff (K), log_g (dex), M_H (dex); a column that is missing or NaN makes one bin of its own.

    Returns:
        int64 (N,), the bin of each spectrum.
    """
    stratum_N = np.zeros(len(labels), dtype=np.int64)
    for column, edges in STRATA_EDGES.items():
        if column not in labels:
            continue
        value_N = labels[column].to_numpy(dtype=np.float64, na_value=np.nan)
        bin_N = np.where(np.isfinite(value_N), np.digitize(value_N, edges), len(edges) + 1)
        stratum_N = stratum_N * (len(edges) + 2) + bin_N
    return stratum_N


def _stratified_order(labels: "pd.DataFrame", seed: int, stream: int) -> np.ndarray:
    """Orders all spectra so that every prefix is a stratified sample.

    The r-th of the n spectra of a bin, in random order, sits at (r + u) / n with one uniform u per bin: a prefix of
    fraction f then holds f * n spectra of each bin, rounded up or down, and rare bins need no special treatment
    because u gives their few members a fair chance. Prefixes of one order are nested by construction.
    """
    spectra = len(labels)
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((numpy_seed(seed), stream))))
    shuffle_N = generator.permutation(spectra)
    bins, stratum_N = np.unique(strata(labels)[shuffle_N], return_inverse=True)
    members_K = np.bincount(stratum_N, minlength=len(bins))
    offset_K = generator.random(len(bins))
    by_stratum_N = np.argsort(stratum_N, kind="stable")
    first_K = np.cumsum(members_K) - members_K
    rank_N = np.empty(spectra, dtype=np.int64)
    rank_N[by_stratum_N] = np.arange(spectra) - first_K[stratum_N[by_stratum_N]]
    place_N = (rank_N + offset_K[stratum_N]) / members_K[stratum_N]
    return shuffle_N[np.argsort(place_N, kind="stable")]


def stratified_subset(labels: "pd.DataFrame", size: int, seed: int) -> np.ndarray:
    """Chooses a stratified subset; for one seed a smaller subset is part of every larger one.

    Args:
        labels: Labels of N spectra, see `strata`.
        size: How many to choose, exactly.
        seed: Fixes the choice.

    Returns:
        Sorted positions, int64 (size,).

    Raises:
        RequestError: There are fewer than `size` spectra.
    """
    if size > len(labels):
        raise RequestError(f"{size} spectra were asked for but there are only {len(labels)}; ask for fewer.")
    return np.sort(_stratified_order(labels, seed, _SUBSET_STREAM)[:size])


def stratified_holdout(labels: "pd.DataFrame", fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits spectra into a part to train on and a stratified part held out.

    Args:
        labels: Labels of N spectra, see `strata`.
        fraction: Part to hold out, between 0 and 1.
        seed: Fixes the choice.

    Returns:
        Sorted positions (train, val), int64, disjoint, together all of them.

    Raises:
        RequestError: Fewer than 8 spectra would train or fewer than 2 validate.
    """
    spectra = len(labels)
    held_out = max(round(fraction * spectra), _MIN_VAL_SPECTRA)
    if spectra - held_out < _MIN_TRAIN_SPECTRA:
        raise RequestError(
            f"There are too few spectra to split: {spectra} found, of which {held_out} would be held out for val, but "
            f"training needs {_MIN_TRAIN_SPECTRA}; add spectra, a val*/dataset.h5, or lower data.val_fraction."
        )
    order_N = _stratified_order(labels, seed, _HOLDOUT_STREAM)
    return np.sort(order_N[held_out:]), np.sort(order_N[:held_out])


def make_splits(root: DataRoot, spec: DataSpec) -> Splits:
    """Splits a data root into train, val and test as the spec asks.

    Val is the root's val set, or else a stratified part of train; `num_train` and `num_val` take stratified subsets.

    Raises:
        RequestError: Too few spectra to split, or more asked for than there are, or labels of any part that cannot be
            used; all faults at once.
    """
    # Those of the test set are needed only at the end: what is wrong with them is said before the work.
    labels = read_labels([*root.train, *root.val, *root.test])
    train = Selection.all_of(root.train)
    train_labels = labels.iloc[: len(train)]
    held_out = 0
    if root.val:
        val = Selection.all_of(root.val)
        val_labels = labels.iloc[len(train) : len(train) + len(val)]
    else:
        keep_N, held_N = stratified_holdout(train_labels, spec.val_fraction, spec.split_seed)
        val, val_labels = train.take(held_N), train_labels.iloc[held_N]
        train, train_labels = train.take(keep_N), train_labels.iloc[keep_N]
        held_out = len(held_N)
    _check_sizes(spec, len(train), len(val), held_out)
    if spec.num_train is not None:
        train = train.take(stratified_subset(train_labels, spec.num_train, spec.split_seed))
    if spec.num_val is not None:
        val = val.take(stratified_subset(val_labels, spec.num_val, spec.split_seed))
    return Splits(train, val, Selection.all_of(root.test) if root.test else None)


def val_selection(root: DataRoot, spec: DataSpec) -> Selection:
    """The val part of `make_splits`, also of a root whose training shards are elsewhere.

    Raises:
        RequestError: There is neither a val set nor a training set to hold it out from, or it is too small.
    """
    if not root.val:
        return make_splits(root, spec).val
    val = Selection.all_of(root.val)
    if spec.num_val is None:
        return val
    return val.take(stratified_subset(read_labels(root.val), spec.num_val, spec.split_seed))


def _check_sizes(spec: DataSpec, train: int, val: int, held_out: int) -> None:
    faults = []
    of_train = f" ({held_out} of {train + held_out} are held out for val)" if held_out else ""
    if train < _MIN_TRAIN_SPECTRA:
        faults.append(f"Only {train} training spectra were found; training needs {_MIN_TRAIN_SPECTRA}.")
    elif spec.num_train is not None and not _MIN_TRAIN_SPECTRA <= spec.num_train <= train:
        faults.append(
            f"data.num_train asks for {spec.num_train} spectra but it must be {_MIN_TRAIN_SPECTRA} to {train}: there "
            f"are {train} training spectra{of_train}."
        )
    if val < _MIN_VAL_SPECTRA:
        faults.append(f"Only {val} val spectra were found; choosing a model needs {_MIN_VAL_SPECTRA}.")
    elif spec.num_val is not None and not _MIN_VAL_SPECTRA <= spec.num_val <= val:
        faults.append(
            f"data.num_val asks for {spec.num_val} spectra but it must be {_MIN_VAL_SPECTRA} to {val}: there are "
            f"{val} val spectra."
        )
    if faults:
        raise RequestError(*faults)

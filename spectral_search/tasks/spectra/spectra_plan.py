"""The spectra of a search: which there are, how they are split, what networks see of them, and what stays in memory.

From headers and a few spectra of each shard; neither torch nor ray is loaded.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spectral_search.errors import RequestError, gathered
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.strategy.candidate_configs import values
from spectral_search.task.data_plan import CheckNetworks, Sizes, Traits
from spectral_search.task.training import InputShape
from spectral_search.tasks.spectra.consistency.parts_check import Parts, check_parts
from spectral_search.tasks.spectra.consistency.sample_check import check_sample
from spectral_search.tasks.spectra.noise.small_val import small_val_notes
from spectral_search.tasks.spectra.noise.val_draws import val_draws
from spectral_search.tasks.spectra.report.kept_audit import audit_key, error_alone, load_audit
from spectral_search.tasks.spectra.section import LEAKY_INPUTS, SUBSPACE_INPUTS
from spectral_search.tasks.spectra.shards.content import known_digests
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.loaded_spectra import bytes_in_memory
from spectral_search.tasks.spectra.shards.split import Selection, Splits, make_splits
from spectral_search.tasks.spectra.signal.input_choice import decide_input
from spectral_search.tasks.spectra.signal.inputs_read import drawn_in, inputs, kept_bytes
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing
from spectral_search.tasks.spectra.training.residency import Room, decide_residency, reads_on_ray, tell_reader

if TYPE_CHECKING:
    from spectral_search.record.paths import RunPaths
    from spectral_search.tasks.spectra.training.spectra_preparation import SpectraPreparation

_VAL_ARRAYS = 12
"""Val arrays in the object store at most, in units of one: up to 8 draws, flux, error, noise, and room."""
_STREAM_BYTES = 512 << 20
"""Of a streamed set: a window in use, one that waits, and blocks on their way."""


@dataclass(frozen=True)
class SpectraPlan:
    """See `task.data_plan.DataPlan`.

    Attributes:
        spec: The search, its subsets, inputs and residency decided.
        root: The shards.
        splits: Which spectra train, validate and test.
        prep: Preprocessing with the subspace of the signal, where an input is made of its components.
        notes: For the user.
        mismatches: Why the shards cannot be one data set, as allowed.
    """

    spec: RunSpec
    root: DataRoot
    splits: Splits
    prep: Preprocessing | None = None
    notes: tuple[str, ...] = ()
    mismatches: tuple[str, ...] = ()

    @cached_property
    def sizes(self) -> Sizes:
        test, val = self.splits.test, len(self.splits.val)
        draws = val_draws(self.spec.data.val_draws, val)
        return Sizes(len(self.splits.train), val, None if test is None else len(test), draws)

    @cached_property
    def traits(self) -> Traits:
        kept = kept_bytes(self.spec, self.splits.train)
        streams = "pixels" in drawn_in(self.spec) and self.spec.data.residency != "resident"
        val = bytes_in_memory(self.splits.val) // 2
        return replace(
            spectra_traits(self.spec, self.root.pixels, self.sizes.train),
            kept_bytes=kept,
            window_bytes=_STREAM_BYTES * streams,
            streams_on_ray=streams and reads_on_ray(self.spec.resources, self.splits.train),
            val_bytes=val * (2 + self.sizes.val_draws),
            store_val_bytes=val * _VAL_ARRAYS,
        )

    def shape(self, config: TrialConfig) -> InputShape:
        return _planned_shape(config, self.root.pixels)

    def reader_note(self) -> str | None:
        if not self.traits.streams:
            return None
        return tell_reader(self.spec.resources, self.splits.train)

    def rows(self) -> list[tuple[str, str]]:
        sizes = self.sizes
        test = ", no test set" if sizes.test is None else f", {sizes.test:,} test"
        counted = f"{sizes.train:,} train, {sizes.val:,} val{test}, {self.root.pixels:,} pixels"
        return [("spectra", counted), ("input", self._input_text())]

    def _input_text(self) -> str:
        """What networks see, and of how many components it is made."""
        kinds = sorted(inputs(self.spec))
        made = [str(count) for count in sorted(values(self.spec, "data.input.components"), key=str)]
        return _either(kinds) + (f", {_either(made)} components" if SUBSPACE_INPUTS & set(kinds) else "")

    def document(self) -> dict[str, Any]:
        sizes = self.sizes
        counts = {"train_spectra": sizes.train, "val_spectra": sizes.val, "test_spectra": sizes.test or 0}
        return {**counts, "pixels": self.root.pixels}

    def record(self) -> dict[str, Any]:
        return {
            "shards": self.root.fingerprint(),
            "split": self.splits.digest(),
            "mismatches": list(self.mismatches),
        }

    def arrays(self) -> Mapping[str, np.ndarray]:
        return self.splits.to_arrays()

    def preparation(self, run: "RunPaths", told: Callable[[int, int], None]) -> "SpectraPreparation":
        from spectral_search.tasks.spectra.training.spectra_preparation import SpectraPreparation

        return SpectraPreparation(self, run, told)


@dataclass(frozen=True)
class FoundSpectra:
    """See `task.data_plan.FoundData`."""

    spec: RunSpec
    root: DataRoot
    splits: Splits
    parts: Parts
    notes: tuple[str, ...]
    check_networks: CheckNetworks

    def decided(self, results: Path | None) -> SpectraPlan:
        spec, prep, told = decide_input(self.spec, self.splits)
        # What stands in for the input that was asked for may be of another size.
        self.check_networks(spec, lambda config: _planned_shape(config, self.root.pixels))
        if "pixels" in drawn_in(spec):
            spec, residency = decide_residency(spec, self.splits, Room.here(spec.resources))
            told = [*told, residency]
        else:
            spec = _in_memory(spec)
        if leaky := sorted(inputs(spec) & LEAKY_INPUTS):
            told = [*told, _leak_note(leaky, results, self.root)]
        if "raw_whiten" in inputs(spec):
            told = [*told, "Input raw_whiten is known to collapse (R2 about 0); whiten is the centred one."]
        return SpectraPlan(spec, self.root, self.splits, prep, (*self.notes, *told), self.parts.mismatches)


def look_at(spec: RunSpec, root: DataRoot, explicit: Collection[str], check_networks: CheckNetworks) -> FoundSpectra:
    """Hold a search against its spectra: their number, a few of each shard, and networks against their pixels.

    Args:
        spec: The search, its inherited values filled in.
        root: Its shards.
        explicit: Keys that the user gave; a stage's own num_train is only a wish, capped by what there is.
        check_networks: Refuses networks that cannot read the spectra.

    Raises:
        RequestError: All faults at once.
    """
    spec, said = _cap_spectra(spec, root, explicit)
    faults: list[str] = []
    splits = gathered(faults, lambda: make_splits(root, spec.data))
    gathered(faults, lambda: check_networks(spec, lambda config: _planned_shape(config, root.pixels)))
    if splits is not None:
        gathered(faults, lambda: check_sample(splits))
    parts = gathered(faults, lambda: check_parts(root, spec.data)) if splits is not None else None
    if faults or splits is None or parts is None:
        raise RequestError(*faults)
    notes = *said, *parts.told, *small_val_notes(len(splits.val))
    return FoundSpectra(spec, root, splits, parts, notes, check_networks)


def _planned_shape(config: TrialConfig, pixels: int) -> InputShape:
    """What the network of a trial will read of spectra of so many pixels."""
    return InputShape.of(config.data.input, pixels)


def spectra_traits(spec: RunSpec, pixels: int, spectra: int | None = None) -> Traits:
    """What spectra are to whoever plans a search on them, their memory left out.

    Args:
        spec: The search, its residency decided.
        pixels: Of a spectrum.
        spectra: For training; None where that is not known.
    """
    return Traits(
        values=pixels,
        train=spectra,
        kept_bytes=0,
        window_bytes=0,
        streams=spec.data.residency == "stream",
        streams_on_ray=False,
        val_bytes=0,
        store_val_bytes=0,
        cheap=lambda config: config.data.input.kind == "signal",
        all_cheap="pixels" not in drawn_in(spec),
        less="set data.residency to stream, or lower data.num_train",
        examples_name="spectra",
    )


def _cap_spectra(spec: RunSpec, root: DataRoot, explicit: Collection[str]) -> tuple[RunSpec, list[str]]:
    data, notes = spec.data, []
    there = sum(shard.spectra for shard in root.train)
    val_there = sum(shard.spectra for shard in root.val)
    if not root.val:
        val_there = round(data.val_fraction * there)
        there -= val_there
    changes: dict[str, None] = {}
    for key, wanted, available in (("num_train", data.num_train, there), ("num_val", data.num_val, val_there)):
        if wanted is not None and wanted > available and f"data.{key}" not in explicit:
            changes[key] = None
            notes.append(f"{spec.stage} asks for {key} {wanted:,} and there are {available:,}: all are used.")
    return (spec.model_copy(update={"data": data.model_copy(update=changes)}) if changes else spec), notes


def _in_memory(spec: RunSpec) -> RunSpec:
    """Components always fit: a million spectra take less than 400 MB."""
    update = {"residency": "resident", "stored_as": "float32"}
    return spec.model_copy(update={"data": spec.data.model_copy(update=update)})


def _leak_note(leaky: list[str], results: Path | None, root: DataRoot) -> str:
    """Why numbers of some inputs do not compare with others, with what the audit measured on these data."""
    content = known_digests(Selection.all_of(root.shards)) if results else None
    known = load_audit(results, audit_key(root.fingerprint(), content)) if results and content else None
    measured = error_alone(known) if known else None
    how_much = (
        "on real spectra the error alone reached R2 0.99; `spectral-search audit` measures it on yours"
        if measured is None
        else f"on these data the error alone reaches R2 {measured:.4f}, as the audit measured"
    )
    return (
        f"Input {', '.join(leaky)} is leaky: the error array is computed from the noise-free flux and gives log g away "
        f"({how_much}). Its numbers do not compare with flux-only ones."
    )


def _either(names: list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last

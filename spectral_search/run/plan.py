"""What a run will do, from headers and a few spectra: nothing is started, neither torch nor ray is loaded."""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from spectral_search.errors import RequestError
from spectral_search.models.count import count_parameters
from spectral_search.models.shape import require_fit
from spectral_search.record.kept_baselines import audit_key, error_alone, load_audit
from spectral_search.run.executor_choice import Executor, choose_executor
from spectral_search.run.memory_plan import MemoryPlan, Unused, plan_memory
from spectral_search.run.retest_outlook import Afterwards
from spectral_search.spec.data import LEAKY_INPUTS
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.strategy.candidate_configs import candidates, values
from spectral_search.strategy.space_points import planned_trials
from spectral_search.tasks.spectra.consistency.parts_check import check_parts
from spectral_search.tasks.spectra.consistency.sample_check import check_sample
from spectral_search.tasks.spectra.noise.small_val import small_val_notes
from spectral_search.tasks.spectra.shards.content import known_digests
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.split import Selection, Splits, make_splits
from spectral_search.tasks.spectra.signal.input_choice import decide_input
from spectral_search.tasks.spectra.signal.inputs_read import drawn_in, inputs
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing
from spectral_search.tasks.spectra.training.residency import Room, decide_residency, tell_reader
from spectral_search.train.devices import Slots, plan_slots, visible_gpus

T = TypeVar("T")
LATE_PART = 0.5
"""Largest part of all epochs that may be trained before the first decision without a warning."""


@dataclass(frozen=True)
class Plan:
    """A resolved run.

    Attributes:
        spec: The search, every value filled in.
        root: The data.
        splits: Which spectra train, validate and test.
        slots: What the trials run on.
        executor: Which processes train them.
        notes: What the user should know, a sentence each.
        mismatches: Why the parts of the data cannot be one data set, where the spec says to go on all the same.
        memory: What trials need of it; None where nothing is known beforehand.
        prep: Preprocessing with the subspace of the signal, where an input is made of its components.
    """

    spec: RunSpec
    root: DataRoot
    splits: Splits
    slots: Slots
    executor: Executor = "separate"
    notes: tuple[str, ...] = field(default=())
    mismatches: tuple[str, ...] = field(default=())
    memory: MemoryPlan | None = None
    prep: Preprocessing | None = field(default=None, repr=False)

    @cached_property
    def trials(self) -> int:
        """Trials that the search will make."""
        return planned_trials(self.spec)

    @property
    def epochs(self) -> int:
        """Most epochs of all trials; by promotion about as many as they take."""
        epochs, search, domain = self.spec.fit.epochs, self.spec.search, self.spec.space.get("fit.epochs")
        if search.sampler == "grid":
            points = self.spec.grid_points()
            if any("fit.epochs" in point for point in points):
                return sum(point.get("fit.epochs", epochs) for point in points)
        elif domain is not None:
            return self.trials * max(domain.probes())
        return search.planned_epochs(self.trials, epochs)

    @property
    def spectra_epochs(self) -> int:
        """Most spectra x epochs."""
        return self.epochs * len(self.splits.train)

    @cached_property
    def afterwards(self) -> Afterwards:
        """What comes after the last trial."""
        lanes = 1 if self.executor == "inline" else max(1, min(len(self.slots.gpus), self.trials))
        return Afterwards.of(self.spec, self.splits, trains=self.trains_anew, lanes=lanes)

    @property
    def trains_anew(self) -> bool:
        """Whether finalists are trained with other seeds, which this machine does.

        What a cluster's GPUs trained in minutes could take its cores days.
        """
        return self.slots.address is None or bool(self.slots.gpus)

    @property
    def retest(self) -> dict[str, Any]:
        """The most that comes after the last trial, by what is known before the first."""
        search, after, longest = self.spec.search, self.afterwards, self.longest
        best = [longest] * min(search.finalists, self.trials)
        equivalent = after.equivalent_epochs(best, self.epochs)
        return {
            "finalists": len(best),
            "draws": search.retest_draws,
            "copies": sum(count for count, _ in after.copies(best, self.epochs)),
            "epochs": after.training_epochs(best, self.epochs),
            "copy_epochs": next((epochs for count, epochs in after.copies(best, self.epochs) if count), None),
            "share_of_time": round(equivalent / (equivalent + self.epochs), 3),
        }

    @property
    def longest(self) -> int:
        """Most epochs of any trial."""
        key, spec = "fit.epochs", self.spec
        if spec.search.sampler == "grid":
            return max(point.get(key, spec.fit.epochs) for point in spec.grid_points())
        return int(max(spec.space[key].probes())) if key in spec.space else spec.fit.epochs

    def parameters(self, params: dict[str, Any]) -> int:
        """Weights of the network of one proposal."""
        return network_parameters(self.spec.with_params(params), self.root.pixels)

    def document(self) -> dict[str, Any]:
        """The plan as JSON."""
        spec, test = self.spec, self.splits.test
        grid = spec.grid_points() if spec.search.sampler == "grid" else None
        return {
            "stage": spec.stage,
            "sampler": spec.search.sampler,
            "trials": self.trials,
            "epochs": spec.fit.epochs,
            "train_spectra": len(self.splits.train),
            "val_spectra": len(self.splits.val),
            "test_spectra": len(test) if test is not None else 0,
            "pixels": self.root.pixels,
            "spectra_epochs": self.spectra_epochs,
            "retest": self.retest,
            "base_parameters": self.parameters({}),
            "device": self.slots.device,
            "executor": self.executor,
            "concurrent": self.slots.concurrent or None,
            "largest_trial_bytes": self.memory.largest_bytes if self.memory else None,
            "free_bytes": self.memory.free_bytes if self.memory else None,
            "notes": list(self.notes),
            "mismatches": list(self.mismatches),
            "space": {key: domain.to_yaml() for key, domain in spec.space.items()} if grid is None else {},
            "grid": [{"params": point, "parameters": self.parameters(point)} for point in grid or []],
            "spec": spec.to_dict(),
        }


def gathered(faults: list[str], step: Callable[[], T]) -> T | None:
    """The result of a step; its faults are put to the others, so that all are told at once."""
    try:
        return step()
    except RequestError as error:
        faults += error.faults
        return None


def network_parameters(config: TrialConfig, pixels: int) -> int:
    """Weights of a trial's network for spectra of this many pixels."""
    spec = config.data.input
    return count_parameters(config.model, pixels=spec.kept_pixels(pixels), channels=spec.channels)


def make_plan(
    spec: RunSpec,
    root: DataRoot,
    explicit: Collection[str] = (),
    notes: Sequence[str] = (),
    *,
    executor: str = "auto",
    results: Path | None = None,
) -> Plan:
    """Resolve a run against the data and this machine.

    Args:
        spec: The search, its inherited values filled in.
        root: The data.
        explicit: Keys that the user gave; a stage's own num_train is only a wish, capped by what there is.
        notes: Sentences to pass on.
        executor: Which processes train the trials; auto, shared, separate or inline.
        results: The results root, where an audit of the data may lie.

    Raises:
        RequestError: Too few spectra, a network that does not fit the spectra, a GPU that is not there, all at once; or
            a network that does not fit into memory.
    """
    spec, said = _cap_spectra(spec, root, explicit)
    faults: list[str] = []
    gathered(faults, lambda: plan_slots(spec.resources))
    splits = gathered(faults, lambda: make_splits(root, spec.data))
    gathered(faults, lambda: _check_networks(spec, root.pixels))
    if splits is not None:
        gathered(faults, lambda: check_sample(splits))
    parts = gathered(faults, lambda: check_parts(root, spec.data)) if splits is not None else None
    if faults or splits is None or parts is None:
        raise RequestError(*faults)
    said += [*parts.told, *small_val_notes(len(splits.val))]
    spec, prep, told = decide_input(spec, splits)
    said += told
    _check_networks(spec, root.pixels)  # what stands in may be of another size
    if "pixels" in drawn_in(spec):
        spec, residency = decide_residency(spec, splits, Room.here(spec.resources))
        said.append(residency)
    else:
        spec = _in_memory(spec)
    chosen, slots, why, memory = decide_machine(spec, splits, executor)
    said += why
    if spec.data.residency == "stream" and chosen != "inline":
        said.append(tell_reader(spec.resources, splits.train))
    if late := late_decision(spec, planned_trials(spec)):
        said.append(late)
    if splits.test is None:
        said.append("The data root has no test set, so no test number will be reported.")
    if spec.space and spec.search.sampler != "grid" and (points := planned_trials(spec)) < spec.search.trials:
        said.append(f"The space holds {points} points, so {points} trials are made, not {spec.search.trials}.")
    if (late := _late_rung(spec)) is not None:
        said.append(late)
    leaky = sorted(inputs(spec) & LEAKY_INPUTS)
    if leaky:
        said.append(_leak_note(leaky, results, root))
    if "raw_whiten" in inputs(spec):
        said.append("Input raw_whiten is known to collapse (R2 about 0); whiten is the centred one.")
    return Plan(spec, root, splits, slots, chosen, (*notes, *said), parts.mismatches, memory, prep)


def _late_rung(spec: RunSpec) -> str | None:
    """That no trial will be stopped early, where the spec asks for it and its first rung comes too late."""
    rung, pruner = spec.search.min_epochs, spec.search.pruner
    if rung is None or pruner == "none" or rung < (epochs := max(values(spec, "fit.epochs"))):
        return None
    return (
        f"search.min_epochs ({rung:,}) is not below fit.epochs ({epochs:,}), so no trial is stopped early: lower it, "
        "or say search.pruner none."
    )


def _in_memory(spec: RunSpec) -> RunSpec:
    """Components always fit: a million spectra take less than 400 MB."""
    update = {"residency": "resident", "stored_as": "float32"}
    return spec.model_copy(update={"data": spec.data.model_copy(update=update)})


def late_decision(spec: RunSpec, trials: int) -> str | None:
    """A warning where more than half of all epochs are trained before any trial can be stopped for others."""
    search, epochs = spec.search, spec.fit.epochs
    if search.min_epochs is None or search.pruner == "none" or (search.waits and trials <= search.survivors_of(trials)):
        return None
    first = min(search.min_epochs, epochs)
    if trials == 1 or first <= LATE_PART * epochs:
        return None
    return (
        f"{trials * first} of the {trials * epochs} epochs of all trials are trained before the first decision: "
        f"search.min_epochs is {search.min_epochs} and fit.epochs {epochs}. Give a smaller one (--set "
        f"search.min_epochs={max(1, epochs // 10)}, or null for the rule's own) unless curves mislead before that."
    )


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


def decide_machine(
    spec: RunSpec, splits: Splits, asked: str, way_out: str | None = None
) -> tuple[Executor, Slots, list[str], MemoryPlan | None]:
    """Executor and slots for what there is of cores, GPUs and memory, and why.

    Raises:
        RequestError: No trial of the search fits into memory, or not all of its grid; `way_out` says what to do then.
    """
    chosen, slots, why = decide_executor(spec, splits.train.pixels, asked, len(splits.train))
    memory = plan_memory(spec, splits, chosen, slots, Unused.here(slots), way_out=way_out)
    if memory is not None and memory.concurrent < slots.concurrent:
        fewer = spec.resources.model_copy(update={"concurrent": memory.concurrent})
        fitting = spec.model_copy(update={"resources": fewer})
        chosen, slots, why = decide_executor(fitting, splits.train.pixels, asked, len(splits.train))
    return chosen, slots, [why, *(memory.notes if memory is not None else ())], memory


def decide_executor(spec: RunSpec, pixels: int, asked: str, spectra: int | None = None) -> tuple[Executor, Slots, str]:
    """Which processes train the trials, what each gets, and why.

    Unlike the residency, this is no part of the spec: it changes how a search is carried out, not what it computes.
    """
    found, trials = visible_gpus(), planned_trials(spec)
    gpus = len(found if spec.resources.gpus == "auto" else spec.resources.gpus)
    configs = candidates(spec)
    choice = choose_executor(asked, spec, configs, pixels, spectra=spectra, trials=trials, gpus=gpus)
    # A trial that is alone has the machine to itself.
    resources = spec.resources if trials > 1 else spec.resources.model_copy(update={"concurrent": 1})
    slots = plan_slots(resources, choice.executor, choice.members)
    if choice.executor == "inline" and not gpus and {config.model.kind for config in configs} - {"mlp"}:
        # All but MLPs round otherwise on another number of cores, and here the trials of a process each are to be met.
        with suppress(RequestError):  # more cores for each than there are
            slots = replace(slots, cpus_per_trial=plan_slots(resources).cpus_per_trial)
    return choice.executor, slots, choice.reason


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


def _check_networks(spec: RunSpec, pixels: int) -> None:
    """Refuse networks that cannot read the spectra, and groups of parameters that they do not have."""
    faults: dict[str, None] = {}
    by_network = {f"{c.data.input!r} {c.model!r} {c.fit.groups!r}": c for c in candidates(spec)}
    for config in by_network.values():
        given = config.data.input
        shape = {"pixels": given.kept_pixels(pixels), "channels": given.channels}
        try:
            require_fit(config.model, **shape)
            if config.fit.groups:
                from spectral_search.train.optimiser_groups import require_groups  # names of parameters are torch's

                require_groups(config, **shape)
        except RequestError as error:
            faults |= dict.fromkeys(error.faults)
    if faults:
        raise RequestError(*faults)

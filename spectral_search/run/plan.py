"""What a run will do, from headers and a few examples: nothing is started, neither torch nor ray is loaded."""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from spectral_search.errors import RequestError, gathered
from spectral_search.models.input_fit import require_fit
from spectral_search.models.parameter_count import count_parameters
from spectral_search.record.gate_verdict import gate_metric
from spectral_search.run.cluster_slots import Node, NodeMemory, share_of
from spectral_search.run.executor_choice import Executor, choose_executor
from spectral_search.run.memory_plan import MemoryPlan, Unused, plan_memory
from spectral_search.run.retest_outlook import Afterwards
from spectral_search.run.trial_memory import node_memory
from spectral_search.spec.families import family_of
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.strategy.candidate_configs import candidates, values
from spectral_search.strategy.rule import rule_of
from spectral_search.strategy.space_points import planned_trials
from spectral_search.task.data_plan import DataPlan, Traits
from spectral_search.task.registry import task_of
from spectral_search.task.training import InputShape
from spectral_search.train.devices import Slots, plan_slots, visible_gpus
from spectral_search.train.technique_faults import require_augmentations, require_techniques

_LATE_PART = 0.5
"""Largest part of all epochs that may be trained before the first decision without a warning."""


@dataclass(frozen=True)
class Plan:
    """A resolved run.

    Attributes:
        spec: The search, every value filled in.
        data: Its data.
        slots: What the trials run on.
        executor: Which processes train them.
        notes: What the user should know, a sentence each.
        memory: What trials need of it; None where nobody has looked.
    """

    spec: RunSpec
    data: DataPlan
    slots: Slots
    executor: Executor = "separate"
    notes: tuple[str, ...] = field(default=())
    memory: MemoryPlan | None = None

    @cached_property
    def trials(self) -> int:
        """Trials that the search will make."""
        return planned_trials(self.spec)

    @cached_property
    def node_memory(self) -> NodeMemory:
        """What processes that train its trials take of a node."""
        return node_memory(self.spec, self.data.traits)

    def share_of(self, nodes: Sequence[Node], left: Sequence[Node] | None = None) -> Slots:
        """What the search gets of a cluster.

        Args:
            nodes: What each node has.
            left: What others leave of each; all of it when absent.

        Raises:
            NoNodeError: No node has, or has left, enough for one trial.
        """
        return share_of(self.spec.resources, self.slots, nodes, left, self.trials, self.node_memory)

    @property
    def epochs(self) -> int:
        """Most epochs of all trials; by promotion about as many as they take."""
        return self._in_all(rule_of(self.spec).planned_epochs)

    @property
    def most_epochs(self) -> int:
        """Most epochs of all trials."""
        return self._in_all(rule_of(self.spec).most_epochs)

    def _in_all(self, by_rule: Callable[[int, int], int]) -> int:
        epochs, domain = self.spec.fit.epochs, self.spec.space.get("fit.epochs")
        if self.spec.search.exhaustive:
            points = self.spec.grid_points()
            if any("fit.epochs" in point for point in points):
                return sum(point.get("fit.epochs", epochs) for point in points)
        elif domain is not None:
            return self.trials * max(domain.probes())
        return by_rule(self.trials, epochs)

    @property
    def example_epochs(self) -> int:
        """Training examples x epochs of all trials, as `epochs`."""
        return self.epochs * self.data.sizes.train

    @cached_property
    def afterwards(self) -> Afterwards:
        """What comes after the last trial."""
        lanes = 1 if self.executor == "inline" else max(1, min(len(self.slots.gpus), self.trials))
        return Afterwards.of(self.spec, self.data.sizes, trains=self.trains_anew, lanes=lanes)

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
            "draws": task_of(self.spec.task).retest_draws(search),
            "copies": sum(count for count, _ in after.copies(best, self.epochs)),
            "epochs": after.training_epochs(best, self.epochs),
            "copy_epochs": next((epochs for count, epochs in after.copies(best, self.epochs) if count), None),
            "share_of_time": round(equivalent / (equivalent + self.epochs), 3),
        }

    @property
    def longest(self) -> int:
        """Most epochs of any trial."""
        key, spec = "fit.epochs", self.spec
        if spec.search.exhaustive:
            return max(point.get(key, spec.fit.epochs) for point in spec.grid_points())
        return int(max(spec.space[key].probes())) if key in spec.space else spec.fit.epochs

    def parameters(self, params: dict[str, Any]) -> int:
        """Weights of the network of one proposal."""
        config = self.spec.with_params(params)
        return count_parameters(config.model, **self.data.shape(config).sizes)

    def document(self) -> dict[str, Any]:
        """The plan as JSON."""
        spec = self.spec
        grid = spec.grid_points() if spec.search.exhaustive else None
        return {
            "stage": spec.stage,
            "sampler": spec.search.sampler,
            "trials": self.trials,
            "epochs": spec.fit.epochs,
            **self.data.document(),
            f"{self.data.traits.examples_name}_epochs": self.example_epochs,
            f"most_{self.data.traits.examples_name}_epochs": self.most_epochs * self.data.sizes.train,
            "retest": self.retest,
            "base_parameters": self.parameters({}),
            "device": self.slots.device,
            "executor": self.executor,
            "concurrent": self.slots.concurrent or None,
            "largest_trial_bytes": self.memory.largest_bytes if self.memory else None,
            "free_bytes": self.memory.free_bytes if self.memory else None,
            "process_bytes": self.memory.process_bytes if self.memory else None,
            "notes": list(self.notes),
            "mismatches": list(self.data.mismatches),
            "space": {key: domain.to_yaml() for key, domain in spec.space.items()} if grid is None else {},
            "grid": [{"params": point, "parameters": self.parameters(point)} for point in grid or []],
            "spec": spec.to_dict(),
        }


def make_plan(
    spec: RunSpec,
    opened: Any,
    explicit: Collection[str] = (),
    notes: Sequence[str] = (),
    *,
    executor: str = "auto",
    results: Path | None = None,
) -> Plan:
    """Resolve a run against the data and this machine.

    Args:
        spec: The search, its inherited values filled in.
        opened: The data, as the task has opened them.
        explicit: Keys that the user gave; what a stage itself asks for is only a wish, capped by what there is.
        notes: Sentences to pass on.
        executor: Which processes train the trials; auto, shared, separate or inline.
        results: The results root, where more may be known of the data.

    Raises:
        RequestError: Too few examples, a network that does not fit them, a GPU that is not there, all at once; or a
            network that does not fit into memory.
    """
    faults: list[str] = []
    gathered(faults, lambda: plan_slots(spec.resources))
    if (gate := spec.gate) is not None:
        gathered(faults, lambda: gate_metric(gate, task_of(spec.task)))
    found = gathered(faults, lambda: task_of(spec.task).look_at(spec, opened, explicit, _check_networks))
    if faults or found is None:
        raise RequestError(*faults)
    data = found.decided(results)
    spec, said = data.spec, list(data.notes)
    chosen, slots, why, memory = decide_machine(spec, data.traits, executor)
    said += why
    if chosen != "inline" and (told := data.reader_note()):
        said.append(told)
    if late := late_decision(spec, planned_trials(spec)):
        said.append(late)
    if data.sizes.test is None:
        said.append("The data root has no test set, so no test number will be reported.")
    if "search.retest_draws" in explicit and not task_of(spec.task).redraws:
        examples = data.traits.examples_name
        said.append(
            f"Nothing about the {examples} is random: a re-test predicts them once, not search.retest_draws times."
        )
    if spec.space and not spec.search.exhaustive and (points := planned_trials(spec)) < spec.search.trials:
        said.append(f"The space holds {points} points, so {points} trials are made, not {spec.search.trials}.")
    if (late := _late_rung(spec)) is not None:
        said.append(late)
    return Plan(spec, data, slots, chosen, (*notes, *said), memory)


def _late_rung(spec: RunSpec) -> str | None:
    """That no trial will be stopped early, where the spec asks for it and its first rung comes too late."""
    rung = spec.search.min_epochs
    if rung is None or not rule_of(spec).stops or rung < (epochs := max(values(spec, "fit.epochs"))):
        return None
    return (
        f"search.min_epochs ({rung:,}) is not below fit.epochs ({epochs:,}), so no trial is stopped early: lower it, "
        "or say search.pruner none."
    )


def late_decision(spec: RunSpec, trials: int) -> str | None:
    """A warning where more than half of all epochs are trained before any trial can be stopped for others."""
    search, epochs, rule = spec.search, spec.fit.epochs, rule_of(spec)
    if search.min_epochs is None or not rule.stops or (rule.waits and trials <= rule.survivors_of(trials)):
        return None
    first = min(search.min_epochs, epochs)
    if trials == 1 or first <= _LATE_PART * epochs:
        return None
    return (
        f"{trials * first} of the {trials * epochs} epochs of all trials are trained before the first decision: "
        f"search.min_epochs is {search.min_epochs} and fit.epochs {epochs}. Give a smaller one (--set "
        f"search.min_epochs={max(1, epochs // 10)}, or null for the rule's own) unless curves mislead before that."
    )


def decide_machine(
    spec: RunSpec, traits: Traits, asked: str, way_out: str | None = None
) -> tuple[Executor, Slots, list[str], MemoryPlan]:
    """Executor and slots for what there is of cores, GPUs and memory, and why.

    Raises:
        RequestError: No trial of the search fits into memory, or not all of its grid; `way_out` says what to do then.
    """
    chosen, slots, why = decide_executor(spec, traits, asked)
    memory = plan_memory(spec, traits, chosen, slots, Unused.here(slots), way_out=way_out)
    # One at a time shares no pass, so that fewer may mean another executor, and other slots in any case.
    if memory.concurrent < slots.concurrent:
        fewer = spec.resources.model_copy(update={"concurrent": memory.concurrent})
        fitting = spec.model_copy(update={"resources": fewer})
        chosen, slots, why = decide_executor(fitting, traits, asked)
    return chosen, slots, [why, *_named_gpus(spec), *memory.notes], memory


def _named_gpus(spec: RunSpec) -> list[str]:
    """That indices of GPUs have no meaning on a cluster, where a spec gives some."""
    if spec.resources.address is None or spec.resources.gpus in ("auto", []):
        return []
    told = "resources.gpus names GPUs of one machine: on a cluster those of all nodes count. --gpus none keeps to its "
    return [f"{told}CPUs, --concurrent says how many trials run at a time."]


def decide_executor(spec: RunSpec, traits: Traits, asked: str) -> tuple[Executor, Slots, str]:
    """Which processes train the trials, what each gets, and why.

    Unlike the residency, this is no part of the spec: it changes how a search is carried out, not what it computes.
    """
    found, trials = visible_gpus(), planned_trials(spec)
    gpus = len(found if spec.resources.gpus == "auto" else spec.resources.gpus)
    configs = candidates(spec)
    choice = choose_executor(asked, spec, configs, traits, trials=trials, gpus=gpus)
    # A trial that is alone has the machine to itself.
    resources = spec.resources if trials > 1 else spec.resources.model_copy(update={"concurrent": 1})
    slots = plan_slots(resources, choice.executor, choice.members)
    alone = any(family_of(config.model.kind).stack is None for config in configs)
    if choice.executor == "inline" and not gpus and alone:
        # All but stacks round otherwise on another number of cores: here they are to meet trials of a process each.
        with suppress(RequestError):  # more cores for each than there are
            slots = replace(slots, cpus_per_trial=plan_slots(resources).cpus_per_trial)
    return choice.executor, slots, choice.reason


def _check_networks(spec: RunSpec, shape_of: Callable[[TrialConfig], InputShape]) -> None:
    """Refuse networks that cannot read their inputs, groups of parameters that they do not have, and recipes that mean
    nothing to the task."""
    # A dict as a set that keeps its order: points of a grid share faults, each of which is told once.
    faults: dict[str, None] = {}
    configs, task = candidates(spec), task_of(spec.task)
    by_network = {f"{shape_of(c)} {c.model!r} {c.fit.groups!r}": c for c in configs}
    for recipe in {f"{c.model.kind} {c.fit!r}": c for c in configs}.values():
        try:
            require_techniques(recipe, task)
            require_augmentations(recipe, shape_of(recipe))
        except RequestError as error:
            faults |= dict.fromkeys(error.faults)
    for config in by_network.values():
        shape = shape_of(config)
        try:
            require_fit(config.model, **shape.sizes)
            if shape.outputs > 1 and config.fit.target != "direct":
                told = f"fit.target {config.fit.target} is for one number an example, and here {shape.outputs:,} are "
                raise RequestError(f"{told}to be predicted; use direct")
            if config.fit.groups:
                from spectral_search.train.optimiser_groups import require_groups  # names of parameters are torch's

                require_groups(config, shape)
        except RequestError as error:
            faults |= dict.fromkeys(error.faults)
    if faults:
        raise RequestError(*faults)

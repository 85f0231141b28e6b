"""A run as it was recorded: its spec, its data found to be what they were, and its plan on the machine as it is now."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spectral_search.errors import RequestError
from spectral_search.record.durable import digest, read_arrays
from spectral_search.service.fetched import fetch_roots
from spectral_search.service.plans import check_cluster
from spectral_search.service.run_options import RunOptions
from spectral_search.service.shown import Shown
from spectral_search.service.stored_runs import require_copy_place
from spectral_search.spec.run import RunSpec

if TYPE_CHECKING:
    from spectral_search.record.run_records import RunRecord
    from spectral_search.run.plan import Plan
    from spectral_search.task.data_plan import DataPlan


@dataclass(frozen=True)
class RecordedData:
    """The data of a run, found to be what they were, and what its record should say of them from now on."""

    plan: "DataPlan"
    record: dict[str, Any]


def recorded_spec(record: "RunRecord", options: RunOptions) -> RunSpec:
    """Where it runs may change, what it computes may not: these values go into the plan, not into the record."""
    return RunSpec.from_dict(record.spec).override(
        {key: value for key, value in options.overrides().items() if key not in ("search.trials", "fit.epochs")}
    )


def recorded_data(record: "RunRecord", options: RunOptions, shown: Shown) -> RecordedData:
    """The data of a run that may go on.

    Raises:
        RequestError: The spec was edited, the run could not be copied, or its data are not those that it began with.
    """
    from spectral_search.run.loggers.epoch_sink import require_loggers
    from spectral_search.task.registry import task_of
    from spectral_search.train.teacher_files import require_same_teacher

    _require_own_spec(record)
    spec = recorded_spec(record, options)
    require_loggers(spec.search.loggers)
    check_cluster(spec, options)
    require_same_teacher(spec.fit.distill)
    require_copy_place(spec, record.paths.name, record.paths)
    fetch_roots(spec.data, shown)
    task = task_of(spec.task)
    plan = task.recorded(spec, task.open(spec), read_arrays(record.paths.split_npz))
    return RecordedData(plan, task.require_same(record.paths, plan, shown.say))


def recorded_plan(record: "RunRecord", options: RunOptions, data: RecordedData) -> "Plan":
    """The plan of a run as it was recorded, on the machine as it is now."""
    from spectral_search.run.plan import Plan, decide_machine

    spec = recorded_spec(record, options)
    executor, slots, notes, memory = decide_machine(
        spec, data.plan.traits, options.executor, "resume the run where more memory is free"
    )
    return Plan(spec, data.plan, slots, executor, tuple(notes), memory=memory)


def _require_own_spec(record: "RunRecord") -> None:
    if digest(record.paths.spec_yaml) not in record.manifest.spec_sha256:
        raise RequestError(
            f"{record.paths.spec_yaml} was edited since the run began: restore it, or `run` it under another name."
        )

"""The executor without Ray: shared passes in this process, for a breakpoint, for fast tests and for single fits."""

from collections.abc import Sequence

import torch

from spectral_search.record.paths import RunPaths
from spectral_search.run.shared_pass import SharedPass
from spectral_search.run.study import Study
from spectral_search.run.trial_session import trial_course
from spectral_search.run.under_way import UnderWay
from spectral_search.spec.run import RunSpec
from spectral_search.task.training import TrainingSet
from spectral_search.train.devices import Slots
from spectral_search.train.trainer import Trainer


def run_inline(
    spec: RunSpec,
    paths: RunPaths,
    study: Study,
    dataset: TrainingSet,
    device: torch.device,
    slots: Slots,
    suspects: Sequence[int] = (),
) -> None:
    """Run a search to its end on one device, with as many trials at a time as the slots say, and no more cores.

    Trials that a process trained when it died begin with an epoch alone: if one is its death again, it is known which.
    """

    def trainer() -> Trainer:
        return Trainer(dataset, device, allow_oversize=spec.resources.allow_oversize)

    # One number for the whole process: what comes after the search is to have its threads back.
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(max(1, min(before, int(slots.cpus_per_trial))))
    try:
        shared = SharedPass(trainer, alone=suspects, under_way=UnderWay(paths.under_way("inline")))
        _run(shared, spec, paths, study, slots.concurrent)
    finally:
        torch.set_num_threads(before)


def _run(shared: SharedPass, spec: RunSpec, paths: RunPaths, study: Study, concurrent: int) -> None:
    while True:
        while len(shared.members) < concurrent and (trial := study.next_trial()) is not None:
            course = trial_course(spec, paths, trial.number, trial.params)
            shared.join(trial.number, course, trial.settled)
        if not shared.members:
            return
        steps = shared.advance()
        # Trials that reach a rung together are all recorded before the first of them is judged.
        for number, step in steps.items():
            if step.record is not None:
                study.record(number, step.record)
        for number, step in steps.items():
            if study.take(number, step):
                shared.leave(number)

"""Training finalists anew with other seeds, to see how much of a result is luck.

A copy has the configuration of a finalist and another fit.seed, so that initialisation and dropout differ, and the
order of the examples and their training noise are other ones than in the search. These all copies share, with the pass
over the data. A copy is trained for as many epochs as its original took to its best one and keeps its own best weights
by its value on val, as every trial does; where that costs too much (`search.retest_share`) it is stopped earlier, and
its value is compared with its original's by then.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from spectral_search.errors import DiskFullError
from spectral_search.record.durable import append_line
from spectral_search.record.kept_predictions import Retest
from spectral_search.record.paths import RunPaths, TrialPaths
from spectral_search.record.run_records import TrialRecord
from spectral_search.run.shared_pass import SharedPass
from spectral_search.run.trial_session import Course, Step, TrialRun
from spectral_search.spec.base import SEEDS
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.space_points import Params
from spectral_search.task.registry import task_of
from spectral_search.train.checkpoint import discard_checkpoint, read_best
from spectral_search.train.trainer import Trainer

if TYPE_CHECKING:
    from spectral_search.run.copy_progress import CopyProgress


Keep = Callable[[Retest, Callable[[Any], np.ndarray] | None], None]


@dataclass(frozen=True)
class Copy:
    """A finalist to be trained anew.

    Attributes:
        trial: Its number.
        params: Its parameters.
        seed: Replaces its own.
        epochs: For how long.
        original_value: Where that is less than its original took to its best epoch: the best it had by then.
    """

    trial: int
    params: Params
    seed: int
    epochs: int
    original_value: float | None = None

    def course(self, spec: RunSpec, paths: RunPaths) -> Course:
        """What it trains: nobody stops it, and all copies share the order of the examples and their random draws."""
        config, pass_seed = spec.with_params(self.params), (spec.fit.seed + 1) % SEEDS
        seeded = config.model_copy(update={"fit": config.fit.model_copy(update={"seed": self.seed})})
        return Course(self.trial, seeded, paths.retest(self.trial, self.seed), self.epochs, pass_seed)


def planned_copies(spec: RunSpec, finalists: Sequence[TrialRecord], epochs_trained: int) -> list[Copy]:
    """Which finalists are trained anew, best first: the winner with all its seeds, the others while the budget lasts.

    Seeds count on from that of the finalist.

    Args:
        spec: The search.
        finalists: The winner first.
        epochs_trained: Of all trials of the search together.
    """
    best_epochs, copies = [trial.best_epoch or 0 for trial in finalists], []
    for trial, (count, epochs) in zip(finalists, spec.search.copies_of(best_epochs, epochs_trained), strict=True):
        own = spec.with_params(trial.params).fit.seed
        by_then = None if epochs == trial.best_epoch else task_of(spec.task).objective.best_until(trial.values, epochs)
        copies += [
            Copy(trial.number, trial.params, (own + number) % SEEDS, epochs, by_then) for number in range(1, count + 1)
        ]
    return copies


def train_copies(
    trainer: Trainer, spec: RunSpec, paths: RunPaths, copies: Sequence[Copy], progress: "CopyProgress", keep: Keep
) -> None:
    """Train copies to their end, from their checkpoints where they have any.

    Args:
        trainer: The data of the search.
        spec: The search.
        paths: The run's folder.
        copies: To train; those of one batch size share their passes.
        progress: Where it is shown.
        keep: Told of each copy as it ends, with what predicts with its best weights; None where it failed or was
            stopped early.

    Raises:
        DiskFullError: A checkpoint could not be written.
    """

    def batch_size(copy: Copy) -> int:
        return copy.course(spec, paths).config.fit.batch_size

    progress.begin(copies)
    for _, sharing in groupby(sorted(copies, key=batch_size), key=batch_size):
        group, shared = list(sharing), SharedPass(lambda: trainer)
        for place, copy in enumerate(group):
            shared.join(place, copy.course(spec, paths))
        while shared.members:
            for place, step in shared.advance().items():
                copy, folder = group[place], paths.retest(group[place].trial, group[place].seed)
                if step.full is not None:
                    raise DiskFullError(step.full)
                if step.note is not None:
                    append_line(folder.log_txt, step.note)
                if step.record is not None:
                    progress.epoch(copy, step.record)
                if step.done:
                    told = _end(copy, step, shared.leave(place), folder, trainer, keep)
                    progress.ended(copy, told)


def _end(copy: Copy, step: Step, run: TrialRun | None, folder: TrialPaths, trainer: Trainer, keep: Keep) -> str:
    """Hand on what became of a copy; also told in words. That one failed is told alone: the run has its winner."""
    made = Retest(copy.trial, copy.seed, False, copy.epochs, 0, None, np.empty((0, 0), np.float32), step.failure)
    if run is None or step.failure is not None:
        keep(replace(made, epoch=0 if run is None else run.member.epoch), None)
        return f"failed: {step.failure}"
    member, objective = run.member, run.member.objective
    weights, best = read_best(folder)
    member.model.load_state_dict(weights)
    value, early = best[objective.val_name], copy.original_value is not None
    made = replace(made, epoch=best["epoch"], value=value, original_value=copy.original_value)
    keep(made, None if early else lambda examples: trainer.predict([member], examples)[0])
    # After `keep`: until its result is on disk, the checkpoint is all that a dead process leaves of the copy.
    discard_checkpoint(folder)
    told = f"{made.epoch} epochs to its best val {objective.label}, {objective.told(value)}"
    return f"{told}; the original by then {objective.told(copy.original_value)}" if early else told

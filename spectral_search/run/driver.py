"""The life of a run: new or resumed, from the plan to the exported winner.

Torch is imported only where it is needed, in a search on Ray while Ray starts.
"""

from __future__ import annotations

import platform
import secrets
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import psutil
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError

from spectral_search.errors import DiskFullError, RunError
from spectral_search.places import FULL, UNWRITABLE
from spectral_search.record.durable import digest, replacing, write_atomic
from spectral_search.record.live_view import LiveView
from spectral_search.record.manifest import Manifest, RunState
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord
from spectral_search.record.wording import size
from spectral_search.run.background_call import Ahead
from spectral_search.run.cluster_slots import Node
from spectral_search.run.cluster_watch import watched_cluster, watched_nodes
from spectral_search.run.killed_processes import KILLED, need_told
from spectral_search.run.loggers.fed import fed
from spectral_search.run.lone_blas import lone_blas
from spectral_search.run.plan import Plan
from spectral_search.run.run_copier import RunCopier, copied
from spectral_search.run.run_lock import Stopping
from spectral_search.run.search_progress import Progress
from spectral_search.run.study import Study
from spectral_search.run.study_storage import create_study, open_storage, storage_url
from spectral_search.run.trial_memory import EstimatedMemory
from spectral_search.run.under_way import RETRIES, asked_to_end, forget, found_dead
from spectral_search.task.preparation import Preparation, Prepared
from spectral_search.task.registry import task_of
from spectral_search.train.devices import Slots, cpu_count, visible_gpus
from spectral_search.train.teacher_files import require_known_data

if TYPE_CHECKING:
    import torch

_StudyKind = TypeVar("_StudyKind", bound=Study)

_PACKAGES = ("spectral-search", "torch", "ray", "optuna", "numpy", "h5py", "scikit-learn", "lightgbm")
_BRINGS_TORCH = "spectral_search.run.choose_winner"
"""What the driver needs next when Ray has started."""
STREAM_STORE_BYTES = 1 << 30
"""Room for blocks in flight when processes of Ray Data stream the training examples."""


@dataclass(frozen=True)
class Surroundings:
    """How a run is carried out, as opposed to what it computes.

    Attributes:
        dashboard: Whether a local Ray gets its dashboard.
        view: Where progress is shown.
        say: Shows one sentence.
        left: What of each node of a joined cluster it may use; all when absent.
        stranded: Told, from a thread, what a trial asks for when no node of a joined cluster has it any more, and None
            when one has it again.
    """

    dashboard: bool
    view: LiveView
    say: Callable[[str], None]
    left: Sequence[Node] | None = None
    stranded: Callable[[str | None], None] = lambda asked: None


def begin(plan: Plan, paths: RunPaths, command: Sequence[str]) -> None:
    """Make a new run's folder and its records, all at once.

    Raises:
        RequestError: The name is taken or the folder cannot be written.
    """
    with paths.appearing() as hidden:
        write_atomic(hidden.spec_yaml, plan.spec.to_yaml())
        with replacing(hidden.split_npz) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, **plan.data.arrays())
        manifest = Manifest(
            name=paths.name,
            stage=plan.spec.stage,
            task=plan.spec.task,
            # A shared database may hold a study of the same name from another results folder.
            study_name=paths.name if plan.spec.search.storage is None else f"{paths.name}-{secrets.token_hex(4)}",
            storage=plan.spec.search.storage,
            versions=_versions(),
            seed=plan.spec.search.seed,
            hardware=_hardware(plan.slots),
            data=plan.data.record(),
            spec_sha256=[digest(hidden.spec_yaml)],
            planned_trials=plan.trials,
        )
        manifest.claim(command=list(command))
        manifest.save(hidden.manifest_json)
        if manifest.storage is None:
            # Its tables are made one by one: a run whose process died in between would have half a database.
            create_study(hidden.study_url, manifest.study_name, [task_of(plan.spec.task).objective])


def carry_out(plan: Plan, paths: RunPaths, around: Surroundings) -> RunRecord:
    """Run the trials that are left, then choose, re-test and export; interrupted, the state is kept.

    The caller holds the run (see `run_lock`).

    Raises:
        KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP came; everything so far is on disk.
        RunError: The disk is full; everything so far is on it.
        RequestError: The data cannot be used.
    """
    paths.sweep()
    started, earlier = time.monotonic(), Manifest.load(paths.manifest_json).wall_seconds
    stopping = Stopping(
        f"Stopped at once; everything recorded is kept. Go on with: spectral-search resume {paths.name}"
    )
    state: RunState = "failed"
    with copied(plan.spec.resources, paths, around.say) as copier:
        try:
            with stopping.listening(), around.view, told_plainly(paths):
                found = _search(plan, paths, around, stopping, copier)
            state = "finished" if found else "failed"
        except (KeyboardInterrupt, RunError):  # also when nobody reads the output any more
            state = "interrupted"
            raise
        finally:
            # A process that gets here did not die, so what its trials left under way must not count against them.
            forget(paths)
            _release(paths, state, earlier + time.monotonic() - started)
    return RunRecord.load(paths)


def _release(paths: RunPaths, state: RunState, wall_seconds: float) -> None:
    try:
        # Loaded anew, since winner, re-test and dashboard were entered meanwhile.
        manifest = Manifest.load(paths.manifest_json)
        manifest.release(state, wall_seconds)
        manifest.save(paths.manifest_json)
    except OSError:
        # On a full disk. That this process is gone will tell as much as the manifest would have.
        if state == "finished":
            raise


@contextmanager
def told_plainly(paths: RunPaths) -> Iterator[None]:
    """Turn what a full disk or a lost database raises into one sentence."""
    kept = f"Everything recorded is kept; then go on with `spectral-search resume {paths.name}`."
    if not paths.exists():
        kept = "No run was begun."
    try:
        yield
    except DiskFullError as error:
        raise RunError(f"The disk that holds {paths.folder} is full ({error}): free some space. {kept}") from error
    except OSError as error:
        if error.errno in FULL:
            raise RunError(f"The disk that holds {paths.folder} is full ({error}): free some space. {kept}") from error
        # Of what else cannot be opened, such as examples, this knows nothing.
        if error.errno not in UNWRITABLE or not Path(error.filename or "").is_relative_to(paths.folder):
            raise
        raise RunError(f"The folder {paths.folder} can no longer be written ({error}). {kept}") from error
    except (StorageInternalError, OperationalError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        reason = str(getattr(cause, "orig", None) or error).splitlines()[0]
        raise RunError(
            f"The study of run {paths.name} cannot be written ({reason}): is the disk full, or its database out of "
            f"reach? {kept}"
        ) from error


def _search(plan: Plan, paths: RunPaths, around: Surroundings, stopping: Stopping, copier: RunCopier | None) -> bool:
    with ExitStack() as afterwards, opened_study(plan, paths, around, Study) as (study, progress):
        if copier is not None:
            copier.still = study.still
        # The mark keeps trials from being blamed where a second signal has everything killed at once.
        stopping.on_stop += [lambda: study.halt(KeyboardInterrupt()), lambda: asked_to_end(paths)]
        suspects = _mourned(plan, paths, around, study)
        prepared = _search_trials(plan, paths, around, study, stopping, afterwards, suspects)
        # A library may have swallowed the signal: the test set is not touched by a run that was asked to stop.
        stopping.check()
        _told_early_end(study, paths, around)
        return finish(plan, paths, around, prepared, progress)


def finish(plan: Plan, paths: RunPaths, around: Surroundings, prepared: Prepared, progress: Progress) -> bool:
    """Choose, re-test and export the winner of a search whose trials are over; whether there is one."""
    spec = plan.spec
    from spectral_search.run.choose_winner import finish_run
    from spectral_search.run.copy_progress import CopyProgress

    device = device_of(plan)
    reseed = plan.trains_anew
    if not reseed and spec.search.retest_seeds > 1:
        command = f"train {shlex.quote(str(paths.best_dir))} --seeds {spec.search.retest_seeds} --address ..."
        around.say(
            "The finalists are not trained with other seeds, since this machine has no GPU: "
            f"`spectral-search {command}` does it there."
        )
    shown = CopyProgress(paths.name, around.view, progress.snapshot)
    found = finish_run(spec, paths, prepared, device, shown, reseed=reseed)
    shown.end()
    return found


def _told_early_end(study: Study, paths: RunPaths, around: Surroundings) -> None:
    """Say why a search ends before its last trial.

    Raises:
        RunError: All of its trials failed of one cause, so that more of them would show nothing else.
    """
    made, planned = len(study.history.trials), study.planned
    if study.stuck is not None:
        raise RunError(
            f"The search stopped after {made} of {planned} trials: nothing trains, {len(study.stuck.trials)} of them "
            f"failed of one cause ({study.stuck.cause}). Mend it, then: spectral-search retry {paths.name}. Everything "
            "recorded is kept; to go on regardless, begin it with --set search.pause_after=0."
        )
    if made < planned:
        left = "what is left of the space is paused" if study.paused else "the space holds no more points"
        around.say(f"The search ends with {made} of {planned} trials: {left}.")


def _mourned(plan: Plan, paths: RunPaths, around: Surroundings, study: Study) -> list[int]:
    """Tell of what an earlier session died of; the trials that it trained then, which are now to show alone which."""
    suspects, traits = found_dead(paths), plan.data.traits
    told = {trial.number: trial.params for trial in study.history.trials if trial.number in suspects}
    for number, params in told.items():
        config = plan.spec.with_params(params)
        need = need_told(config, traits.values, plan.data.sizes.train, gpu=bool(plan.slots.gpus))
        if sentence := study.mourn(number, f"{KILLED}. {need}.", RETRIES):
            around.say(sentence)
    return suspects


def device_of(plan: Plan) -> torch.device:
    """This process's: also after a search on Ray, whose trials have left the GPU, for one precision throughout."""
    import torch

    # torch counts from 0 what CUDA_VISIBLE_DEVICES leaves, in its order, and not as the driver does.
    return torch.device("cuda", visible_gpus().index(plan.slots.gpus[0])) if plan.slots.gpus else torch.device("cpu")


def _search_trials(
    plan: Plan,
    paths: RunPaths,
    around: Surroundings,
    study: Study,
    stopping: Stopping,
    afterwards: ExitStack,
    suspects: Sequence[int],
) -> Prepared:
    # A run that died after its last trial needs no Ray to go on: the inline executor then finds nothing to train.
    if plan.executor != "inline" and not study.over:
        return _search_on_ray(plan, paths, around, study, stopping, afterwards)
    from spectral_search.run.inline_executor import run_inline

    prepared = prepared_here(plan, paths, around)
    run_inline(plan.spec, paths, study, prepared.dataset, device_of(plan), plan.slots, suspects)
    return prepared


def _search_on_ray(
    plan: Plan, paths: RunPaths, around: Surroundings, study: Study, stopping: Stopping, afterwards: ExitStack
) -> Prepared:
    # Ray takes a second to import, which an inline run need not pay.
    from spectral_search.run.ray_session import living_nodes, ray_session

    # Made once, and where it is first needed: it brings torch, which is to be imported while Ray starts.
    preparation = cache(lambda: _preparation(plan, paths, around))
    ahead = Ahead(lambda abandoned: _prepared_ahead(preparation, abandoned))
    session = ray_session(
        plan.spec.resources,
        plan.slots,
        data_bytes=_data_bytes(plan),
        dashboard=around.dashboard,
        left=around.left,
        share=plan.share_of,
        meanwhile=ahead.begin,
        check=stopping.check,
        afterwards=afterwards,
    )
    stopping.listen_later()
    with ahead, session as ray:
        # Of two threads that import torch at a time each may find half of it: this one waits for the other.
        import_module(_BRINGS_TORCH)
        from spectral_search.run.ray_executor import run_separate, run_shared, start_passes

        passes = start_passes(ray.slots) if plan.executor == "shared" else []
        stopping.listen()
        if ray.told is not None:
            around.say(f"{ray.told} {_told_of_memory(plan, ray.slots)}")
        if ray.dashboard_url:
            _tell_dashboard(f"http://{ray.dashboard_url}", paths, around)
        made = ahead.result() or preparation().prepare(on_ray=True)
        prepared = _kept(plan, paths, preparation(), made, around)
        living = None if ray.head is None else living_nodes
        with (
            watched_cluster(ray.head, partial(_tell_silence, paths, around)),
            watched_nodes(living, ray.slots, around.say, around.stranded),
        ):
            if plan.executor == "shared":
                run_shared(passes, plan.spec, paths, study, prepared.dataset, ray.slots)
            else:
                run_separate(plan.spec, paths, study, prepared.dataset, ray.slots)
    return prepared


def _tell_silence(paths: RunPaths, around: Surroundings) -> None:
    around.say(
        "The Ray cluster does not answer any more. If it does not come back within a minute, Ray ends this process; "
        f"everything recorded is kept. Go on on another cluster, or with --address none on this machine: "
        f"spectral-search resume {paths.name} --address ..."
    )


def _told_of_memory(plan: Plan, slots: Slots) -> str:
    """What each node of a cluster takes of the data, and a trial of memory, for people."""
    gpu = slots.gpus_per_trial > 0
    largest = EstimatedMemory(plan.spec, plan.data.traits).largest(gpu=gpu).footprint.peak
    data = (
        f"Of the data {size(_data_bytes(plan))} are held once on each node" if _data_bytes(plan) else "No data are held"
    )
    told = f"{data}; the largest network takes about {size(largest)} to train."
    if slots.memory_bytes < plan.node_memory.most(gpu=gpu):
        told += " That is more than any node has: a trial of such a network fails before it allocates."
    return told


def _tell_dashboard(address: str, paths: RunPaths, around: Surroundings) -> None:
    """Say where Ray's dashboard is, here and in the run's record, from which the live page has it."""
    around.say(f"Ray dashboard: {address}")
    manifest = Manifest.load(paths.manifest_json)
    manifest.ray_dashboard = address
    manifest.save(paths.manifest_json)


def prepared_here(plan: Plan, paths: RunPaths, around: Surroundings) -> Prepared:
    """The data, in this process."""
    preparation = _preparation(plan, paths, around)
    return _kept(plan, paths, preparation, preparation.prepare(), around)


def _preparation(plan: Plan, paths: RunPaths, around: Surroundings) -> Preparation:
    return plan.data.preparation(paths, around.view.step("compressing", plan.data.traits.examples_name))


def _kept(plan: Plan, paths: RunPaths, preparation: Preparation, made: Prepared, around: Surroundings) -> Prepared:
    """What was prepared, its statistics on disk and known to the teacher, where there is one."""
    prepared = preparation.keep(made, around.say)
    require_known_data(plan.spec.fit.distill, paths.preprocessing_safetensors)
    return prepared


def _prepared_ahead(preparation: Callable[[], Preparation], abandoned: Event) -> Prepared | None:
    """The dataset, while Ray's processes start; None where it has to wait for these."""
    import_module(_BRINGS_TORCH)
    if not preparation().goes_ahead:
        return None
    with lone_blas():  # Ray's start forks
        return preparation().prepare(abandoned=abandoned)


@contextmanager
def opened_study(
    plan: Plan, paths: RunPaths, around: Surroundings, kind: type[_StudyKind]
) -> Iterator[tuple[_StudyKind, Progress]]:
    """The study of a run, shown as it goes on."""
    manifest = Manifest.load(paths.manifest_json)
    with open_storage(storage_url(manifest, paths)) as storage:
        study = kind(plan.spec, paths, storage, manifest.study_name)
        progress = Progress(plan.spec, paths.name, study, around.view, plan.afterwards)
        study.on_pause = progress.pause
        with fed(plan.spec, paths, study, progress, around.say) as study.listener:
            yield study, progress


def _data_bytes(plan: Plan) -> int:
    """What the trials share through the object store, or what Ray Data has in flight when it streams."""
    traits = plan.data.traits
    return traits.kept_bytes + STREAM_STORE_BYTES * traits.streams_on_ray + traits.store_val_bytes


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _hardware(slots: Slots) -> dict[str, Any]:
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpus": len(slots.gpus),
    }

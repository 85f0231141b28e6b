"""Where everything of a run lies: every path in one class."""

import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from spectral_search.errors import RequestError
from spectral_search.places import FULL, UNWRITABLE, given_path, require_own, require_text, sync_folder, try_folder

_DEFAULT_ROOT = "ray_results"
_ROOT_VARIABLE = "SPECTRAL_SEARCH_RESULTS"
# A leading dash would read as an option, a leading dot would hide the folder or climb out of the results root.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
# Well within the 255 bytes of a file name, so that names made of it, such as those of `appearing`, fit too.
_NAME_LENGTH = 120
_BASELINES = "baselines"
"""Folder of the baselines in the results root; no run may have its name."""


class NameTakenError(RequestError):
    """Something has the name of a run already."""


def results_root(option: str | Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder that holds all runs: the option, else the environment, else ./ray_results. Need not exist.

    Raises:
        RequestError: Its path is empty, or no text.
    """
    named = option if option is not None else environ.get(_ROOT_VARIABLE) or _DEFAULT_ROOT
    root = given_path(named, "--results")
    require_text(root.absolute())
    return root


def check_name(name: str) -> str:
    """Return the run name if it is one.

    Raises:
        RequestError: It holds other characters than letters, digits, - _ . or is too long, or starts with - or a dot.
    """
    if len(name) > _NAME_LENGTH:
        raise RequestError(f"The run name is {len(name)} characters long; use at most {_NAME_LENGTH}.")
    if not _NAME.fullmatch(name):
        raise RequestError(
            f"{name!r} cannot name a run; use letters, digits, '-', '_' and '.', starting with a letter, digit or '_'."
        )
    if name == _BASELINES:
        raise RequestError(f"{name!r} is where baselines lie; choose another name with `--name`.")
    return name


def next_free_name(root: Path, stage: str) -> str:
    """The first of `stage`, `stage-2`, `stage-3`, ... that is not taken in the results root."""
    check_name(stage)
    names = (stage if number == 1 else f"{stage}-{number}" for number in count(1))
    # Not `exists`: a dangling link takes a name as well.
    return next(name for name in names if not os.path.lexists(root / name))


@dataclass(frozen=True)
class TrialPaths:
    """Every path of one trial."""

    folder: Path

    @property
    def params_yaml(self) -> Path:
        """The searched parameters, dotted path to value."""
        return self.folder / "params.yaml"

    @property
    def progress_jsonl(self) -> Path:
        """One JSON line an epoch."""
        return self.folder / "progress.jsonl"

    @property
    def log_txt(self) -> Path:
        """What went wrong in full, if anything did."""
        return self.folder / "log.txt"

    @property
    def owner(self) -> Path:
        """Locked by the process that trains the trial, where several work on a run together."""
        return self.folder / "owner"

    @property
    def checkpoint_dir(self) -> Path:
        """Everything needed to go on from the last epoch, and the best epoch."""
        return self.folder / "checkpoint"

    @property
    def last_safetensors(self) -> Path:
        """Everything to go on from the last epoch that was saved."""
        return self.checkpoint_dir / "last.safetensors"

    @property
    def best_safetensors(self) -> Path:
        """Weights of the best epoch, its record in the header."""
        return self.checkpoint_dir / "best.safetensors"

    @property
    def retest_safetensors(self) -> Path:
        """What a finalist predicts in a re-test, in its folder there."""
        return self.folder / "retest.safetensors"

    @property
    def preprocessing_safetensors(self) -> Path:
        """Statistics that hold for this trial alone; where absent, the run's hold."""
        return self.checkpoint_dir / "preprocessing.safetensors"

    def create(self) -> "TrialPaths":
        """Make the trial's folders; existing ones are kept, because a resumed trial goes on in its own folder."""
        _make_folders(self.checkpoint_dir)
        return self


@dataclass(frozen=True)
class RunPaths:
    """Every path of one run.

    Args:
        root: The results root.
        name: The run's name, which is its folder in the root.
        reserved: Whether the folder of a submitted job, whose run has not begun, is where the run is to begin.

    Raises:
        RequestError: The name cannot name a run.
    """

    root: Path
    name: str
    reserved: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def folder(self) -> Path:
        """The run's own folder."""
        return self.root / self.name

    @property
    def spec_yaml(self) -> Path:
        """The resolved spec."""
        return self.folder / "spec.yaml"

    @property
    def manifest_json(self) -> Path:
        """Versions, seed, hardware, data fingerprint, command, process and state."""
        return self.folder / "manifest.json"

    @property
    def study_db(self) -> Path:
        """The Optuna study, unless the spec names another database."""
        return self.folder / "study.db"

    @property
    def study_url(self) -> str:
        """The study's storage URL, valid wherever the folder lies now."""
        # Here, since the engine behind it takes a while to import.
        from spectral_search.record.database import sqlite_url

        return sqlite_url(self.study_db)

    @property
    def log_txt(self) -> Path:
        """What the search itself had to say."""
        return self.folder / "log.txt"

    @property
    def lock(self) -> Path:
        """Locked by the process that works on the run."""
        return self.folder / "lock"

    @property
    def study_lock(self) -> Path:
        """Locked by one of several processes that work on the run together, while it looks or writes."""
        return self.folder / "study.lock"

    @property
    def finish_lock(self) -> Path:
        """Locked by the one of them that re-tests the finalists."""
        return self.folder / "finish.lock"

    @property
    def joiners_dir(self) -> Path:
        """A file of each process that works on the run together with others."""
        return self.folder / "joiners"

    @property
    def preprocessing_safetensors(self) -> Path:
        """Statistics of the inputs, shared by all trials of the run."""
        return self.folder / "preprocessing.safetensors"

    @property
    def split_npz(self) -> Path:
        """Which examples train, validate and test."""
        return self.folder / "split.npz"

    @property
    def content_npz(self) -> Path:
        """A hash of each example that the run has read, by part and array."""
        return self.folder / "content.npz"

    def logging(self, kind: str) -> Path:
        """What one logger keeps."""
        return self.folder / "logging" / kind

    @property
    def copied_json(self) -> Path:
        """By place, the last session of copying that this folder knows of."""
        return self.folder / "copied.json"

    @property
    def copying_dir(self) -> Path:
        """What is being copied to an object store, as it was at one moment."""
        return self.folder / "copying"

    def copied_files(self) -> Iterator[Path]:
        """What a copy elsewhere needs: all files but those that say what processes of this machine do."""
        own = {self.copying_dir, self.joiners_dir, self.under_way_dir, self.job_dir}
        here_alone = {self.lock, self.study_lock, self.finish_lock, self.copied_json}
        for folder, folders, names in os.walk(self.folder):
            here = Path(folder)
            folders[:] = [name for name in folders if here / name not in own]
            # Backwards, so that of a checkpoint the last epoch comes before the best, which is written first.
            for path in (here / name for name in sorted(names, reverse=True)):
                is_half = path.name.startswith(".") and path.name.endswith(".tmp")
                if not (is_half or path in here_alone or path.is_symlink() or path.name == TrialPaths(here).owner.name):
                    yield path

    @property
    def paused_jsonl(self) -> Path:
        """Parts of the space that get no more trials, a line each."""
        return self.folder / "paused.jsonl"

    @property
    def trials_dir(self) -> Path:
        """The folder of the trials."""
        return self.folder / "trials"

    def trial(self, number: int) -> TrialPaths:
        """The paths of one trial by its number in the study."""
        return TrialPaths(self.trials_dir / f"{number:04d}")

    @property
    def retest_dir(self) -> Path:
        """The folder of the finalists' re-tests."""
        return self.folder / "retest"

    def retest(self, trial: int, seed: int) -> TrialPaths:
        """The paths of a finalist's re-test: one of its own seed, and one of each that it is trained anew with."""
        return TrialPaths(self.retest_dir / f"{trial:04d}_seed{seed}")

    @property
    def under_way_dir(self) -> Path:
        """What each process that trains is at, while it is."""
        return self.folder / "under_way"

    def under_way(self, process: str) -> Path:
        """Which trials one process is training."""
        return self.under_way_dir / f"{process}.json"

    @property
    def predictions_dir(self) -> Path:
        """The folder of tables of predictions and of labels that belong to predictions."""
        return self.folder / "predictions"

    def test_predictions(self, trial: int, epoch: int) -> Path:
        """What a trial's epoch predicted for the test set."""
        return self.predictions_dir / f"test_trial{trial:04d}_epoch{epoch:04d}.parquet"

    @property
    def val_labels(self) -> Path:
        """Labels of the val set, in the order of the re-tests' predictions."""
        return self.predictions_dir / "val_labels.parquet"

    @property
    def best_dir(self) -> Path:
        """The exported winner: a bundle folder."""
        return self.folder / "best"

    def seed_model(self, seed: int) -> Path:
        """The exported model of one seed, where a run trains one config with several."""
        return self.folder / "seeds" / f"seed{seed}.yaml"

    @property
    def job_dir(self) -> Path:
        """What is known of the run as a job of a cluster; there before the run itself is."""
        return self.folder / "job"

    @property
    def job_json(self) -> Path:
        """Who submitted it, when, where to, and what became of it."""
        return self.job_dir / "job.json"

    @property
    def job_spec(self) -> Path:
        """The spec as it was submitted."""
        return self.job_dir / "spec.yaml"

    @property
    def job_log(self) -> Path:
        """All that the job's own process has said."""
        return self.job_dir / "log.txt"

    @property
    def job_lock(self) -> Path:
        """Locked by the job's process."""
        return self.job_dir / "lock"

    @property
    def job_alive(self) -> Path:
        """Touched every few seconds by the job's process."""
        return self.job_dir / "alive"

    @property
    def job_stop(self) -> Path:
        """There when somebody asked the job's process to stop."""
        return self.job_dir / "stop"

    def exists(self) -> bool:
        """Whether a run of this name was begun here."""
        return self.manifest_json.is_file()

    def require(self) -> "RunPaths":
        """Return self if the run exists.

        Raises:
            RequestError: There is no such run; names the runs that there are.
        """
        if self.exists():
            return self
        if self.is_queued():
            raise RequestError(
                f"The run of job {self.name} has not begun: `spectral-search jobs` says why, `logs {self.name}` what "
                "its process said."
            )
        known = run_names(self.root)
        if not known:
            raise RequestError(f"No run {self.name!r} in {self.root}, which holds none: give --results DIR.")
        there = f"{', '.join(known[:8])}{', ...' if len(known) > 8 else ''}"
        raise RequestError(
            f"No run {self.name!r} in {self.root}; it holds {there}. Choose one of these or give --results DIR."
        )

    def create(self) -> "RunPaths":
        """Make the folder of a new run.

        Raises:
            NameTakenError: The name is taken.
            RequestError: The folder cannot be written.
        """
        _make_folders(self.root)
        try:
            # An existing folder is a fault here, so that of two processes that want a name only one gets it.
            self.folder.mkdir()
        except FileExistsError:
            raise NameTakenError(self._taken()) from None
        except OSError as fault:
            raise RequestError(_unwritable(self.root, fault)) from None
        _make_folders(self.trials_dir)
        sync_folder(self.root)
        return self

    def reserve(self) -> "RunPaths":
        """Make the folder of a job, whose run begins later; where a run is to be gone on with, only the job's part.

        Raises:
            FileExistsError: The name is taken.
            RequestError: The folder cannot be written.
        """
        _make_folders(self.root)
        try:
            if not self.exists():
                self.folder.mkdir()
            self.job_dir.mkdir()
        except FileExistsError:
            raise
        except OSError as fault:
            raise RequestError(_unwritable(self.root, fault)) from None
        return self

    def remove_job(self) -> None:
        """Remove what `reserve` made, and all that is known of the job."""
        shutil.rmtree(self.job_dir, ignore_errors=True)
        with suppress(OSError):
            # Takes an empty folder only, so that a run that has begun in it stays.
            self.folder.rmdir()

    def require_own(self) -> None:
        """Refuse to go on with a run, or a job, where others may have put what says how; see `places.require_own`.

        Raises:
            RequestError: Others may write there.
        """
        for path in (self.folder, self.job_dir, self.spec_yaml, self.manifest_json, self.job_json, self.job_spec):
            require_own(path)

    def require_unused(self) -> None:
        """Refuse a name that is taken; writes nothing, not even for a moment.

        Raises:
            NameTakenError: It is.
        """
        if os.path.lexists(self.folder) and not self._is_mine():
            raise NameTakenError(self._taken())

    def is_queued(self) -> bool:
        """Whether the folder is that of a submitted job whose run has not begun."""
        return self.job_json.is_file() and not self.exists()

    def _is_mine(self) -> bool:
        return self.reserved and self.is_queued()

    def require_free(self) -> None:
        """Refuse early what `create` would refuse later; what is written to try it is gone at once.

        Raises:
            NameTakenError: The name is taken.
            RequestError: The folder cannot be written.
        """
        self.require_unused()
        _require_root(self.root)

    def require_writable(self) -> None:
        """Refuse to go on with a run whose folder takes no more files.

        Raises:
            RequestError: It does not.
        """
        for folder in (self.folder, self.trials_dir):
            with self.going_on():
                try_folder(folder)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Tell in a sentence that a run cannot go on, since what the block writes in its folder cannot be written.

        Raises:
            RequestError: The system said so.
        """
        try:
            yield
        except OSError as fault:
            raise RequestError(
                f"The folder {self.folder} cannot be written ({fault.strerror}), so run {self.name} cannot go on: "
                f"`status {self.name}` shows it as it is."
            ) from None

    @contextmanager
    def appearing(self) -> Iterator["RunPaths"]:
        """Yield a folder out of sight to write a new run into; on a clean exit it becomes the run's folder as a whole.

        Raises:
            NameTakenError: The name is taken; also where another process was faster.
            RequestError: The folder cannot be written.
        """
        self.require_free()
        # No run's name begins with a dot, so `run_names` passes over what a killed process leaves of this.
        hidden = self.root / f".{self.name}.{secrets.token_hex(4)}.tmp"
        try:
            yield RunPaths(hidden, self.name).create()
            self._appear(hidden / self.name)
        except OSError as fault:
            if os.path.lexists(self.folder) and not self._is_mine():  # somebody else was faster
                raise NameTakenError(self._taken()) from None
            if fault.errno in UNWRITABLE and fault.errno not in FULL:
                raise RequestError(_unwritable(self.root, fault)) from None
            raise
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
        sync_folder(self.root)

    def _appear(self, whole: Path) -> None:
        """Put a folder in the place of the run's; that of a submitted job is filled, the manifest last."""
        if not self._is_mine():
            # Fails where a run lies there by now: a rename replaces no folder that holds something.
            os.rename(whole, self.folder)
            return
        # A run exists from its manifest on: until then readers see a queued job, and one that dies here leaves that.
        for path in sorted(whole.iterdir(), key=lambda path: path.name == self.manifest_json.name):
            if path.name == self.trials_dir.name:  # empty, as whatever a process left that died in here
                shutil.rmtree(self.trials_dir, ignore_errors=True)
            os.replace(path, self.folder / path.name)
        sync_folder(self.folder)

    def remove_run(self) -> None:
        """Remove a run; what is known of it as a job stays."""
        self.manifest_json.unlink(missing_ok=True)  # without it there is no run, whatever else is left
        if not self.job_dir.is_dir():
            shutil.rmtree(self.folder)
            return
        for path in self.folder.iterdir():
            if path.is_dir() and path != self.job_dir:
                shutil.rmtree(path)
            elif not path.is_dir():
                path.unlink()

    def bytes_on_disk(self) -> int:
        """What the run's files hold together."""
        total = 0
        for folder, _, files in os.walk(self.folder):
            for name in files:
                with suppress(OSError):  # a file may go while a search runs
                    # What a link points to is not the run's own.
                    total += os.lstat(os.path.join(folder, name)).st_size
        return total

    def sweep(self) -> None:
        """Remove what a writer that was killed left half-written. Only for the process that holds the run."""
        shutil.rmtree(self.copying_dir, ignore_errors=True)
        trials = [*self.trials_dir.glob("*"), *self.retest_dir.glob("*")]
        folders = [
            self.folder,
            self.best_dir,
            self.predictions_dir,
            # Any seed would do: all of them lie in this folder.
            self.seed_model(0).parent,
            *trials,
            *(t / "checkpoint" for t in trials),
        ]
        for leftover in (file for folder in folders for file in folder.glob(".*.tmp")):
            leftover.unlink(missing_ok=True)

    def _taken(self) -> str:
        if self.exists():
            return (
                f"A run named {self.name!r} is already in {self.root}; "
                f"continue it with `resume {self.name}` or choose another name with `--name`."
            )
        if self.is_queued():
            return f"A submitted job has the name {self.name!r} already; choose another with `--name`."
        return f"{self.folder} is already there and holds no run; choose another name with `--name`."


@dataclass(frozen=True)
class BaselinePaths:
    """Every path of the baselines of one data set.

    Args:
        root: The results root.
        data: Which data, see `results.baselines.data_key` and `audit_key`.
    """

    root: Path
    data: str

    @property
    def folder(self) -> Path:
        """All that is known of the data set."""
        return self.root / _BASELINES / self.data

    @property
    def audit_json(self) -> Path:
        """What the audit of the data found."""
        return self.folder / "audit.json"

    def create(self) -> "BaselinePaths":
        """Make the folder, if it is not there.

        Raises:
            RequestError: It cannot be written.
        """
        _make_folders(self.folder)
        _require_root(self.folder)
        return self

    def setting(self, key: str) -> "BaselineSettingPaths":
        """The paths of one split and noise level."""
        return BaselineSettingPaths(self.folder / key)

    def settings(self) -> list["BaselineSettingPaths"]:
        """All splits and noise levels that there are numbers for."""
        return [BaselineSettingPaths(file.parent) for file in sorted(self.folder.glob("*/baselines.json"))]


@dataclass(frozen=True)
class BaselineSettingPaths:
    """Every path of the baselines on one split and noise level."""

    folder: Path

    @property
    def baselines_json(self) -> Path:
        """The numbers, and what they are of."""
        return self.folder / "baselines.json"

    def predictions(self, method: str) -> Path:
        """What a baseline predicted, one by one."""
        return self.folder / f"{method}.parquet"

    def create(self) -> "BaselineSettingPaths":
        """Make the folder, if it is not there.

        Raises:
            RequestError: It cannot be written.
        """
        _make_folders(self.folder)
        _require_root(self.folder)
        return self


def run_names(root: Path) -> list[str]:
    """Names of all runs in a results root, sorted; an absent root has none.

    Raises:
        RequestError: The results root cannot be listed.
    """
    return [name for name in _folder_names(root) if (root / name / "manifest.json").is_file()]


def job_names(root: Path) -> list[str]:
    """Names of all submitted jobs in a results root, whether their runs have begun or not; otherwise as `run_names`."""
    return [name for name in _folder_names(root) if (root / name / "job" / "job.json").is_file()]


def queue_lock(root: Path) -> Path:
    """Locked by the one of the jobs in a results root that looks for room on its cluster."""
    return root / ".jobs.lock"


def _folder_names(root: Path) -> list[str]:
    try:
        return sorted(path.name for path in root.iterdir() if _NAME.fullmatch(path.name))
    except FileNotFoundError:
        return []
    except OSError as fault:
        raise RequestError(
            f"The results folder {root} cannot be read ({fault.strerror}); give --results DIR."
        ) from None


def _require_root(folder: Path) -> None:
    """Refuse a results root, or a folder in it, that takes no files; what is written to try it is gone at once.

    Raises:
        RequestError: It cannot be written.
    """
    try:
        try_folder(folder)
    except OSError as fault:
        raise RequestError(_unwritable(folder, fault)) from None


def _make_folders(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise RequestError(_unwritable(folder, fault)) from None


def _unwritable(folder: Path, fault: OSError) -> str:
    return (
        f"The folder {folder} cannot be written ({fault.strerror}); "
        f"give another with --results DIR or set {_ROOT_VARIABLE}."
    )

"""Where everything of a run lies, and the durable ways to write and read it.

A reader may look at any moment and a writer may die at any moment, so a file is either replaced as a whole
(`write_atomic`, `replacing`) or grows by whole lines (`append_line`).
"""

import json
import math
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from spectral_search.errors import RequestError
from spectral_search.spec.yaml_io import parse_yaml

DEFAULT_ROOT = "ray_results"
ROOT_VARIABLE = "SPECTRAL_SEARCH_RESULTS"
# A leading dash would read as an option, a leading dot would hide the folder or climb out of the results root.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
_NAME_LENGTH = 120


def results_root(option: str | Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder that holds all runs: the option, else the environment, else ./ray_results. Need not exist."""
    return Path(option or environ.get(ROOT_VARIABLE) or DEFAULT_ROOT).expanduser()


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
    return name


def next_free_name(root: Path, stage: str) -> str:
    """The first of `stage`, `stage-2`, `stage-3`, ... that is not taken in the results root."""
    check_name(stage)
    names = (stage if number == 1 else f"{stage}-{number}" for number in count(1))
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

    Raises:
        RequestError: The name cannot name a run.
    """

    root: Path
    name: str

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
        return f"sqlite:///{self.study_db.absolute()}"

    @property
    def log_txt(self) -> Path:
        """What the search itself had to say."""
        return self.folder / "log.txt"

    @property
    def stop_flag(self) -> Path:
        """A file whose presence asks the search to stop at the next epoch boundary."""
        return self.folder / "stop"

    @property
    def preprocessing_safetensors(self) -> Path:
        """Per-pixel statistics shared by all trials of the run."""
        return self.folder / "preprocessing.safetensors"

    @property
    def trials_dir(self) -> Path:
        """The folder of the trials."""
        return self.folder / "trials"

    def trial(self, number: int) -> TrialPaths:
        """The paths of one trial by its number in the study."""
        return TrialPaths(self.trials_dir / f"{number:04d}")

    @property
    def best_dir(self) -> Path:
        """The exported winner: a bundle folder."""
        return self.folder / "best"

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
        known = run_names(self.root)
        there = f"it holds {', '.join(known[:8])}{', ...' if len(known) > 8 else ''}" if known else "it holds no runs"
        raise RequestError(f"No run {self.name!r} in {self.root}; {there}. Choose one of these or give --results DIR.")

    def create(self) -> "RunPaths":
        """Make the folder of a new run.

        Raises:
            RequestError: The name is taken, or the folder cannot be written.
        """
        _make_folders(self.root)
        try:
            self.folder.mkdir()
        except FileExistsError:
            raise RequestError(self._taken()) from None
        except OSError as fault:
            raise RequestError(_unwritable(self.root, fault)) from None
        _make_folders(self.trials_dir)
        _sync_folder(self.root)
        return self

    def _taken(self) -> str:
        if self.exists():
            return (
                f"A run named {self.name!r} is already in {self.root}; "
                f"continue it with `resume {self.name}` or choose another name with `--name`."
            )
        return f"{self.folder} is already there and holds no run; choose another name with `--name`."


def run_names(root: Path) -> list[str]:
    """Names of all runs in a results root, sorted; an absent root has none.

    Raises:
        RequestError: The results root cannot be listed.
    """
    try:
        entries = sorted(path.name for path in root.iterdir() if _NAME.fullmatch(path.name))
    except FileNotFoundError:
        return []
    except OSError as fault:
        raise RequestError(
            f"The results folder {root} cannot be read ({fault.strerror}); give --results DIR."
        ) from None
    return [name for name in entries if (root / name / "manifest.json").is_file()]


def _make_folders(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise RequestError(_unwritable(folder, fault)) from None


def _unwritable(folder: Path, fault: OSError) -> str:
    return (
        f"The folder {folder} cannot be written ({fault.strerror}); "
        f"give another with --results DIR or set {ROOT_VARIABLE}."
    )


def _sync_folder(folder: Path) -> None:
    # Without this a power cut can lose the file's name although its bytes reached the disk.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on a clean exit it replaces `path` durably, else it is removed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        descriptor = os.open(temporary, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Replace a file as a whole: a reader, or a restart after a power cut, sees the old content or the new."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def plain(value: Any) -> Any:
    """The value as strict JSON can hold it: NaN and infinities become null, numpy scalars Python numbers."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        return plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Replace a JSON file as a whole; non-finite numbers become null."""
    write_atomic(path, json.dumps(plain(document), indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        RequestError: The file is missing, cut short, or holds no JSON object.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as fault:
        raise RequestError(f"{path} cannot be read ({fault.strerror}).") from None
    except ValueError:
        raise RequestError(f"{path} is not valid JSON; it was cut short or edited. Restore it or start anew.") from None
    if not isinstance(document, dict):
        raise RequestError(f"{path} holds a JSON {type(document).__name__}, not an object. Restore it or start anew.")
    return document


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping by the rules of a spec (1e-3 is a number, `no` is text).

    Raises:
        RequestError: The file is missing, damaged, or holds no mapping.
    """
    try:
        document = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except OSError as fault:
        raise RequestError(f"{path} cannot be read ({fault.strerror}); restore it or start anew.") from None
    except UnicodeDecodeError:
        raise RequestError(f"{path} is not text; it was damaged. Restore it or start anew.") from None
    if document.faults:
        raise RequestError(*(f"{path}: {sentence}" for _, sentence in document.faults))
    if not isinstance(document.value, dict):
        raise RequestError(f"{path} is empty or holds no mapping; restore it or start anew.")
    return document.value


def append_line(path: Path, line: str | Mapping[str, Any]) -> None:
    """Append one line durably; a mapping is written as JSON with null for non-finite numbers.

    A last line that an earlier writer left without its newline was never durable and is cut off first.
    There may be one writer a file, and any number of readers.
    """
    text = line if isinstance(line, str) else json.dumps(plain(line), allow_nan=False)
    if "\n" in text:
        raise ValueError("a line cannot hold a newline")
    is_new = not path.exists()
    with open(path, "a+b") as file:
        if size := file.seek(0, os.SEEK_END):
            whole = _whole_lines_size(path, size)
            if whole < size:
                file.truncate(whole)
        file.write(text.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        _sync_folder(path.parent)


def _whole_lines_size(path: Path, size: int) -> int:
    """Bytes of a non-empty file up to and including its last newline."""
    with open(path, "rb") as file:
        file.seek(size - 1)
        if file.read(1) == b"\n":
            return size
        file.seek(0)
        return file.read().rfind(b"\n") + 1


class Lines(NamedTuple):
    """Records of a file of JSON lines, and whether a cut last line was dropped."""

    records: list[dict[str, Any]]
    cut: bool


def read_lines(path: Path) -> Lines:
    """Read a file of JSON lines that may be growing or whose writer may have died; an absent file has none.

    Raises:
        RequestError: A line other than the last is not a JSON object.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Lines([], cut=False)
    *whole, rest = content.split(b"\n")
    records: list[dict[str, Any]] = []
    for number, line in enumerate(whole, start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict):
            records.append(record)
        elif number == len(whole) and not rest:
            return Lines(records, cut=True)
        else:
            raise RequestError(f"Line {number} of {path} is not a JSON object; restore the file or remove that line.")
    return Lines(records, cut=bool(rest))

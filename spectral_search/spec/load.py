"""Finding and loading specs: a stage's name or a path in, one validated RunSpec out."""

import importlib.resources
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectral_search.errors import RequestError
from spectral_search.places import given_path
from spectral_search.spec.faults import Fault
from spectral_search.spec.quick import quick as shrink
from spectral_search.spec.quick import shorter_rung
from spectral_search.spec.run import RunSpec, assemble
from spectral_search.spec.sets import apply_sets, parse_set
from spectral_search.spec.spelling import nearest
from spectral_search.spec.yaml_io import Document, parse_yaml, show

__all__ = ["StageInfo", "expand", "find_spec", "list_specs", "load_spec", "packaged_specs_dir", "parse_set"]

_LOCAL_DIR = "tune_specs"
_MAX_BYTES = 1_000_000  # far above any spec: a data file given by mistake is not read
_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_NAME = re.compile(r"^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$", re.DOTALL)


@dataclass(frozen=True)
class StageInfo:
    """What `specs` shows of a stage.

    Attributes:
        name: Name by which `run` takes it.
        path: The file.
        description: Its description.
        task: Whose data it searches on.
        trials: Trials of its search.
        grid_size: Points of its published grid, 0 when it has none.
        faults: What is wrong with the file; the other fields are then empty.
    """

    name: str
    path: Path
    description: str
    task: str
    trials: int
    grid_size: int
    faults: tuple[str, ...] = ()


def packaged_specs_dir() -> Path:
    """The folder of the specs that come with the package: inside it when installed, beside it in a checkout.

    Raises:
        RequestError: There is neither.
    """
    package = Path(str(importlib.resources.files("spectral_search")))
    for folder in (package / _LOCAL_DIR, package.parent / _LOCAL_DIR):
        if folder.is_dir():
            return folder
    raise RequestError(f"this installation carries no stages ({package / _LOCAL_DIR} is missing); install it again")


def expand(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """Replaces ${VAR} and ${VAR:-default} by the environment's values.

    The default also stands in for an empty variable, as in a shell.

    Raises:
        RequestError: A variable is not set and has no default, or the braces are wrong.
    """

    def value(match: re.Match[str]) -> str:
        parts = _NAME.match(match[1])
        if parts is None:
            raise RequestError(f"{match[0]} names no variable; write ${{NAME}} or ${{NAME:-default}}")
        found = environ.get(parts[1])
        if parts[2] is not None:
            return found or parts[2]
        if found is None:
            raise RequestError(f"the environment has no {parts[1]}; set it, or write ${{{parts[1]}:-default}}")
        return found

    # Judged by the text as written: a value that is put in may hold ${ itself.
    rest = _VARIABLE.sub("", text)
    if "${" in rest:
        raise RequestError(f"{show(text)} has a ${{ without its closing brace; write ${{NAME}} or ${{NAME:-default}}")
    return _VARIABLE.sub(value, text)


def find_spec(ref: str, *, beside: Path | None = None) -> Path:
    """The file of a spec.

    Args:
        ref: A stage's name, looked up in ./tune_specs and then in the package; or a path to a YAML file, or to a folder
            that holds config.yaml (an exported model) or spec.yaml (a run).
        beside: A folder in which stage names are looked up first.

    Raises:
        RequestError: There is no such stage or file.
    """
    folders = [folder for folder in (beside, Path(_LOCAL_DIR), packaged_specs_dir()) if folder is not None]
    is_path = "/" in ref or os.sep in ref or ref.endswith((".yaml", ".yml"))
    if not is_path:
        for folder in folders:
            path = folder / f"{ref}.yaml"
            if ref and path.is_file():
                return path
    path = given_path(ref, "The spec") if is_path else Path(ref or ".missing")
    inside = [path / name for name in ("config.yaml", "spec.yaml")] if path.is_dir() else []
    for candidate in (path, *inside):
        if candidate.is_file():
            return candidate
    if inside:
        raise RequestError(f"{show(ref)} is a folder without config.yaml or spec.yaml; give a stage or a YAML file")
    names = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    spelling = nearest(Path(ref).stem.replace("-", "_"), names)
    hint = f"did you mean {spelling}?" if spelling else f"the stages are {', '.join(names)}"
    what = "file" if is_path else "stage or file"
    raise RequestError(f"there is no {what} {show(ref, 200)}; {hint} (`spectral-search specs` describes them)")


def list_specs() -> list[StageInfo]:
    """Every stage by name: those of ./tune_specs, then those of the package that they do not shadow."""
    return [_stage_info(name, path) for name, path in _stage_files().items()]


def stages_after(stage: str) -> list[str]:
    """The stages that take over values of this one's best trial, by their files alone: none of them is checked."""
    found = []
    for name, path in _stage_files().items():
        with suppress(RequestError):
            inherit = _read(path).value.get("inherit")
            if isinstance(inherit, dict) and inherit.get("from") == stage:
                found.append(name)
    return found


def _stage_files() -> dict[str, Path]:
    """The file of each stage, in the order of their names."""
    paths: dict[str, Path] = {}
    for folder in (Path(_LOCAL_DIR), packaged_specs_dir()):
        for path in sorted(folder.glob("*.yaml")):
            paths.setdefault(path.stem, path)
    return dict(sorted(paths.items()))


def _stage_info(name: str, path: Path) -> StageInfo:
    try:
        spec, faults = assemble(_with_stage(_read(path), path))
    except RequestError as error:
        return StageInfo(name, path, "", "", 0, 0, faults=error.faults)
    if spec is None:
        return StageInfo(name, path, "", "", 0, 0, faults=tuple(fault.text for fault in faults))
    return StageInfo(name, path, spec.description, spec.task, spec.search.trials, spec.grid_size())


def load_spec(
    ref: str,
    *,
    sets: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    quick: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> RunSpec:
    """Loads a spec.

    Args:
        ref: A stage's name or a path, as `find_spec` takes it.
        sets: `KEY=VALUE` texts of --set, values in YAML; a later one wins.
        overrides: Dotted key -> plain value of other options (--epochs, --data-root, ...); they win over `sets`.
        quick: Shrink it to minutes on two CPU cores; `sets` and `overrides` win over that.
        environ: Where ${VAR} is looked up. data.root is expanded here; search.storage is only checked, and keeps
            its text so that a password never reaches a stored spec: pass it through `expand` where it is used.

    Raises:
        RequestError: With one sentence for each fault of the file and of the overrides.
    """
    path = find_spec(ref)
    document = _read(path)
    values, set_faults = _parse_sets(sets)
    values |= overrides or {}
    raw = _with_stage(document, path)
    # The stage as its file has it: that is shrunk, and overrides are put on top of it.
    own = assemble(raw)[0] if quick or "fit.epochs" in values else None
    small = own if quick else None
    if small is not None:
        raw = shrink(small, values).to_dict()
    elif own is not None:
        raw = _with_rung_for(own, raw, values)
    raw, unplaced = apply_sets(raw, values)
    raw, expand_faults = _expand_paths(raw, environ)
    spec, faults = assemble(raw)
    faults = [*set_faults, *unplaced, *faults, *expand_faults]
    if spec is not None and spec.inherit is not None:
        faults += _inherit_faults(spec.inherit.from_, path)
    texts = [*_document_faults(document, path), *(_located(fault, document, path, values) for fault in faults)]
    if texts or spec is None:
        raise RequestError(*dict.fromkeys(texts))
    return shrink(spec, values) if quick and small is None else spec  # a file that only its overrides made sound


def _read(path: Path) -> Document:
    """Parses a spec's file into a mapping."""
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise RequestError(f"{path} has {size:,} bytes, far more than a spec; give a YAML file of a stage")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is not text in UTF-8; give a YAML file of a stage") from error
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}") from error
    document = parse_yaml(text, str(path))
    if document.value is None and not document.faults:
        raise RequestError(f"{path} is empty; a spec needs at least a model section")
    if not isinstance(document.value, dict):
        raise RequestError(f"{path} must hold sections such as model and fit, found {show(document.value)}")
    return document


def _with_stage(document: Document, path: Path) -> dict[str, Any]:
    raw = dict(document.value)
    if raw.get("stage") is None:
        raw["stage"] = path.stem
    if isinstance(task := raw.get("task"), str) and task.endswith(".py"):
        raw["task"] = str((path.parent / task).resolve())  # it is stored with the run, which other folders resume
    return raw


def _parse_sets(sets: Sequence[str]) -> tuple[dict[str, Any], list[Fault]]:
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for text in sets:
        try:
            key, value = parse_set(text)
        except RequestError as error:
            faults += [Fault("--set", sentence) for sentence in error.faults]
            continue
        values.pop(key, None)  # the later one also takes the later place
        values[key] = value
    return values, faults


def _with_rung_for(own: RunSpec, raw: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Raw sections whose first rung is shortened as fit.epochs is; a rung given on the command line stays."""
    epochs = values["fit.epochs"]
    if not isinstance(epochs, int) or not 0 < epochs < own.fit.epochs:
        return raw
    if own.search.min_epochs is None or {"search", "search.min_epochs"} & set(values):
        return raw
    return {**raw, "search": {**raw["search"], "min_epochs": shorter_rung(own, epochs)}}


def _expand_paths(raw: dict[str, Any], environ: Mapping[str, str]) -> tuple[dict[str, Any], list[Fault]]:
    faults: list[Fault] = []

    def expanded(key: str, value: Any) -> Any:
        if isinstance(value, list):
            return [expanded(key, item) for item in value]
        try:
            return expand(value, environ) if isinstance(value, str) else value
        except RequestError as error:
            faults.extend(Fault(key, f"{key}: {sentence}") for sentence in error.faults)
            return value

    data, search = raw.get("data"), raw.get("search")
    if isinstance(data, dict) and "root" in data:
        raw = {**raw, "data": {**data, "root": expanded("data.root", data["root"])}}
    if isinstance(search, dict):
        expanded("search.storage", search.get("storage"))
    return raw, faults


def _inherit_faults(stage: str, path: Path) -> list[Fault]:
    if "/" in stage or stage.endswith((".yaml", ".yml")):
        return [Fault("inherit.from", f"inherit.from must be the name of a stage, found {show(stage)}")]
    try:
        find_spec(stage, beside=path.parent)
    except RequestError as error:
        return [Fault("inherit.from", f"inherit.from: {sentence}") for sentence in error.faults]
    return []


def _document_faults(document: Document, path: Path) -> list[str]:
    return [_located(Fault(key, sentence), document, path, {}) for key, sentence in document.faults]


def _located(fault: Fault, document: Document, path: Path, values: Mapping[str, Any]) -> str:
    """The sentence with the place its key was written: the command line, or a line of the file."""
    # What is given there replaces all that the file says at that key and below it.
    if any(key in values for place in (fault.key, *fault.linked) for key in _upwards(place)):
        return f"{fault.text} (given on the command line)"
    for key in _upwards(fault.key):
        if key in document.line_of:
            return f"{fault.text} ({path.name} line {document.line_of[key]})"
    return fault.text if fault.key == "--set" else f"{fault.text} ({path.name})"


def _upwards(key: str) -> Iterator[str]:
    """A dotted key, then each that it lies below."""
    while key:
        yield key
        key = key.rpartition(".")[0]

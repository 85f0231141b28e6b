"""A member's state as two safetensors files: `last` to go on from, `best` to export. No pickle.

Each file is replaced as a whole and carries its own records in the header, so that weights and records cannot part.
`best` is written first: were the process killed between the two, the epochs after `last` are trained again, to the
same numbers, and `best` is written again.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from spectral_search.errors import RequestError
from spectral_search.record.durable import write_atomic
from spectral_search.record.epoch_log import EpochRecord
from spectral_search.record.paths import TrialPaths
from spectral_search.train.member import Member, best_of

_RECORD = "record"


class DamagedCheckpointError(RequestError):
    """A checkpoint is cut short or missing a part; the trial it is of can be trained anew."""


def save_checkpoint(member: Member, paths: TrialPaths) -> None:
    """Write what resume and export need of a member."""
    if member.best_weights is not None:
        _write(paths.best_safetensors, member.best_weights, {"best": member.best})
        member.best_weights = None
    tensors = {f"model.{name}": value for name, value in member.model.state_dict().items()}
    for index, moments in member.optimizer.state_dict()["state"].items():
        tensors |= {f"adamw.{index}.{name}": value for name, value in moments.items()}
    tensors |= {f"average.{index}": value for index, value in enumerate(member.average.values)}
    record = {"history": member.history, "scaler": member.scaler.state_dict()}
    _write(paths.last_safetensors, tensors, record)


def load_checkpoint(member: Member, paths: TrialPaths) -> bool:
    """Bring a fresh member to its last checkpoint; False when there is none.

    Raises:
        DamagedCheckpointError: A file is cut short, or the weights of the best epoch are not there.
        RequestError: It belongs to another network.
    """
    if not paths.last_safetensors.exists():
        return False
    tensors, record = _read(paths.last_safetensors, "history")
    _require_best(paths, best_of(record["history"], member.objective))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("adamw."):
            _, index, moment = name.split(".", 2)
            state.setdefault(int(index), {})[moment] = value
    try:
        member.model.load_state_dict({n.removeprefix("model."): v for n, v in tensors.items() if n[:6] == "model."})
        for place, average in enumerate(member.average.values):
            average.copy_(tensors[f"average.{place}"])
        # Torch's fused step walks through a weight and its moments as they lie, and files hold them row by row.
        known = member.optimizer.state_dict()
        moments = {
            index: {name: torch.empty_like(held).copy_(state[index][name]) for name, held in of_weight.items()}
            for index, of_weight in known["state"].items()
        }
        member.optimizer.load_state_dict({"state": moments, "param_groups": known["param_groups"]})
    except (RuntimeError, ValueError, KeyError) as error:
        raise RequestError(
            f"The checkpoint {paths.last_safetensors} is of another network than the spec describes "
            f"({str(error).splitlines()[0]}): restore the spec, or start a new run."
        ) from error
    # Empty where the scaler is off, and one that is on refuses an empty state.
    if record["scaler"]:
        member.scaler.load_state_dict(record["scaler"])
    member.history = record["history"]
    return True


def discard_checkpoint(paths: TrialPaths) -> None:
    """Remove a checkpoint, `last` first, since nothing goes on from `best` alone."""
    paths.last_safetensors.unlink(missing_ok=True)
    paths.best_safetensors.unlink(missing_ok=True)


def _require_best(paths: TrialPaths, best: EpochRecord | None) -> None:
    """Make sure that `best` is whole and not older than `last`: a search may end without improving on it."""
    wanted = 0 if best is None else best["epoch"]
    held = _header(paths.best_safetensors, "best")["best"]["epoch"] if paths.best_safetensors.exists() else None
    if held is None or held < wanted:
        there = "missing" if held is None else f"of epoch {held}"
        raise DamagedCheckpointError(f"{paths.best_safetensors} should hold epoch {wanted} and is {there}.")


def read_best(paths: TrialPaths) -> tuple[dict[str, torch.Tensor], EpochRecord]:
    """Weights and record of a trial's best epoch.

    Raises:
        RequestError: There are none, or the file is cut short.
    """
    if not paths.best_safetensors.exists():
        raise RequestError(f"{paths.folder} holds no weights: the trial did not finish an epoch.")
    tensors, record = _read(paths.best_safetensors, "best")
    return tensors, record["best"]


def _write(path: Path, tensors: dict[str, torch.Tensor], record: Mapping[str, object]) -> None:
    # safetensors refuses what does not lie row by row, as weights and moments in channels-last format do not.
    on_cpu = {name: value.detach().to("cpu").contiguous() for name, value in tensors.items()}
    write_atomic(path, save(on_cpu, metadata={_RECORD: json.dumps(record)}))


def _read(path: Path, part: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    with _opened(path) as file:
        names = file.keys()
        return {name: file.get_tensor(name) for name in names}, _record(file, part)


def _header(path: Path, part: str) -> dict[str, Any]:
    with _opened(path) as file:
        return _record(file, part)


def _record(file: safe_open, part: str) -> dict[str, Any]:
    """The record in a file's header, which must have this part."""
    record: dict[str, Any] = json.loads((file.metadata() or {})[_RECORD])
    if not record[part]:
        raise ValueError(f"its {part} is empty")
    return record


@contextmanager
def _opened(path: Path) -> Iterator[safe_open]:
    try:
        # What the caller reads is caught as well: a record that is missing shows only then.
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise DamagedCheckpointError(f"The checkpoint {path} cannot be read ({reason}).") from error

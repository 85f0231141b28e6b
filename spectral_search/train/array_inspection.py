"""Looks into the data of a task of arrays: how many examples a part has, their shape, ranges, and what is no number.

Shape suffixes: N examples, F features.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spectral_search.record.fetched_data import told_path
from spectral_search.task.verbs import Answer, Audience, VerbOptions

if TYPE_CHECKING:
    from spectral_search.train.array_task import Arrays, ArrayTask


def inspect_arrays(task: "ArrayTask", path: Path, options: VerbOptions, audience: Audience) -> Answer:
    """What is in the arrays that a task loads from a path, as they are there.

    Raises:
        RequestError: The task cannot load them.
    """
    loaded = task.load(task.data_section(root=str(path)))
    parts = {name: _numbers(part) for name, part in loaded.items()}
    faults = [f"{name}: {fault}" for name, part in loaded.items() for fault in _faults(part)]
    faults += [f"there is no part {name}" for name in ("train", "val") if name not in loaded]
    lines = [
        f"{name}: {told['examples']:,} {task.examples}, inputs of shape {tuple(told['shape'])}, "
        f"from {_range(told['x'])}; {task.target} from {_range(told['y'])}"
        for name, told in parts.items()
    ]
    document = {"path": told_path(path), "task": task.name, "parts": parts, "faults": faults}
    return Answer(document, lines=(*lines, *(f"fault: {fault}" for fault in faults)), has_faults=bool(faults))


def _numbers(part: "Arrays") -> dict[str, Any]:
    """Of a part: examples, the shape of one's input, and of inputs (x) and targets (y) range and what is not finite."""
    told: dict[str, Any] = {"examples": len(part.y_N), "shape": list(part.x_NF.shape[1:])}
    for name, values in (("x", part.x_NF), ("y", part.y_N)):
        finite = np.asarray(values)[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (None, None)
        told[name] = {"min": low, "max": high, "not_finite": int(values.size - finite.size)}
    return told


def _faults(part: "Arrays") -> list[str]:
    faults = [] if len(part.y_N) else ["it is empty"]
    if len(part.x_NF) != len(part.y_N):
        faults.append(f"{len(part.x_NF):,} inputs and {len(part.y_N):,} targets")
    for name, values in (("inputs", part.x_NF), ("targets", part.y_N)):
        if bad := int(values.size - np.isfinite(values).sum()):
            faults.append(f"{bad:,} values of {name} are not finite")
    return faults


def _range(told: dict[str, Any]) -> str:
    return "nothing finite" if told["min"] is None else f"{told['min']:.4g} to {told['max']:.4g}"

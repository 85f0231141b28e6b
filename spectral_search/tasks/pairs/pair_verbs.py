"""The verbs of pairs: what makes them, looks into them, and what networks on them are measured against."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectral_search.record.fetched_data import told_path
from spectral_search.task.metric import Metric
from spectral_search.task.verbs import Answer, Audience, Subject, Verb, VerbOptions, option
from spectral_search.tasks.pairs.section import PairData

if TYPE_CHECKING:
    from rich.console import Group

    from spectral_search.tasks.pairs.images.pair_part import PairPart


class SimulateOptions(VerbOptions):
    """How many pairs, and how much digits are changed."""

    train: int = option(8000, "Training pairs.", ge=4)
    val: int = option(2000, "Val pairs.", ge=4)
    test: int = option(4000, "Test pairs.", ge=4)
    side: int = option(28, "Pixels of a row of an image.", ge=4, le=512)
    rotation: float = option(20.0, "Most that a digit is turned, in degrees.", ge=0.0, le=180.0)
    shift: float = option(0.1, "Most that it is moved, in parts of its side.", ge=0.0, le=1.0)
    seed: int = option(42, "The same seed gives the same pairs.")


class BaselinesOptions(VerbOptions):
    """Whether what is kept is fitted anew."""

    again: bool = option(False, "Fit also what is stored already.")


def _simulate(root: Path, options: SimulateOptions, audience: Audience) -> Answer:
    from spectral_search.tasks.pairs.images.turned_digits import write_turned_digits

    asked: dict[str, Any] = options.model_dump()
    pairs = {name: asked.pop(name) for name in ("train", "val", "test")}
    write_turned_digits(root, pairs, **asked, told=audience.progress("turning digits"))
    lines = (
        f"Wrote pairs of digits, turned and moved, to {root}.",
        f"Next: spectral-search run pairs_stage1 --data-root {shlex.quote(str(root))}",
    )
    return Answer({"path": str(root), **pairs, **asked}, lines=lines)


def _inspect(path: Path, options: VerbOptions, audience: Audience) -> Answer:
    import numpy as np

    from spectral_search.tasks.pairs.images.pair_source import find_pairs

    found = find_pairs(PairData(root=str(path)))
    parts: dict[str, dict[str, Any]] = {
        name: {
            "pairs": len(part),
            "same": float(part.same_N.mean()),
            "images": len(part.images_MP),
            "classes": len(part.names) or None,
            "side": part.side,
            "grey": [float(part.images_MP.mean()), float(np.std(part.images_MP))],
        }
        for name, part in found.parts.items()
    }
    lines = [f"{found.about}; split by {found.data.split_by}" if found.parts["train"].names else found.about]
    for name, told in parts.items():
        classes = f" of {told['classes']:,} classes" if told["classes"] else ""
        lines.append(
            f"{name}: {told['pairs']:,} pairs, {told['same']:.1%} the same, of {told['images']:,} images{classes}, "
            f"{told['side']} x {told['side']} pixels, grey {told['grey'][0]:.0f} +- {told['grey'][1]:.0f} of 255"
        )
    document = {"path": told_path(path), "about": found.about, "parts": parts, "notes": list(found.notes)}
    return Answer(document, lines=(*lines, *found.notes))


def _parts(subject: Subject) -> "Mapping[str, PairPart]":
    """Those of a run, else those of the data that are named."""
    if subject.data is not None:
        parts: Mapping[str, PairPart] = subject.data.parts
        return parts
    from spectral_search.tasks.pairs.images.pair_source import find_pairs

    return find_pairs(subject.spec.data).parts


def _fit(subject: Subject, options: BaselinesOptions, audience: Audience) -> Answer:
    from spectral_search.task.registry import task_of
    from spectral_search.tasks.pairs.baselines.kept_pairs import measured

    task = task_of(subject.spec.task)
    found = measured(task, _parts(subject), subject.results, audience, again=options.again)
    part, names = found["part"], [metric.name for metric in task.metrics]
    document = {
        method: {**{f"{part}_{name}": entry[name] for name in names}, "low": entry["low"], "high": entry["high"]}
        | {"seconds": entry["seconds"], "pairs": found["pairs"][part]}
        for method, entry in found["methods"].items()
    }
    return Answer(document, _table(found, task.metrics))


def _table(found: Mapping[str, Any], metrics: Sequence[Metric]) -> "Group":
    from rich.console import Group

    from spectral_search.record.wording import fitted_table
    from spectral_search.tasks.pairs.baselines.pair_baselines import BASELINES as METHODS

    pairs, (first, *others) = found["pairs"], metrics
    title = f"Baselines, {pairs['train']:,} training pairs: {pairs[found['part']]:,} pairs of {found['part']}"
    rows = [["method", first.label, "95% interval", *(metric.headed for metric in others), "seconds"]]
    for name, entry in found["methods"].items():
        interval = f"{first.number(entry['low'])} to {first.number(entry['high'])}"
        rest = [metric.number(entry[metric.name]) for metric in others]
        rows.append([METHODS[name][0], first.number(entry[first.name]), interval, *rest, f"{entry['seconds']:.1f}"])
    return Group(title, fitted_table(rows, range(3, len(rows[0])), called="column"))


def _look(subject: Subject, options: VerbOptions, audience: Audience) -> Answer:
    from spectral_search.tasks.pairs.pair_audit import audit_pairs

    found = audit_pairs(_parts(subject))
    lines = [
        f"{'fault' if finding['fault'] else 'ok'}: {name}: {finding['told']}"
        + (f" (rows {', '.join(map(str, finding['rows']))})" if finding["rows"] else "")
        for name, finding in found.items()
    ]
    faults = any(finding["fault"] for finding in found.values())
    return Answer({"findings": found, "faults": faults}, lines=tuple(lines))


SIMULATE = Verb(
    "Write pairs of scikit-learn's digits, turned and moved, as train.npz, val.npz and test.npz.",
    SimulateOptions,
    _simulate,
    of="The folder to make.",
)
INSPECT = Verb(
    "Show what pairs are made of a place: parts, classes, images, balance.",
    VerbOptions,
    _inspect,
    of="A folder or zip of images, an .npz of pairs, a folder of these, or digits.",
)
BASELINES = Verb(
    "Fit what needs no network on the pairs of a search: the distance of pixels, logistic regression, LightGBM.",
    BaselinesOptions,
    _fit,
)
AUDIT = Verb(
    "Look for images that are in two parts, or nearly, for pairs of equal images, and for answers out of balance.",
    VerbOptions,
    _look,
)

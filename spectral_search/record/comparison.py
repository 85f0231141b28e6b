"""Two runs side by side: specs, best configs, scores on the same examples, cost, and how stable each choice was."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from spectral_search.record.durable import plain
from spectral_search.record.evidence import Run
from spectral_search.record.methods import SAMPLED, difference
from spectral_search.record.reporting import reporting_of
from spectral_search.record.resampling import Estimate
from spectral_search.record.retest_verdict import chosen_by_draw, seed_values, tied
from spectral_search.record.wording import Fitted, aligned, cropped, duration, short_value
from spectral_search.task.metric import Metric
from spectral_search.task.task import Task

_SIDES = ("A", "B")
_ELSEWHERE = ("data.root", "description", "provenance", "resources", "stage")
"""Keys that say where and why a run was, not what it computes."""


@dataclass(frozen=True)
class Comparison:
    """Two runs.

    Attributes:
        runs: The two.
        spec: Dotted key -> values of both, where the searches differ.
        best: Dotted key -> values of both, where the winners' configurations differ.
        gain: Test score of the second minus that of the first, paired on the same examples; None where they differ.
        verdict: What the difference says, in a sentence.
    """

    runs: tuple[Run, Run]
    spec: dict[str, tuple[Any, Any]]
    best: dict[str, tuple[Any, Any]]
    gain: Estimate | None
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        document = {
            "runs": [_run_document(run) for run in self.runs],
            "spec": {key: list(values) for key, values in self.spec.items()},
            "best": {key: list(values) for key, values in self.best.items()},
            "gain": None if self.gain is None else self.gain.to_dict(),
            f"same_{self.runs[0].record.task.examples}": self.gain is not None,
            "verdict": self.verdict,
        }
        found: dict[str, Any] = plain(document)
        return found


def compare(first: Run, second: Run) -> Comparison:
    """Put two runs side by side."""
    specs = [_flat(run.record.spec) for run in (first, second)]
    configs = [_flat(run.config.to_dict()) for run in (first, second)]
    gain = None
    if first.method is not None and second.method is not None:
        gain = difference(second.method, first.method)
    return Comparison((first, second), _different(*specs), _different(*configs), gain, _verdict(first, second, gain))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        # A domain or a grid is one value, and so is what is below space.
        if isinstance(value, Mapping) and value and not prefix.startswith(("space.", "grid.")):
            leaves |= _flat(value, f"{name}.")
        else:
            leaves[name] = value
    return leaves


def _different(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    keys = [key for key in dict.fromkeys([*first, *second]) if not key.startswith(_ELSEWHERE)]
    return {key: (first.get(key), second.get(key)) for key in keys if first.get(key) != second.get(key)}


def _verdict(first: Run, second: Run, gain: Estimate | None) -> str:
    if first.method is None or second.method is None:
        untested = " and ".join(run.name for run in (first, second) if run.method is None)
        examples = first.record.task.examples
        return f"{untested} has no test number, so the two cannot be compared on test {examples}."
    if gain is None:
        return _unpaired(first, second)
    task = first.record.task
    told = f"{gain.value:+.4f} (paired 95% interval {gain.low:+.4f} to {gain.high:+.4f})"
    both = f"{int((first.method.covered_N & second.method.covered_N).sum()):,} test {task.examples}"
    finding = f"{second.name} has {told} in {task.objective.label} against {first.name} on {both}."
    better = second.name if task.objective.gain(gain.value) > 0 else first.name
    verdict = "A tie" if gain.low <= 0.0 <= gain.high else f"{better} is better"
    return f"{verdict}: {finding}{_cautions(first, second)}"


def _unpaired(first: Run, second: Run) -> str:
    """Why two runs with test numbers have no paired interval."""
    runs, task = (first, second), first.record.task
    sampled = [run.name for run in runs if run.test_set.startswith(SAMPLED)]
    if len(sampled) == 1:
        known = f"its test {task.examples} by eight of each shard"
        return (
            f"{sampled[0]} was begun by an earlier version, which knew {known}: whether both were tested on the "
            "same ones cannot be told, so their test numbers do not compare."
        )
    if first.test_set != second.test_set:
        other = f"different {task.examples}{reporting_of(task).otherwise[1]}"
        return f"They were tested on {other}: their test numbers do not compare."
    missing = [run.name for run in runs if run.method is not None and not len(run.method.error_N)]
    makes = ", ".join(f"`spectral-search evaluate {name} --data ROOT`" for name in missing)
    lack = f"{' and '.join(missing)} keeps no predictions of single {task.examples}"
    return f"No paired interval: {lack}; {makes} makes them."


def _cautions(first: Run, second: Run) -> str:
    """What must be known with a difference."""
    task, said = first.record.task, ""
    if unfair := [run.name for run in (first, second) if run.method is not None and not run.method.fair]:
        more = reporting_of(task).given_exactly
        said += f" {' and '.join(unfair)} is told more than {more}: no fair comparison."
    if first.test_set.startswith(SAMPLED):
        known = f"their test {task.examples} by eight of each shard"
        said += f" Both knew {known}: whether all are the same cannot be told."
    one, other = (run.record.manifest.data for run in (first, second))
    is_known = one.get("split") == other.get("split") and "content" in one and "content" in other
    # The same rows of the same files may hold something else since.
    parts = [part for part in ("train", "val") if is_known and one["content"].get(part) != other["content"].get(part)]
    if parts:
        said += f" Their {' and '.join(parts)} {task.examples} differ: the same rows held other values."
    return said


def _run_document(run: Run) -> dict[str, Any]:
    best, retest, objective = run.record.best, run.record.retest, run.record.objective
    return {
        "name": run.name,
        "stage": run.record.manifest.stage,
        "model": run.family,
        "train_size": run.train_size,
        "best": None if best is None else {"trial": best.number, "epoch": best.best_epoch, "params": best.params},
        objective.val_name: None if best is None else best.best_value,
        "retest": None if retest is None else {key: retest.get(key) for key in (objective.name, "low", "high")},
        "seeds": seed_values(retest, objective) if retest else [],
        "test": run.record.test,
        "chosen_by_draw": {str(trial): count for trial, count in chosen_by_draw(retest or {}, objective).items()},
        "tied": tied(retest or {}),
        "trials": len(run.record.trials),
        "epochs_trained": run.record.epochs_trained,
        "wall_seconds": round(run.record.wall_seconds, 1),
        "train_seconds": None if best is None else best.seconds,
    }


def render_comparison(comparison: Comparison) -> RenderableType:
    """A comparison for a terminal."""
    documents = [_run_document(run) for run in comparison.runs]
    header = ["", *(f"{side} {run.name}" for side, run in zip(_SIDES, comparison.runs, strict=True))]
    facts = _facts(comparison.runs[0].record.task)
    rows = [[name, *(tell(document) for document in documents)] for name, tell in facts]
    return Group(
        Fitted(lambda width: _lines([header, *rows], width)),
        *_part("The searches differ in", comparison.spec),
        *_part("The best configs differ in", comparison.best),
        *(Text(line) for run in comparison.runs for line in stability(run)),
        Text(comparison.verdict, style="bold"),
    )


def stability(run: Run) -> list[str]:
    """Which trial would have been chosen under other draws, and which finalists tie; nothing where unknown."""
    retest, task = run.record.retest or {}, run.record.task
    chosen, lines = chosen_by_draw(retest, task.objective), []
    if chosen and task.redraws:
        draws, winner = sum(chosen.values()), retest.get("trial")
        told = ", ".join(f"trial {trial} in {count}" for trial, count in chosen.items())
        same = "its winner in all" if list(chosen) == [winner] else told
        lines.append(f"{run.name}: under {draws} draws of {task.retested_on} the choice would have been {same}.")
    if ties := tied(retest):
        lines.append(f"{run.name}: its winner ties with trial {', '.join(map(str, ties))}.")
    return lines


def _part(title: str, values: Mapping[str, tuple[Any, Any]]) -> list[RenderableType]:
    if not values:
        return [Text(f"{title} nothing.")]
    rows = [["key", *_SIDES], *([key, *map(_shown, pair)] for key, pair in values.items())]
    return [Text(f"\n{title}", style="bold"), Fitted(lambda width: _lines(rows, width)), Text()]


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_shown(item)}" for key, item in value.items())
    return "-" if value is None else short_value(value)


def _lines(rows: list[list[str]], width: int) -> list[Text]:
    return [Text(cropped(line, width), style="bold" if not place else "") for place, line in enumerate(_columns(rows))]


def _columns(rows: list[list[str]]) -> list[str]:
    return aligned(rows, left=frozenset(range(len(rows[0]))))


def _interval(scores: Mapping[str, Any] | None, objective: Metric) -> str:
    if not scores:
        return "-"
    value, low, high = (objective.number(scores[key]) for key in (objective.name, "low", "high"))
    return f"{value} ({low} to {high})"


def _facts(task: Task) -> list[tuple[str, Callable[[dict[str, Any]], str]]]:
    """What is told of each of two runs, by name."""
    objective = task.objective
    number, label = objective.number, objective.label

    def tested(metric: Metric) -> Callable[[dict[str, Any]], str]:
        return lambda run: metric.number((run["test"] or {}).get(metric.name))

    def best(run: dict[str, Any]) -> str:
        return "-" if run["best"] is None else f"{run['best']['trial']}, epoch {run['best']['epoch']}"

    return [
        ("model", lambda run: str(run["model"])),
        (f"training {task.examples}", lambda run: f"{run['train_size']:,}"),
        ("best trial", best),
        (f"val {label}, selected", lambda run: number(run[objective.val_name])),
        (f"val {label}, {task.retested_on}", lambda run: _interval(run["retest"], objective)),
        (f"{label} by seed", lambda run: " ".join(map(number, run["seeds"])) or "-"),
        *((f"test {metric.headed}", tested(metric)) for metric in task.metrics[:2]),
        ("trials, epochs", lambda run: f"{run['trials']}, {run['epochs_trained']}"),
        ("wall time", lambda run: duration(run["wall_seconds"])),
        ("winner's training", lambda run: duration(run["train_seconds"])),
    ]

"""Two runs side by side: specs, best configs, R2 on the same spectra, cost, and how stable each choice was."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from spectral_search.record.durable import plain
from spectral_search.record.method_scores import SAMPLED, Run, difference
from spectral_search.record.retest_verdict import chosen_by_draw, seed_values, tied
from spectral_search.record.scores import Estimate
from spectral_search.record.wording import Fitted, aligned, cropped, duration, short_value

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
        gain: Test R2 of the second minus that of the first, paired on the same spectra; None where they differ.
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
            "same_spectra": self.gain is not None,
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
        return f"{untested} has no test number, so the two cannot be compared on test spectra."
    if gain is None:
        missing = [run.name for run in (first, second) if run.method is not None and not len(run.method.error2_N)]
        sampled = [run.name for run in (first, second) if run.test_set.startswith(SAMPLED)]
        if len(sampled) == 1:
            return (
                f"{sampled[0]} was begun by an earlier version, which knew its test spectra by eight of each shard: "
                "whether both were tested on the same ones cannot be told, so their test numbers do not compare."
            )
        if first.test_set != second.test_set:
            return (
                "They were tested on different spectra or at different noise levels: their test numbers do not compare."
            )
        makes = ", ".join(f"`spectral-search evaluate {name} --data ROOT`" for name in missing)
        return (
            f"No paired interval: {' and '.join(missing)} keeps no predictions of single spectra; {makes} makes them."
        )
    told = f"{gain.value:+.4f} (paired 95% interval {gain.low:+.4f} to {gain.high:+.4f})"
    spectra = f"{int((first.method.covered_N & second.method.covered_N).sum()):,} test spectra"
    unfair = [run.name for run in (first, second) if run.method is not None and not run.method.fair]
    caution = f" {' and '.join(unfair)} is told more than the noisy flux: no fair comparison." if unfair else ""
    if first.test_set.startswith(SAMPLED):
        caution += " Both knew their test spectra by eight of each shard: whether all are the same cannot be told."
    caution += _other_bytes(first, second)
    if gain.low <= 0.0 <= gain.high:
        return f"A tie: {second.name} has {told} in R2 against {first.name} on {spectra}.{caution}"
    better = second.name if gain.value > 0 else first.name
    return f"{better} is better: {second.name} has {told} in R2 against {first.name} on {spectra}.{caution}"


def _other_bytes(first: Run, second: Run) -> str:
    """Said of runs on the same rows of the same files, if what these hold has changed from one to the other."""
    one, other = (run.record.manifest.data for run in (first, second))
    if one.get("split") != other.get("split") or "content" not in one or "content" not in other:
        return ""
    parts = [part for part in ("train", "val") if one["content"].get(part) != other["content"].get(part)]
    return f" Their {' and '.join(parts)} spectra differ: the same rows held other values." if parts else ""


def _run_document(run: Run) -> dict[str, Any]:
    best, retest = run.record.best, run.record.retest
    return {
        "name": run.name,
        "stage": run.record.manifest.stage,
        "model": run.family,
        "train_size": run.train_size,
        "best": None if best is None else {"trial": best.number, "epoch": best.best_epoch, "params": best.params},
        "val_r2": None if best is None else best.best_val_r2,
        "retest": None if retest is None else {key: retest.get(key) for key in ("r2", "low", "high")},
        "seeds": seed_values(retest or {}) if retest else [],
        "test": run.record.test,
        "chosen_by_draw": {str(trial): count for trial, count in chosen_by_draw(retest or {}).items()},
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
    rows = [[name, *(tell(document) for document in documents)] for name, tell in _FACTS]
    return Group(
        Fitted(lambda width: _lines([header, *rows], width)),
        *_part("The searches differ in", comparison.spec),
        *_part("The best configs differ in", comparison.best),
        *(Text(line) for run in comparison.runs for line in stability(run)),
        Text(comparison.verdict, style="bold"),
    )


def stability(run: Run) -> list[str]:
    """Which trial would have been chosen under other noise draws, and which finalists tie; nothing where unknown."""
    retest = run.record.retest or {}
    chosen, lines = chosen_by_draw(retest), []
    if chosen:
        draws, winner = sum(chosen.values()), retest.get("trial")
        told = ", ".join(f"trial {trial} in {count}" for trial, count in chosen.items())
        same = "its winner in all" if list(chosen) == [winner] else told
        lines.append(f"{run.name}: under {draws} other noise draws the choice would have been {same}.")
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


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _interval(scores: Mapping[str, Any] | None) -> str:
    return "-" if not scores else f"{scores['r2']:.4f} ({scores['low']:.4f} to {scores['high']:.4f})"


_FACTS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("model", lambda run: str(run["model"])),
    ("training spectra", lambda run: f"{run['train_size']:,}"),
    ("best trial", lambda run: "-" if run["best"] is None else f"{run['best']['trial']}, epoch {run['best']['epoch']}"),
    ("val R2, selected", lambda run: _number(run["val_r2"])),
    ("val R2, fresh noise", lambda run: _interval(run["retest"])),
    ("R2 by seed", lambda run: " ".join(map(_number, run["seeds"])) or "-"),
    ("test R2", lambda run: _number((run["test"] or {}).get("r2"))),
    ("test MAE dex", lambda run: _number((run["test"] or {}).get("mae_dex"))),
    ("trials, epochs", lambda run: f"{run['trials']}, {run['epochs_trained']}"),
    ("wall time", lambda run: duration(run["wall_seconds"])),
    ("winner's training", lambda run: duration(run["train_seconds"])),
)

"""Everything that reports and comparisons rest on, read from a results root: runs, their winners, baselines."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from spectral_search.errors import RequestError
from spectral_search.record.kept_baselines import list_baselines
from spectral_search.record.method_scores import SAMPLED, Method, Run, load_baselines, load_run
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord, list_runs
from spectral_search.report.verdicts import Finding, five_numbers, four_verdicts, stop_signals


@dataclass(frozen=True)
class Standing:
    """What is known in a results root.

    Attributes:
        named: The runs that were asked for, in that order.
        others: Every other finished run of the root.
        baselines: Of the data sets of the named runs, at any number of training spectra.
        notes: What could not be read or compared, a sentence each.
    """

    named: list[Run]
    others: list[Run]
    baselines: list[Method]
    notes: list[str]

    @cached_property
    def test_set(self) -> str:
        """The test set that most of the named runs have, the first of equals."""
        return Counter(run.test_set for run in self.named).most_common(1)[0][0]

    @cached_property
    def shown(self) -> list[Method]:
        """Winners of the named runs, and baselines, on that test set."""
        winners = [run.method for run in self.named if run.method is not None]
        return [method for method in [*winners, *self.baselines] if method.test_set == self.test_set]

    @cached_property
    def side_by_side(self) -> list[Method]:
        """As `shown`, each baseline once: at the training size nearest to that of the largest network."""
        networks = [method for method in self.shown if not method.is_baseline]
        size = max((method.train_size for method in networks), default=0)
        nearest: dict[str, Method] = {}
        for method in sorted(self.shown, key=lambda method: abs(method.train_size - size)):
            if method.is_baseline:
                nearest.setdefault(method.family, method)
        return [*networks, *nearest.values()]

    @cached_property
    def everything(self) -> list[Method]:
        """All that verdicts may rest on: every finished run of the root, and the baselines."""
        winners = [run.method for run in [*self.named, *self.others] if run.method is not None]
        return [*winners, *self.baselines]

    @cached_property
    def numbers(self) -> list[Finding]:
        """The five numbers; the gain is one for each family."""
        return five_numbers(self.everything, [*self.named, *self.others])

    @cached_property
    def verdicts(self) -> list[Finding]:
        """The four verdicts."""
        return four_verdicts(self.everything)

    @cached_property
    def stops(self) -> list[str]:
        """What is not worth more work, in plain words."""
        return stop_signals(self.everything)


def load_standing(root: Path, names: Sequence[str] = ()) -> Standing:
    """Read runs and baselines.

    Args:
        root: The results root.
        names: Runs; all finished ones, oldest first, when empty.

    Raises:
        RequestError: There is no such run, none is named and none is finished, or a named one has no result yet.
    """
    finished = [run.name for run in reversed(list_runs(root)) if run.state == "finished"]
    wanted = list(dict.fromkeys(names)) or finished
    if not wanted:
        raise RequestError(f"{root} holds no finished run: `spectral-search run step1` makes one.")
    named, notes = [], []
    for name in wanted:
        run = load_run(RunRecord.load(RunPaths(root, name)))
        if run is None:
            raise RequestError(f"Run {name} has no result yet: `spectral-search status {name}` follows it.")
        named.append(run)
        if run.record.state != "finished":
            notes.append(f"{name} is {run.record.state}: `spectral-search resume {name}` goes on with it.")
        notes.extend(f"{name}: data parts do not match: {text}" for text in run.record.mismatches)
    others = []
    for name in finished:
        if name not in wanted:
            try:
                run = load_run(RunRecord.load(RunPaths(root, name)))
            except RequestError as fault:
                notes.extend(f"Left out of the verdicts: {text}" for text in fault.faults)
            else:
                others += [run] if run is not None else []
    return Standing(named, others, _baselines(root, named), notes + _apart(named))


def _baselines(root: Path, runs: Sequence[Run]) -> list[Method]:
    found: dict[Path, list[Method]] = {}
    for run in runs:
        for known in list_baselines(root, run.record.manifest.data):
            found.setdefault(known.paths.folder, load_baselines(known))
    return [method for methods in found.values() for method in methods]


def _apart(runs: Sequence[Run]) -> list[str]:
    """Which runs cannot be compared with the others, since they were tested on other spectra."""
    common = Counter(run.test_set for run in runs).most_common(1)[0][0]
    apart = [run.name for run in runs if run.test_set != common]
    said = [f"{', '.join(apart)}: tested on other spectra or at another noise level, so not compared with the others."]
    sampled = [run.name for run in runs if run.test_set.startswith(SAMPLED)]
    older = (
        f"{', '.join(sampled)}: begun by an earlier version, which knew its test spectra by eight of each shard: "
        "whether the others are the same as elsewhere cannot be told."
    )
    untested = [f"{run.name}: no test set, so no test number." for run in runs if run.method is None]
    return [*(said if apart else []), *([older] if sampled else []), *untested]

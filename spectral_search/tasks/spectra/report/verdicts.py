"""The five numbers and the four verdicts, from records alone.

What counts: runs that are told nothing but the noisy flux, at noise level 1, on one and the same test set. "100k" is
90,000 to 150,000 training spectra and "1M" at least 900,000. Of several runs that count, the one with the best val R2
speaks for its family, so that the test set chooses nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import product

from spectral_search.record.evidence import Run, plateau_epoch
from spectral_search.record.finding import Answer, Finding, listed, signed
from spectral_search.record.methods import Method, difference, ratio
from spectral_search.record.resampling import Estimate
from spectral_search.tasks.spectra.definition import TASK
from spectral_search.tasks.spectra.report.score_bins import bin_scores, worst_bin

_MLP_GAIN, _CNN_LEAD, _CNN_GOAL = 0.02, 0.05, 0.60
NOISE_LEVEL = "noise_level"
"""Among the facts of a method: the factor on the error."""
_PIXEL_INPUTS = ("standardize", "whiten", "raw_whiten")
_INPUTS = (*_PIXEL_INPUTS, "signal", "denoised")

MLP_100K = "spectral-search run mvp_mlp1"
_MLP_1M = "spectral-search run mvp_mlp1 --num-train 1000000 --epochs 10 --set fit.patience=3"
CNN_100K = "spectral-search run mvp_cnn1"
_CNN_1M = "spectral-search run mvp_cnn1 --num-train 1000000 --epochs 10 --set fit.patience=3"
_BASELINES_100K = "spectral-search baselines --num-train 100000"


def _is_100k(size: int) -> bool:
    """Whether a training set counts as one of 100k spectra."""
    return 90_000 <= size <= 150_000


def _is_1m(size: int) -> bool:
    """Whether a training set counts as one of a million spectra."""
    return size >= 900_000


def five_numbers(methods: Sequence[Method], runs: Sequence[Run]) -> list[Finding]:
    """Gain from 100k to 1M, plateau epoch, R2 per bin, sensitivity to whitening, gap to oracle and ceiling.

    Args:
        methods: Winners of finished runs, and baselines.
        runs: The runs.
    """
    return [
        _gain(methods, "MLP", MLP_100K, _MLP_1M),
        _gain(methods, "CNN", CNN_100K, _CNN_1M),
        _plateau(runs),
        _worst(methods),
        _whitening(methods),
        _gap(methods),
    ]


def four_verdicts(methods: Sequence[Method]) -> list[Finding]:
    """CNN against Ridge, what a million spectra bring an MLP, CNN against MLP, and the CNN's goal."""
    return [
        _versus(
            methods,
            "cnn_not_below_ridge",
            "CNN at 100k at least as good as Ridge?",
            ("CNN", _is_100k, CNN_100K),
            ("Ridge", _is_100k, _BASELINES_100K),
            0.0,
        ),
        _mlp_gain(methods),
        _versus(
            methods,
            "cnn_beats_mlp",
            f"CNN at 100k better than MLP by {_CNN_LEAD:g} or more?",
            ("CNN", _is_100k, CNN_100K),
            ("MLP", _is_100k, MLP_100K),
            _CNN_LEAD,
        ),
        _goal(methods),
    ]


def stop_signals(methods: Sequence[Method]) -> list[str]:
    """Plain words where the records say that a line of work is not worth more of it."""
    said = [f"Stop: {finding.evidence}" for finding in four_verdicts(methods) if finding.stop]
    cnn, ridge = _pair(methods, ("CNN", lambda size: True), ("Ridge", lambda size: True), same_size=True)
    if cnn is not None and ridge is not None and not _is_100k(cnn.train_size):
        behind = difference(cnn, ridge)
        if behind is not None and behind.high < 0:
            said.append(
                f"Stop: the CNN of {cnn.name} is below Ridge with the same {cnn.train_size:,} spectra "
                f"({_r2(cnn)} against {_r2(ridge)}): look at its training before searching on."
            )
    return said


Side = tuple[str, Callable[[int], bool]]


def _counting(methods: Iterable[Method], family: str, sizes: Callable[[int], bool]) -> list[Method]:
    """Methods of a family that count, the one that speaks for it first."""
    fitting = [
        m for m in methods if m.family == family and m.fair and m.facts[NOISE_LEVEL] == 1.0 and sizes(m.train_size)
    ]
    return sorted(fitting, key=lambda m: -m.gain_on_val)


def _pair(
    methods: Sequence[Method], first: Side, second: Side, *, same_size: bool = False
) -> tuple[Method | None, Method | None]:
    """The two that speak for their sides on one test set; else whatever there is of each side."""
    ones, others = _counting(methods, *first), _counting(methods, *second)
    for one, other in product(ones, others):
        if one.test_set == other.test_set and (not same_size or one.train_size == other.train_size):
            return one, other
    return (None, None) if same_size else (ones[0] if ones else None, others[0] if others and not ones else None)


def _judged(gain: Estimate | None, value: float, threshold: float) -> Answer:
    """Whether a difference reaches a threshold; without an interval the bare numbers decide."""
    if gain is None:
        return "yes" if value >= threshold else "no"
    return "yes" if gain.low >= threshold else "no" if gain.high < threshold else "too close to call"


def _r2(method: Method) -> str:
    """R2 of a method with its interval, in words."""
    found = method.estimate
    if found is None:
        return f"R2 {method.value:.3f} (no interval: `spectral-search evaluate {method.name} --data ROOT` makes it)"
    return f"R2 {found.value:.3f} (95% interval {found.low:.3f} to {found.high:.3f})"


def _sizes_there(methods: Sequence[Method], family: str) -> str:
    there = sorted({m.train_size for m in _counting(methods, family, lambda size: True)})
    if not there:
        return f"No {family} run counts yet"
    return f"{family} runs so far have {listed([f'{size:,}' for size in there])} training spectra"


def _gain(methods: Sequence[Method], family: str, at_100k: str, at_1m: str) -> Finding:
    key, question = f"gain_{family.lower()}_100k_to_1m", f"Gain of the {family} from 100k to 1M training spectra"
    small, large = _pair(methods, (family, _is_100k), (family, _is_1m))
    if small is None or large is None:
        smaller = _counting(methods, family, _is_100k)
        command = at_1m if smaller else at_100k
        return Finding(
            key, question, "not yet run", f"{_sizes_there(methods, family)}{_gain_so_far(methods, family)}.", command
        )
    found, value = difference(large, small), large.value - small.value
    evidence = (
        f"{small.name} with {small.train_size:,} spectra has {_r2(small)}, {large.name} with {large.train_size:,} has "
        f"{_r2(large)}: {signed(found, value)}."
    )
    return Finding(key, question, "measured", evidence, value=found or value)


def _gain_so_far(methods: Sequence[Method], family: str) -> str:
    """What a larger training set brought at the sizes there are, which is no substitute."""
    there = _counting(methods, family, lambda size: True)
    pairs = [(a, b) for a in there for b in there if a.test_set == b.test_set and b.train_size >= 2 * a.train_size]
    if not pairs:
        return ""
    small, large = max(pairs, key=lambda pair: pair[1].train_size / pair[0].train_size)
    gain = signed(difference(large, small), large.value - small.value)
    return f"; from {small.train_size:,} ({small.name}) to {large.train_size:,} ({large.name}) R2 changed by {gain}"


def _mlp_gain(methods: Sequence[Method]) -> Finding:
    key, question = "mlp_gains_from_1m", f"MLP gains {_MLP_GAIN:g} or more from 100k to 1M (else stop MLPs)?"
    small, large = _pair(methods, ("MLP", _is_100k), ("MLP", _is_1m))
    if small is None or large is None:
        command = _MLP_1M if _counting(methods, "MLP", _is_100k) else MLP_100K
        evidence = f"{_sizes_there(methods, 'MLP')}{_gain_so_far(methods, 'MLP')}."
        return Finding(key, question, "not yet run", evidence, command)
    found, value = difference(large, small), large.value - small.value
    answer = _judged(found, value, _MLP_GAIN)
    evidence = f"from {small.name} ({_r2(small)}) to {large.name} ({_r2(large)}) the MLP gained {signed(found, value)}"
    told = ", less than 0.02: more spectra do not help an MLP any more." if answer == "no" else "."
    return Finding(key, question, answer, evidence + told, stop=answer == "no", value=found or value)


def _versus(
    methods: Sequence[Method],
    key: str,
    question: str,
    first: tuple[str, Callable[[int], bool], str],
    second: tuple[str, Callable[[int], bool], str],
    threshold: float,
) -> Finding:
    """Whether one family is better than another by a threshold, on one test set."""
    one, other = _pair(methods, first[:2], second[:2])
    if one is None or other is None:
        missing = second if one is not None else first
        at_any = _pair(methods, (first[0], lambda size: True), (second[0], lambda size: True), same_size=True)
        return Finding(key, question, "not yet run", _smaller_scale(methods, first[0], second[0], at_any), missing[2])
    found, value = difference(one, other), one.value - other.value
    answer = _judged(found, value, threshold)
    evidence = f"{one.name} has {_r2(one)}, {other.name} has {_r2(other)}: {signed(found, value)}."
    stop = answer == "no" and threshold == 0.0
    return Finding(key, question, answer, evidence, stop=stop, value=found or value)


def _smaller_scale(
    methods: Sequence[Method], first: str, second: str, pair: tuple[Method | None, Method | None]
) -> str:
    one, other = pair
    if one is None or other is None:
        there = [_sizes_there(methods, family) for family in (first, second) if family != "Ridge"]
        return ". ".join(there) + "."
    gap = signed(difference(one, other), one.value - other.value)
    return (
        f"With {one.train_size:,} spectra, which decide nothing, {one.name} has {_r2(one)} and {other.name} "
        f"{_r2(other)}: {gap}."
    )


def _goal(methods: Sequence[Method]) -> Finding:
    key, question = "cnn_reaches_goal", f"CNN at 1M reaches R2 {_CNN_GOAL:.2f}?"
    there = _counting(methods, "CNN", _is_1m)
    if not there:
        return Finding(key, question, "not yet run", f"{_sizes_there(methods, 'CNN')}.", _CNN_1M)
    cnn = there[0]
    answer = _judged(cnn.estimate, cnn.value, _CNN_GOAL)
    return Finding(key, question, answer, f"{cnn.name} has {_r2(cnn)}.", value=cnn.estimate or cnn.value)


def _plateau(runs: Sequence[Run]) -> Finding:
    key, question = "plateau_epoch", f"Plateau: first epoch within {TASK.objective.tolerance:g} of the best val R2"
    told, first = [], None
    for family in dict.fromkeys(run.family for run in runs):
        largest = max((run for run in runs if run.family == family), key=lambda run: run.train_size)
        best = largest.record.best
        epoch = plateau_epoch(largest.curve, largest.record.objective)
        if epoch is None or best is None:
            continue
        first = first if first is not None else float(epoch)
        told.append(
            f"{family} ({largest.name}, {largest.train_size:,} spectra): epoch {epoch} of {largest.config.fit.epochs}, "
            f"best at epoch {best.best_epoch}{largest.still_rising}"
        )
    if not told:
        return Finding(key, question, "not yet run", "No run has finished an epoch.", MLP_100K)
    return Finding(key, question, "measured", "; ".join(told) + ".", value=first)


def _networks(methods: Sequence[Method]) -> list[Method]:
    """Networks that count, best val R2 first."""
    fair = [m for m in methods if not m.is_baseline and m.fair and m.facts[NOISE_LEVEL] == 1.0]
    return sorted(fair, key=lambda m: -m.gain_on_val)


def _worst(methods: Sequence[Method]) -> Finding:
    key, question = "worst_bin", "R2 per T_eff x log g x [M/H] bin, the worst above all"
    with_tables = [method for method in _networks(methods) if len(method.error_N)]
    if not with_tables:
        command = f"spectral-search evaluate {methods[0].name} --data ROOT" if methods else MLP_100K
        return Finding(key, question, "not yet run", "No run keeps its predictions of the test spectra.", command)
    method = with_tables[0]
    scores = bin_scores(method)
    worst = worst_bin(scores)
    if worst is None:
        return Finding(key, question, "not yet run", f"No bin of {method.name}'s test set holds enough spectra.")
    below = sum(score.r2.value < 0 for score in scores)
    evidence = (
        f"{method.name} is worst at {worst.name}: R2 {worst.r2.value:.2f} against the spread of all labels (95% "
        f"interval {worst.r2.low:.2f} to {worst.r2.high:.2f}), RMSE {worst.rmse_dex:.2f} dex, bias "
        f"{worst.bias_dex:+.2f} dex, {worst.spectra} spectra; {below} of {len(scores)} bins are worse than the mean "
        "label would be."
    )
    return Finding(key, question, "measured", evidence, value=worst.r2)


def _whitening(methods: Sequence[Method]) -> Finding:
    key, question = "whitening", "Sensitivity to whitening: R2 by input"
    groups: dict[tuple[str, int, str], dict[str, Method]] = {}
    for method in _networks(methods):
        if method.input in _INPUTS:
            groups.setdefault((method.test_set, method.train_size, method.family), {}).setdefault(method.input, method)
    inputs = max(groups.values(), key=len, default={})
    if len(inputs) < 2:
        there = f"All runs read {', '.join(inputs)}" if inputs else "There are no runs"
        return Finding(key, question, "not yet run", f"{there}.", _with_input("whiten"))
    ranked = sorted(inputs.values(), key=lambda m: -m.value)
    spread = difference(ranked[0], ranked[-1])
    told = ", ".join(f"{m.input} {m.value:.3f} ({m.name})" for m in ranked)
    value = ranked[0].value - ranked[-1].value
    missing = next((kind for kind in _PIXEL_INPUTS if kind not in inputs), None)
    command = _with_input(missing) if missing else None
    evidence = f"{told}: {signed(spread, value)} from the worst to the best."
    return Finding(key, question, "measured", evidence, command, value=spread or value)


def _upper_ceiling(best: Method, bounds: Sequence[Method]) -> str:
    """The other side of the ceiling: what the posteriors' own spread promises."""
    ceiling = next((b for b in bounds if b.family == "ceiling" and b.test_set == best.test_set), None)
    upper = None if ceiling is None else ceiling.upper_estimate
    if ceiling is None or upper is None:
        return ""
    told = f" The upper estimate of the ceiling is {upper:.3f}; of that it reaches {best.value / upper:.1%}."
    low = best.estimate.low if best.estimate is not None else best.value
    if low > upper:
        return told + " That no predictor can: templates, noise or labels of the ceiling are not those of these data."
    if best.value > ceiling.value:
        return told + " It is above the lower bound, as a predictor may be that knows more than the templates."
    return told


def _with_input(kind: str) -> str:
    return f"spectral-search run step1 --name step1-{kind} --set data.input.kind={kind}"


def _gap(methods: Sequence[Method]) -> Finding:
    key, question = "gap_to_ceiling", "Gap to the oracle mixture and to the ceiling"
    networks, told, share = _networks(methods), [], None
    if not networks:
        return Finding(key, question, "not yet run", "No run counts yet.", MLP_100K)
    bounds = [m for m in methods if m.family in ("oracle mixture", "ceiling")]
    best = next((n for n in networks if any(b.test_set == n.test_set for b in bounds)), networks[0])
    for bound in (b for b in bounds if b.test_set == best.test_set):
        gap = signed(difference(best, bound), best.value - bound.value)
        name = "ceiling's lower bound" if bound.family == "ceiling" else bound.family
        told.append(f"{_r2(bound)} of the {name}: {gap}")
        if bound.family == "ceiling":
            share = ratio(best, bound)
    if not told:
        command = f"spectral-search baselines --like {best.name}"
        return Finding(key, question, "not yet run", f"{best.name} has {_r2(best)}; no bound was computed.", command)
    reached = ""
    if share is not None:
        interval = f"95% interval {share.low:.1%} to {share.high:.1%}"
        lower = f"{share.value:.1%} of the ceiling's lower bound, which the posterior mean reached"
        reached = f" It reaches {lower} ({interval}).{_upper_ceiling(best, bounds)}"
    return Finding(
        key, question, "measured", f"{best.name} has {_r2(best)}; " + "; ".join(told) + "." + reached, value=share
    )

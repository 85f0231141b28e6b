"""Figures of single pairs: which were judged wrongly, how they look, of which classes and how much alike they are.

Shape suffixes: N pairs, H rows and columns of an image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure as Canvas

from spectral_search.drawing.figure import Figure, Layout, lacking
from spectral_search.drawing.plotting import DASHES, GRID, INK, MARKERS, colour
from spectral_search.errors import RequestError
from spectral_search.record.evidence import Evidence
from spectral_search.record.methods import Method, leading, part_estimates
from spectral_search.spec.run import RunSpec
from spectral_search.tasks.pairs.baselines.pair_baselines import differences
from spectral_search.tasks.pairs.images.pair_part import PairPart
from spectral_search.tasks.pairs.images.pair_source import find_pairs

_EXAMPLES = 4
"""Pairs that are shown of each kind."""
_MOST_CLASSES = 16
"""Of a table: the worst of more."""
_FEWEST = 10
"""Pairs of a class or a bin that a number is given of."""
_BINS = 6
_ANSWERS = ("different", "the same")


@dataclass(frozen=True)
class Judged:
    """A network with the pairs that it judged; the pairs themselves where their images are still to be had."""

    method: Method
    part: PairPart | None
    missing: str = ""

    @property
    def same_N(self) -> np.ndarray:
        return self.method.target_N > 0.5

    @property
    def said_N(self) -> np.ndarray:
        return self.method.predicted_N > 0.0


def pair_figures(evidence: Evidence) -> list[Figure]:
    """All of them, of the network that is best on val."""
    shown = [method for method in evidence.side_by_side if len(method.error_N)]
    lead = leading([method for method in shown if not method.is_baseline])
    if lead is None:
        return [lacking("judged_pairs", "What was judged", "No network here has predictions of test pairs.", None)]
    judged = _judged(evidence, lead)
    return [confusion_figure(judged), class_figure(judged), similarity_figure(judged, shown)]


def _judged(evidence: Evidence, lead: Method) -> Judged:
    run = next(run for run in evidence.named if run.method is lead)
    try:
        part = find_pairs(RunSpec.from_dict(run.record.spec).data).parts["test"]
    except (RequestError, KeyError, OSError) as error:
        return Judged(lead, None, f"The images cannot be shown: {error}")
    if evidence.reporting.test_set({"sha256": {"test": part.sha256()}}, run.config) != lead.test_set:
        return Judged(lead, None, "The images cannot be shown: those of the data root are others by now.")
    return Judged(lead, part)


def confusion_figure(judged: Judged) -> Figure:
    """How often each answer was given to each kind of pair, with pairs of each."""
    same_N, said_N = judged.same_N, judged.said_N
    counts = {(true, said): int(((same_N == true) & (said_N == said)).sum()) for true in (0, 1) for said in (0, 1)}
    wrong = counts[1, 0] + counts[0, 1]
    rows = [("pairs that are", *(f"said to be {answer}" for answer in _ANSWERS))]
    rows += [(_ANSWERS[true], *(f"{counts[true, said]:,}" for said in (0, 1))) for true in (1, 0)]
    caption = (
        f"{judged.method.name} judges {wrong:,} of {len(same_N):,} test pairs wrongly: {counts[1, 0]:,} of the same "
        f"are said to be different, and {counts[0, 1]:,} of different things to be the same. "
    )
    title = "Answers, and pairs that got them"
    if judged.part is None:
        return Figure("judged_pairs", title, caption + judged.missing, rows=rows)
    caption += "Of each kind the pairs with the surest answers are shown, one image above the other."
    return Figure("judged_pairs", title, caption, lambda layout: _draw_examples(layout, judged, counts), rows=rows)


def _draw_examples(layout: Layout, judged: Judged, counts: dict[tuple[int, int], int]) -> Canvas:
    canvas, axes = layout.panels(4, 1.9)
    part = judged.part
    assert part is not None
    for ax, (true, said) in zip(axes, ((1, 1), (1, 0), (0, 0), (0, 1)), strict=True):
        rows = np.flatnonzero((judged.same_N == true) & (judged.said_N == said))
        surest = rows[np.argsort(-np.abs(judged.method.predicted_N[rows]), kind="stable")[:_EXAMPLES]]
        ax.set_title(f"{_ANSWERS[true]}, said to be {_ANSWERS[said]}: {counts[true, said]:,}")
        ax.axis("off")
        if len(surest):
            side = part.side
            strip = np.full((2 * side + 1, _EXAMPLES * (side + 2) - 2), 128, np.uint8)
            for place, row in enumerate(surest):
                left = place * (side + 2)
                strip[:side, left : left + side] = part.images_MP[part.first_N[row]].reshape(side, side)
                strip[side + 1 :, left : left + side] = part.images_MP[part.second_N[row]].reshape(side, side)
            ax.imshow(strip, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    return canvas


def class_figure(judged: Judged) -> Figure:
    """Accuracy on the pairs whose first image is of a class, the worst classes first."""
    key, title, labels = "accuracy_by_class", "Accuracy by class", judged.method.labels
    if labels is None or not (labels["first_class"].astype(str) != "").any():
        return lacking(key, title, "The classes of the images are not known: these pairs came as pairs.", None)
    class_N = labels["first_class"].to_numpy(str)
    found = []
    for name in np.unique(class_N):
        part_N = class_N == name
        estimate = part_estimates([judged.method], part_N)[0]
        if part_N.sum() >= _FEWEST and estimate is not None:
            found.append((estimate, name, int(part_N.sum())))
    if not found:
        return lacking(key, title, f"No class has {_FEWEST} test pairs.", None)
    found.sort(key=lambda entry: (entry[0].value, entry[1]))
    worst, best = found[0], found[-1]
    caption = (
        f"Of {len(found):,} classes {judged.method.name} is worst at {worst[1]}, {worst[0].value:.3f} "
        f"({worst[0].low:.3f} to {worst[0].high:.3f}), and best at {best[1]}, {best[0].value:.3f}. By the class of the "
        "first image, with 95% intervals."
    )
    shown = found[:_MOST_CLASSES]
    rows = [("class", "accuracy", "95% interval", "pairs")]
    rows += [(name, f"{e.value:.3f}", f"{e.low:.3f} to {e.high:.3f}", f"{pairs:,}") for e, name, pairs in shown]

    def draw(layout: Layout) -> Canvas:
        canvas = layout.canvas(0.6 + 0.24 * len(shown))
        ax = canvas.subplots()
        places = range(len(shown))
        ax.hlines(places, [e.low for e, _, _ in shown], [e.high for e, _, _ in shown], color=GRID, lw=4)
        ax.plot([e.value for e, _, _ in shown], places, "o", color=colour(judged.method.family))
        ax.set_yticks(places, [name[-24:] for _, name, _ in shown])
        ax.set(xlabel="accuracy", ylim=(len(shown) - 0.5, -0.5))
        return canvas

    return Figure(key, title, caption, draw, rows=rows)


def similarity_figure(judged: Judged, shown: Sequence[Method]) -> Figure:
    """Accuracy against how much the pixels of a pair differ, for pairs of the same and of different things."""
    key, title = "accuracy_by_similarity", "Accuracy against the difference of pixels"
    if judged.part is None:
        return lacking(key, title, judged.missing, None)
    apart_N = np.sqrt((differences(judged.part) ** 2).mean(1))
    methods = [judged.method, *(method for method in shown if method.is_baseline)]
    curves = {
        (method.name, true): _binned(method, apart_N, (judged.same_N == true)) for method in methods for true in (1, 0)
    }
    mine = {true: curves[judged.method.name, true] for true in (1, 0)}
    if not all(mine.values()):
        return lacking(key, title, f"Too few test pairs: a bin takes {_FEWEST}.", None)
    (near, first), (far, last) = mine[1][0], mine[1][-1]
    caption = (
        f"Pairs of the same are recognised by {judged.method.name} in {first:.1%} where their pixels differ little "
        f"({near:.2f}), and in {last:.1%} where they differ much ({far:.2f}). Root mean square of the difference, of a "
        "range of 1; bins hold equal numbers of pairs."
    )

    def draw(layout: Layout) -> Canvas:
        canvas, axes = layout.panels(2, 2.9, sharey=True)
        for ax, true in zip(axes, (1, 0), strict=True):
            for place, method in enumerate(methods):
                points = curves[method.name, true]
                hue = colour(method.family) if method is judged.method else INK
                ax.plot(
                    [x for x, _ in points],
                    [y for _, y in points],
                    marker=MARKERS[place % len(MARKERS)],
                    ms=4,
                    ls=DASHES[place % len(DASHES)],
                    color=hue,
                    alpha=1.0 if method is judged.method else 0.55,
                    label=method.label,
                )
            ax.set(title=f"pairs that are {_ANSWERS[true]}", xlabel="difference of pixels", ylabel="accuracy")
        axes[0].legend()
        return canvas

    return Figure(key, title, caption, draw)


def _binned(method: Method, apart_N: np.ndarray, part_N: np.ndarray) -> list[tuple[float, float]]:
    """The median difference and the accuracy of equally large groups of pairs, from little to much difference."""
    rows = np.flatnonzero(part_N)
    rows = rows[np.argsort(apart_N[rows], kind="stable")]
    groups = np.array_split(rows, min(_BINS, len(rows) // _FEWEST)) if len(rows) >= _FEWEST else []
    return [(float(np.median(apart_N[group])), float(method.error_N[group].mean())) for group in groups]

"""Figures of single pairs count what was judged, and show it."""

from dataclasses import replace

import numpy as np
import pandas as pd
from small_pairs import drawings

from spectral_search.drawing.plotting import rendered
from spectral_search.record.methods import Method
from spectral_search.tasks.pairs.definition import TASK
from spectral_search.tasks.pairs.images.pair_part import drawn_pairs
from spectral_search.tasks.pairs.report.pair_figures import Judged, class_figure, confusion_figure, similarity_figure

IMAGES_MHW, CLASS_M = drawings(4, 10, 8)
PART = drawn_pairs(IMAGES_MHW.reshape(40, 64), CLASS_M, 200, tuple("abcd"), 1)
RIGHT_N = np.random.default_rng(0).random(200) < 0.8
LOGIT_N = np.where(RIGHT_N == (PART.same_N > 0.5), 2.0, -2.0)
LABELS = pd.DataFrame({"first_class": np.array(list("abcd"))[CLASS_M[PART.first_N]]})
METHOD = Method(
    name="mine",
    family="Siamese CNN",
    objective=TASK.objective,
    input="pixels",
    train_size=10,
    test_set="one",
    scores={"accuracy": float(RIGHT_N.mean())},
    labels=LABELS,
    target_N=PART.same_N.astype(np.float64),
    predicted_N=LOGIT_N,
)
JUDGED = Judged(METHOD, PART)


def test_every_answer_is_counted_once() -> None:
    figure = confusion_figure(JUDGED)
    same_N, said_N = PART.same_N > 0.5, LOGIT_N > 0
    rows = {row[0]: [int(cell) for cell in row[1:]] for row in figure.rows[1:]}
    assert rows["the same"] == [(same_N & ~said_N).sum(), (same_N & said_N).sum()]
    assert rows["different"] == [(~same_N & ~said_N).sum(), (~same_N & said_N).sum()]
    assert f"judges {(~RIGHT_N).sum()} of 200 test pairs wrongly" in figure.caption
    assert "data:image/png;base64," in rendered(figure).svg[0]


def test_without_images_it_still_counts() -> None:
    figure = confusion_figure(replace(JUDGED, part=None, missing="They are gone."))
    assert figure.draw is None and figure.caption.endswith("They are gone.") and len(figure.rows) == 3
    assert similarity_figure(replace(JUDGED, part=None, missing="They are gone."), [METHOD]).draw is None


def test_the_worst_class_comes_first_with_its_own_accuracy() -> None:
    figure = class_figure(JUDGED)
    found = {row[0]: float(row[1]) for row in figure.rows[1:]}
    for name in "abcd":
        assert found[name] == round(RIGHT_N[LABELS["first_class"] == name].mean(), 3)
    assert list(found.values()) == sorted(found.values())
    rendered(figure)
    unknown = replace(METHOD, labels=LABELS.assign(first_class=""))
    assert class_figure(Judged(unknown, PART)).draw is None


def test_accuracy_falls_where_pixels_mislead() -> None:
    """A method that goes by pixels alone recognises those of the same that look alike, and no others."""
    from spectral_search.tasks.pairs.baselines.pair_baselines import differences

    apart_N = np.sqrt((differences(PART) ** 2).mean(1))
    by_pixels = replace(METHOD, predicted_N=np.median(apart_N[PART.same_N > 0.5]) - apart_N)
    figure = similarity_figure(Judged(by_pixels, PART), [by_pixels])
    assert "in 100.0% where their pixels differ little" in figure.caption
    assert "in 0.0% where they differ much" in figure.caption
    rendered(figure)

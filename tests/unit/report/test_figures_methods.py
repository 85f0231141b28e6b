"""Figures of methods side by side: both sides of the ceiling are drawn and named."""

from made_methods import made_evidence, made_method

from spectral_search.drawing.figure import WIDE, Figure
from spectral_search.report.figures_methods import comparison_figure, size_figure

CEILING = made_method("ceiling (9)", "ceiling", r2=0.80, facts={"upper_estimate": 0.823})
NETWORKS = [made_method("m", r2=0.72), made_method("small", r2=0.6, train_size=9_000)]
RIDGES = [made_method("Ridge (9)", "Ridge", r2=0.5, seed=2)]
RIDGES += [made_method("Ridge on signal (9)", "Ridge on signal", r2=0.6, seed=3)]


def texts(figure: Figure) -> set[str]:
    canvas = figure.draw(WIDE)
    (ax,) = canvas.axes
    legends = [*canvas.legends, *([ax.get_legend()] if ax.get_legend() else [])]
    named = [text for legend in legends for text in legend.get_texts()]
    return {text.get_text() for text in [*named, *ax.get_yticklabels()]}


def test_the_upper_estimate_stands_beside_the_lower_bound() -> None:
    figure = comparison_figure(made_evidence([*NETWORKS[:1], CEILING, *RIDGES]))
    named = {row[0]: row for row in figure.rows[1:]}
    assert named["ceiling: upper estimate"][3] == "0.823" and named["ceiling: lower bound"][3] == "0.800"
    assert {"Ridge", "Ridge on signal", "m (MLP)"} <= set(named)
    assert "90.0% of the ceiling's lower bound" in figure.caption and "87.5% of its upper estimate" in figure.caption
    assert {"ceiling: upper estimate (100k)", "ceiling: lower bound (100k)"} <= texts(figure)


def test_both_are_drawn_against_size() -> None:
    figure = size_figure(made_evidence([*NETWORKS, CEILING]))
    assert {"ceiling: upper estimate", "ceiling: lower bound"} <= texts(figure)
    older = size_figure(made_evidence([*NETWORKS, made_method("ceiling (9)", "ceiling", r2=0.8)]))
    assert "ceiling: upper estimate" not in texts(older)

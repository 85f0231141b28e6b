"""Figures of searches."""

import pytest

from spectral_search.report.figures_runs import curves_figure


@pytest.mark.parametrize(
    ("family", "key"),
    [("siamese CNN", "siamese_cnn"), ("MoE-CNN", "moe_cnn"), ("space-time attention", "space_time_attention")],
)
def test_names_of_files_hold_no_blanks(family: str, key: str) -> None:
    assert curves_figure([], family).key == f"learning_curves_{key}"

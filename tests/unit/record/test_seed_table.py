"""What one config reached with each of several seeds."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_task import Cars

from spectral_search.record.seed_table import seed_entry, seed_lines, seeds_document


def entries(*maes: float, test: bool = True) -> list[dict[str, Any]]:
    return [
        seed_entry(
            40 + place,
            place,
            Cars(),
            {"epoch": 3, "val_mae": mae, "seconds": 1.0},
            {"mae": mae + 1} if test else None,
            f"seeds/seed{40 + place}.yaml",
        )
        for place, mae in enumerate(maes)
    ]


def lines(seeds: list[dict[str, Any]] | None) -> list[str]:
    return seed_lines(SimpleNamespace(manifest=SimpleNamespace(seeds=seeds), task=Cars(), paths=Path()))  # type: ignore[arg-type]


def test_each_seed_has_a_line_and_all_have_mean_and_spread() -> None:
    seeds = entries(2.0, 4.0, 6.0)
    assert seeds_document(seeds)["mean"] == {"val_mae": 4.0, "test_mae": 5.0}
    assert seeds_document(seeds)["std"] == {"val_mae": pytest.approx(2.0), "test_mae": pytest.approx(2.0)}
    head, first, *_, mean, std, models = (line.split() for line in lines(seeds))
    assert head == ["seed", "val", "MAE", "hp", "test", "MAE", "hp"]
    assert first == ["40", "2.000", "3.000"]
    assert models == ["models:", "seeds/seed40.yaml", "and", "on"]
    assert (mean, std) == (["mean", "4.000", "5.000"], ["std", "2.000", "2.000"])


def test_one_seed_has_no_spread_and_none_without_a_test_set_a_column_of_it() -> None:
    (entry,) = seeds = entries(2.0, test=False)
    assert seeds_document(seeds)["std"] == {"val_mae": None}
    assert "test_mae" not in entry
    assert [line.split()[0] for line in lines(seeds)] == ["seed", "40", "mean", "models:"]
    assert "test" not in lines(seeds)[0]


def test_a_seed_that_failed_counts_in_no_mean_and_is_told() -> None:
    seeds = [{"seed": 9, "trial": 0, "failure": "the loss became nan"}, *entries(2.0, 4.0)]
    assert seeds_document(seeds)["mean"]["val_mae"] == 3.0
    assert lines(seeds)[-1] == "seed 9 failed: the loss became nan"
    assert lines(seeds[:1]) == ["seed 9 failed: the loss became nan"]


def test_other_runs_have_no_table() -> None:
    assert lines(None) == []

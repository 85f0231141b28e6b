"""The grid whose learning curves are recorded, with its own input and with another."""

from pathlib import Path

from benchmarks.record_curves import GRID, command, spec_of
from spectral_search.spec.load import load_spec


def test_curves_can_be_recorded_with_another_input(tmp_path: Path) -> None:
    made = spec_of("whiten", tmp_path)
    spec, own = load_spec(str(made), environ={}), load_spec(str(GRID), environ={})
    assert (made.name, spec.data.input.kind) == ("curves_mlp_whiten.yaml", "whiten")
    assert (spec.space, spec.grid_points(), spec_of(None)) == (own.space, own.grid_points(), GRID)
    to_run = command(made, "ROOT", tmp_path)
    assert str(made) in to_run and "--set=search.pruner=none" in to_run and "curves_mlp_whiten" in to_run

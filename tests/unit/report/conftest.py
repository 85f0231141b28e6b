"""Run folders that figures are drawn of."""

from made_runs import make_run, written_runs

__all__ = ["make_run", "written_runs"]

"""Fixtures of run folders, as a search leaves them."""

from made_runs import finished_run, make_run, written_runs

__all__ = ["finished_run", "make_run", "written_runs"]

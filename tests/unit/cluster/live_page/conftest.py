"""Run folders that the live page reads."""

from made_runs import finished_run, make_run, written_runs

__all__ = ["finished_run", "make_run", "written_runs"]

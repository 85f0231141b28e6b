"""Fixtures of run folders, and of jobs and the cluster that they are sent to."""

from made_runs import make_run, written_runs
from small_jobs import folder, sent

__all__ = ["folder", "make_run", "sent", "written_runs"]

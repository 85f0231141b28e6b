"""The life of a run: plan, trials on Ray or in this process, study, resume, re-test, export."""

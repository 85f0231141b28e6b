"""The tasks: one folder each, with all that belongs to it and to nothing else."""

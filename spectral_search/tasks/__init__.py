"""The tasks: one folder each, with all that belongs to it and to nothing else."""

DEFAULT = "spectra"
"""The one that is meant where none is named."""

"""The data section of spectra, for specs."""

from spectral_search.spec.data import DataSpec

DATA = DataSpec

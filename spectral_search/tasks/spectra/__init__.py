"""Spectra: log g from noisy stellar spectra in HDF5 shards."""

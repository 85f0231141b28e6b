"""Shards: HDF5 files of spectra and labels, their checks, their split."""

"""Simulated spectra in the layout of real shards."""

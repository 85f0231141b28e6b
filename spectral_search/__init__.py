"""Hyperparameter search for neural networks that read stellar spectra."""

__version__ = "0.1.0"

"""Hyperparameter search for neural networks that read stellar spectra."""

import os

# MKL otherwise sums in an order that depends on where in memory a matrix begins, and so a trial's last digits on what
# trains beside it: on an AMD EPYC they did. MKL reads it when it is first called, in every process that trains.
os.environ.setdefault("MKL_CBWR", "AUTO")

__version__ = "0.1.0"

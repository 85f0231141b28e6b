"""Losses by the name in `fit.loss`: each module's LOSS."""

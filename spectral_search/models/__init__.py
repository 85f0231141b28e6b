"""Torch modules built from the model section of a spec."""

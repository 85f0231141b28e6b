"""Measurements of the project against floors and peers, for a checkout; what needs no Ray imports none."""

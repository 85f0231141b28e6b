"""Measurements of the project against floors and peers; what needs no Ray imports none."""

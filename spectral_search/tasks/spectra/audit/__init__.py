"""Audit of a data set: what leaks the label, whether recorded noise is what it should be, what stands twice."""

"""Searches as jobs of a cluster, and the live page."""

"""Shards, simulator, split, noise, inputs and the Ray Data source."""

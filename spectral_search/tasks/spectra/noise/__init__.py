"""The noise model: counter-based draws, clipped moments, and how much of it a small val set has."""

"""The subspace of the signal, and spectra as their components in it."""

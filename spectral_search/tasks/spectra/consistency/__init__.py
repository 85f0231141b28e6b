"""Whether the parts of a data root belong together, from a few spectra of each shard."""

"""Training techniques: one small module each, found by the name that `fit` gives it (see `spec.name_registry`)."""

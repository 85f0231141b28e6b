"""Training of one or more members on shared batches; needs torch only, neither ray nor optuna."""

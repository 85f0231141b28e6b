"""The same searches as a user of Ray Tune, of Optuna or of a plain loop would write them."""

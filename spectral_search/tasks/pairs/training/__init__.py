"""Pairs as training, re-tests and exported models ask for them."""

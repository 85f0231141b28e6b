"""What reports say of pairs."""

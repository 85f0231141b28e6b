"""What can be said of pairs without any network."""

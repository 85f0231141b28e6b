"""The families of networks: what is known of each without building it. Imports no torch."""

"""What `spectral-search bench` measures, a module a part."""

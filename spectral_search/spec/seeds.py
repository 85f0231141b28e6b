"""A spec's seed, which may be any whole number of 64 bits, as the libraries that draw from it take it."""


def numpy_seed(seed: int) -> int:
    """As numpy takes it, which refuses what is below 0."""
    return seed % 2**64


def lightgbm_seed(seed: int) -> int:
    """As LightGBM takes it, which has room for 31 bits."""
    return seed % 2**31

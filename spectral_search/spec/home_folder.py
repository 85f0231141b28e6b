"""The home folder of whoever runs this, which need not be there: a container's user often has neither name nor home."""

import os
from pathlib import Path

from spectral_search.errors import RequestError
from spectral_search.places import given_path

CACHE_VARIABLE = "SPECTRAL_SEARCH_CACHE"


def cache_folder() -> Path:
    """Where what can be made again is kept: SPECTRAL_SEARCH_CACHE, else in XDG_CACHE_HOME, else in the home folder.

    Raises:
        RequestError: There is no home folder.
    """
    if given := os.environ.get(CACHE_VARIABLE):
        return given_path(given, CACHE_VARIABLE).absolute()
    from platformdirs import user_cache_path  # not needed by most commands

    try:
        return user_cache_path("spectral-search")
    except RuntimeError:
        raise RequestError(
            "There is no home folder in which data that are simulated or fetched could be kept: set HOME, "
            f"XDG_CACHE_HOME or {CACHE_VARIABLE}, or give a folder with --data-root."
        ) from None


def cache_limit(variable: str, usual_gb: float, what: str) -> int:
    """The bytes that a variable of the environment, in gigabytes, lets a cache take.

    Args:
        variable: Its name.
        usual_gb: Where it is not set.
        what: What is kept there.

    Raises:
        RequestError: It is no number of gigabytes.
    """
    text = os.environ.get(variable, "").strip() or str(usual_gb)
    try:
        limit = float(text)
    except ValueError:
        limit = -1.0
    if not 0 <= limit < float("inf"):
        raise RequestError(
            f"{variable} is {text!r} and must be the gigabytes that the cache of {what} may take, such as "
            f"{usual_gb:g}; 0 keeps nothing."
        )
    return round(limit * 1e9)

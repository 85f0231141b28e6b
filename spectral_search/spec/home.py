"""The home folder of whoever runs this, which need not be there: a container's user often has neither name nor home."""

from pathlib import Path

from spectral_search.errors import RequestError


def cache_folder() -> Path:
    """Where what can be made again is kept: XDG_CACHE_HOME, else in the home folder.

    Raises:
        RequestError: There is no home folder.
    """
    from platformdirs import user_cache_path  # not needed by most commands

    try:
        return user_cache_path("spectral-search")
    except RuntimeError:
        raise RequestError(
            "There is no home folder in which a small simulated data set could be kept: give --data-root DIR, or set "
            "HOME or XDG_CACHE_HOME."
        ) from None

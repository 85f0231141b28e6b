"""Paths that begin with a home folder which is not there."""

import pytest

from spectral_search.errors import RequestError
from spectral_search.spec.home import cache_folder, expand_home


def test_a_home_folder_is_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert str(expand_home("~/data")) == "/home/somebody/data"
    assert str(expand_home("a~b/c")) == "a~b/c"


def test_the_home_of_nobody_is_refused() -> None:
    with pytest.raises(RequestError, match=r"~nobody-of-that-name/x cannot be found, .* write the path in full"):
        expand_home("~nobody-of-that-name/x")


def test_the_cache_needs_no_home_where_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert str(cache_folder()) == "/caches/spectral-search"

"""Paths that begin with a home folder which is not there."""

import pytest

from spectral_search.errors import RequestError
from spectral_search.places import given_path
from spectral_search.spec.home_folder import CACHE_VARIABLE, cache_folder


def test_a_home_folder_is_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert str(given_path("~/data", "it")) == "/home/somebody/data"
    assert str(given_path("a~b/c", "it")) == "a~b/c"


def test_the_home_of_nobody_is_refused() -> None:
    with pytest.raises(RequestError, match=r"~nobody-of-that-name/x cannot be found, .* write the path in full"):
        given_path("~nobody-of-that-name/x", "it")


def test_the_cache_needs_no_home_where_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert str(cache_folder()) == "/caches/spectral-search"


def test_one_variable_moves_the_whole_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv(CACHE_VARIABLE, "~/large")
    assert str(cache_folder()) == "/home/somebody/large"
    monkeypatch.setenv(CACHE_VARIABLE, "")
    assert str(cache_folder()) == "/caches/spectral-search"

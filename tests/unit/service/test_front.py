"""The names that `spectral_search.service` has without importing them."""

import pytest

from spectral_search import service


def test_every_name_is_found_in_the_module_that_defines_it() -> None:
    for name in dir(service):
        found = getattr(service, name)
        assert found.__name__ == name
        assert found.__module__ == service._MODULE_OF[name]


def test_another_name_is_no_verb() -> None:
    with pytest.raises(AttributeError, match="service has no plot: it has .*resume"):
        _ = service.plot

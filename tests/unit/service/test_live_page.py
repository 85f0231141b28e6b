import socket
from pathlib import Path

import pytest

from spectral_search import service
from spectral_search.errors import RequestError


def refused(tmp_path: Path, **given: object) -> str:
    options: dict[str, object] = {"name": None, "results": str(tmp_path), **given}
    with pytest.raises(RequestError) as fault:
        service.dashboard(options.pop("name"), lambda text: None, **options)
    return str(fault.value)


def test_what_cannot_be_served_is_refused(tmp_path: Path) -> None:
    assert "No run 'gone'" in refused(tmp_path, name="gone")
    assert "--port 65536" in refused(tmp_path, port=65536)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "another with --port" in refused(tmp_path, port=taken.getsockname()[1])
    assert "cannot be listened on" in refused(tmp_path, host="192.0.2.1")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0:0::0", "0", ""])
def test_an_address_that_stands_for_all_is_refused(tmp_path: Path, host: str) -> None:
    """No browser could call the page there: it answers only requests that name its host."""
    assert "stands for every address of this machine" in refused(tmp_path, host=host)


def test_another_host_than_loopback_is_warned_of(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(RequestError):
        service.dashboard(None, said.append, results=str(tmp_path), host="192.0.2.1")
    assert "whoever reaches this machine" in said[0]

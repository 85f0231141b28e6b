"""The live page: every run of a results folder in a browser, while they run and afterwards."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable

from spectral_search.errors import RequestError
from spectral_search.places import is_loopback
from spectral_search.record.paths import RunPaths, results_root

_HOST = "127.0.0.1"
_MOST_PORT = 65535


def dashboard(
    name: str | None,
    say: Callable[[str], None],
    *,
    results: str | None = None,
    host: str = _HOST,
    port: int = 0,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve the live page until it is interrupted.

    Args:
        name: A run to begin with; the list of all where absent.
        say: Shows one sentence.
        results: The results folder; it need not exist yet.
        host: Where to listen.
        port: Where to listen; 0 takes a free one.
        ready: Called with the page's address once it can be opened.

    Raises:
        RequestError: There is no such run, the address cannot be listened on or stands for every one, or plotly is not
            installed.
    """
    from spectral_search.cluster.live_page.results_folder import ResultsFolder
    from spectral_search.cluster.live_page.server import LOOPBACK, application, serve

    root = results_root(results)
    if name is not None:
        RunPaths(root, name).require()
    if not 0 <= port <= _MOST_PORT:
        raise RequestError(f"--port {port} is no port: give one up to {_MOST_PORT}, or none for a free one.")
    if _stands_for_all(host):
        raise RequestError(
            f"--host {host or repr(host)} stands for every address of this machine, and the page answers only to one "
            "name: give the address or name by which browsers are to call it, or none and come by ssh "
            f"(`ssh -L 8080:127.0.0.1:{port or 'PORT'} {socket.gethostname()}`)."
        )
    shown = f"[{host}]" if ":" in host else host
    if not is_loopback(host):
        say(f"Listening on {host}: whoever reaches this machine there can read all runs of {root}.")
    app = application(ResultsFolder(root), (*LOOPBACK, shown.lower()))

    def listening(taken: int) -> None:
        address = f"http://{shown}:{taken}/{f'#/run/{name}' if name else ''}"
        say(f"{root.absolute()}: {address} (Ctrl-C ends it)")
        ready(address)

    try:
        asyncio.run(serve(app, host, port, listening))
    except OSError as fault:
        reason = (fault.strerror or str(fault)).lower()
        raise RequestError(
            f"{host} port {port} cannot be listened on ({reason}): give another with --port, or none for a free one."
        ) from None


def _stands_for_all(host: str) -> bool:
    """Whether a server there would listen on every address of the machine."""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)} if host else {"::"}
    except (OSError, UnicodeError):  # no address at all, which listening there will tell
        return False
    return any(ipaddress.ip_address(address).is_unspecified for address in found)

"""The server of the live page: a few files and JSON documents, read only, for this machine alone.

A page of another origin must not read it by way of the user's browser: only requests that name this very host are
answered (which DNS rebinding cannot fake), and scripts come from here alone.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aiohttp import web

from spectral_search.cluster.live_page.results_folder import ResultsFolder, WatchedRun
from spectral_search.cluster.live_page.run_importance import importance_document
from spectral_search.cluster.live_page.run_list import runs_document
from spectral_search.cluster.live_page.run_now import curves_text, run_document, trials_document
from spectral_search.cluster.live_page.runs_compared import comparison_document
from spectral_search.errors import RequestError
from spectral_search.record.durable import plain

BROWSER = Path(__file__).with_name("browser")
# Listed one by one: no path out of a request is ever looked up in that folder.
FILES = {
    "index.html": "text/html",
    "style.css": "text/css",
    "page.js": "text/javascript",
    "parts.js": "text/javascript",
    "charts.js": "text/javascript",
    "parallel.js": "text/javascript",
    "words.js": "text/javascript",
    "run_list.js": "text/javascript",
    "run_view.js": "text/javascript",
    "compare_view.js": "text/javascript",
}
_HEADERS = {
    # Plotly sets styles of what it draws; scripts and everything else come from this server alone.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def plotly_file() -> Path:
    """Plotly's script for browsers, as its Python package brings it.

    Raises:
        RequestError: It is not installed.
    """
    found = find_spec("plotly")
    folders = list(found.submodule_search_locations or ()) if found is not None else []
    for folder in folders:
        file = Path(folder, "package_data", "plotly.min.js")
        if file.is_file():
            return file
    raise RequestError("The live page draws with plotly, which is not installed: `pip install plotly`.")


def application(folder: ResultsFolder, hosts: tuple[str, ...] = LOOPBACK) -> web.Application:
    """The live page of a results folder.

    Args:
        folder: The folder.
        hosts: Names and addresses by which a browser may call this server.

    Raises:
        RequestError: Plotly is not installed.
    """
    app = web.Application(middlewares=[_guard(hosts)])
    app.router.add_get("/", _file(BROWSER / "index.html", "text/html"))
    for name, kind in FILES.items():
        app.router.add_get(f"/{name}", _file(BROWSER / name, kind))
    app.router.add_get("/plotly.js", _file(plotly_file(), "text/javascript"))
    app.router.add_get("/api/runs", _answer(lambda request: runs_document(folder)))
    app.router.add_get("/api/compare", _answer(lambda q: comparison_document(folder, q.query.getall("run", []))))
    documents: dict[str, Callable[[WatchedRun, float], Any]] = {
        "": run_document,
        "/trials": trials_document,
        "/curves": curves_text,
        "/importance": importance_document,
    }
    for path, make in documents.items():
        app.router.add_get(f"/api/runs/{{name}}{path}", _answer(_of_run(folder, make)))
    return app


def _of_run(folder: ResultsFolder, make: Callable[[WatchedRun, float], Any]) -> Callable[[web.Request], Any]:
    def made(request: web.Request) -> Any:
        run = folder.watched(request.match_info["name"])
        with run.lock:
            return make(run, folder.now())

    return made


def _answer(make: Callable[[web.Request], Any]) -> Handler:
    """A handler that gives a document as JSON, or one plain sentence where there is none."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            # Reading may wait for a disk or for a search that is just writing; others are answered meanwhile.
            text = await asyncio.to_thread(lambda: _text(make(request)))
        except RequestError as fault:
            return web.json_response({"error": " ".join(fault.faults)}, status=404)
        except OSError as fault:  # the folder went away while it was read
            return web.json_response({"error": f"The results cannot be read ({fault.strerror})."}, status=404)
        except Exception as fault:
            # A record that somebody edited may hold anything; the other runs are shown all the same.
            logging.getLogger(__name__).exception("%s", request.path)
            said = f"This cannot be shown: its record holds something unexpected ({type(fault).__name__}: {fault})."
            return web.json_response({"error": said}, status=500)
        return _tagged(request, text.encode(), "application/json")

    return answer


def _text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(plain(document), allow_nan=False)


def _file(path: Path, kind: str) -> Handler:
    content: list[bytes] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if not content:
            # Kept, for Plotly's script alone has some megabytes.
            content.append(path.read_bytes())
        return _tagged(request, content[0], kind)

    return answer


def _tagged(request: web.Request, body: bytes, kind: str) -> web.Response:
    """The body, or that the browser has the same already."""
    tag = hashlib.blake2b(body, digest_size=12).hexdigest()
    # "no-cache" lets the browser keep it but has it ask each time, which the tag makes cheap.
    headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    if any(known.value == tag for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)


def _guard(hosts: tuple[str, ...]) -> Any:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _host_of(request.headers.get("Host", "")) not in hosts:
            response: web.StreamResponse = web.Response(status=421, text="This server has another name.\n")
        elif request.method not in ("GET", "HEAD"):
            response = web.Response(
                status=405, text="This page only shows: GET alone.\n", headers={"Allow": "GET, HEAD"}
            )
        else:
            try:
                response = await handler(request)
            # A page that is not there is raised; made an answer, it gets the headers below like any other.
            except web.HTTPException as refused:
                response = web.Response(status=refused.status, text=f"{refused.reason}\n")
        response.headers.update(_HEADERS)
        return response

    return guard


def _host_of(header: str) -> str:
    """The host of a Host header, without its port; an IPv6 address in its brackets."""
    if header.startswith("["):
        return header.partition("]")[0] + "]"
    return header.partition(":")[0].lower()


async def serve(app: web.Application, host: str, port: int, ready: Callable[[int], None]) -> None:
    """Serve until cancelled.

    Args:
        app: From `application`.
        host: Address to listen on.
        port: 0 takes a free one.
        ready: Called with the port once it listens.

    Raises:
        OSError: The address cannot be listened on.
    """
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        ready(int(runner.addresses[0][1]))
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()

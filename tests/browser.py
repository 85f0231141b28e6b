"""A headless Chromium that tests drive by its DevTools protocol."""

import asyncio
import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
PATIENCE_S = 60.0
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
_SHIFT = 8


class Browser:
    """One page in one browser.

    Args:
        width: Of the page, pixels.
        height: Likewise.
        dark: Whether it prefers dark colours.
    """

    def __init__(self, width: int = 1280, height: int = 900, *, dark: bool = False) -> None:
        self._size, self._dark = (width, height), dark
        self._loop = asyncio.new_event_loop()
        self._profile = tempfile.mkdtemp(prefix="spectral-search-chromium-")
        self._last = 0
        self.said: list[str] = []
        """Errors and messages of its console: a refused script is one of them."""

    def __enter__(self) -> "Browser":
        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--hide-scrollbars")
        self._process = subprocess.Popen(
            [str(CHROMIUM), *options, f"--user-data-dir={self._profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._do(self._connect())
        return self

    def __exit__(self, *about: object) -> None:
        with suppress(Exception):
            self._do(self._session.close())
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._loop.close()
        shutil.rmtree(self._profile, ignore_errors=True)

    def _do(self, work: Awaitable[Any]) -> Any:
        return self._loop.run_until_complete(asyncio.wait_for(work, PATIENCE_S))

    async def _connect(self) -> None:
        port_file, until = Path(self._profile, "DevToolsActivePort"), time.monotonic() + PATIENCE_S
        while not (port_file.exists() and len(port_file.read_text().split()) == 2):
            assert time.monotonic() < until, "Chromium does not start"
            await asyncio.sleep(0.05)
        port = port_file.read_text().split()[0]
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            page = next(found for found in await answer.json() if found["type"] == "page")
        self._socket = await self._session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0)
        width, height = self._size
        scheme = {"name": "prefers-color-scheme", "value": "dark" if self._dark else "light"}
        for method, given in (
            ("Page.enable", {}),
            ("Runtime.enable", {}),
            ("Log.enable", {}),
            (
                "Emulation.setDeviceMetricsOverride",
                {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
            ),
            ("Emulation.setEmulatedMedia", {"features": [scheme]}),
        ):
            await self._call(method, **given)

    async def _call(self, method: str, **given: Any) -> dict[str, Any]:
        self._last += 1
        mine = self._last
        await self._socket.send_str(json.dumps({"id": mine, "method": method, "params": given}))
        while True:
            told = json.loads((await self._socket.receive()).data)
            if told.get("id") == mine:
                assert "error" not in told, told
                result: dict[str, Any] = told["result"]
                return result
            self._hear(told)

    def _hear(self, told: dict[str, Any]) -> None:
        given = told.get("params", {})
        if told.get("method") == "Runtime.exceptionThrown":
            self.said.append(str(given["exceptionDetails"].get("exception", {}).get("description", given)))
        elif told.get("method") == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.said.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")
        elif told.get("method") == "Page.javascriptDialogOpening":
            self.said.append(f"dialog {given['message']}")

    def open(self, url: str) -> None:
        """Go to an address."""
        self._do(self._call("Page.navigate", url=url))
        self.wait_for("document.readyState === 'complete'")

    def ask(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page."""
        answer = self._do(self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True))
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str, patience_s: float = PATIENCE_S) -> Any:
        """The value of an expression as soon as it is true."""
        until = time.monotonic() + patience_s
        while not (found := self.ask(expression)):
            assert time.monotonic() < until, (expression, self.ask("document.body.innerText")[:2000], self.said)
            time.sleep(0.1)
        return found

    def press(self, key: str, *, shift: bool = False) -> None:
        """One key, as a person presses it."""
        about = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key], "modifiers": _SHIFT * shift}
        text = {"Enter": {"text": "\r"}, " ": {"text": " "}}.get(key, {})
        self._do(self._call("Input.dispatchKeyEvent", type="keyDown", **about, **text))
        self._do(self._call("Input.dispatchKeyEvent", type="keyUp", **about))

    def drag(self, x: float, start: float, end: float, *, touch: bool = False) -> None:
        """Down at one height, up at another, by mouse or by finger; in pixels of the window."""
        for kind, y in (("down", start), ("move", (start + end) / 2), ("move", end), ("up", end)):
            if touch:
                points = [] if kind == "up" else [{"x": x, "y": y}]
                name = {"down": "touchStart", "move": "touchMove", "up": "touchEnd"}[kind]
                self._do(self._call("Input.dispatchTouchEvent", type=name, touchPoints=points))
            else:
                name = {"down": "mousePressed", "move": "mouseMoved", "up": "mouseReleased"}[kind]
                given = {"type": name, "x": x, "y": y, "button": "left", "buttons": int(kind != "up"), "clickCount": 1}
                self._do(self._call("Input.dispatchMouseEvent", **given))

    def picture(self, file: Path, height: int | None = None) -> Path:
        """What the page looks like, as PNG; its upper part of a height, else what the window shows."""
        if height is not None:
            width = self._size[0]
            metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
            self._do(self._call("Emulation.setDeviceMetricsOverride", **metrics))
            time.sleep(0.5)
        answer = self._do(self._call("Page.captureScreenshot", format="png"))
        file.write_bytes(base64.b64decode(answer["data"]))
        return file

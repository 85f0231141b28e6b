"""Reads the live page of a results folder over and over, kills its server now and then, and starts it anew."""

import json
import random
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError

from processes import Running

ASK_SECONDS = 0.3
LIFE_SECONDS = (5.0, 20.0)
"""How long a server is let live."""
PATIENCE_SECONDS = 60.0
"""For an answer, on a busy machine; how long one really took is told."""
OF_A_RUN = ("", "/trials", "/curves", "/importance")


class LivePageReader:
    """Context manager.

    Args:
        results: The results folder.
        log: Where a server says where it listens.
        rng: Says when a server is killed, and which run is read.
    """

    def __init__(self, results: Path, log: Path, rng: random.Random) -> None:
        self._results, self._log, self._rng = results, log, rng
        self.kills, self.answers, self.slowest_s = 0, 0, 0.0
        self.unanswered: list[str] = []
        """What was asked for in vain, and why."""

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.kill()

    def _start(self) -> None:
        self._server = Running("dashboard", "--results", self._results, "--json", log=self._log)
        assert self._server.wait_for(lambda: self._log.read_text().endswith("}\n")), self._log.read_text()
        text = self._log.read_text()
        self._address = json.loads(text[text.index("{") :])["address"] + "api/runs"
        self._asked, self._until = 0.0, time.monotonic() + self._rng.uniform(*LIFE_SECONDS)

    def look(self) -> None:
        """Ask for all that there is to be read, unless that was done just now."""
        now = time.monotonic()
        if now > self._until:
            self._server.kill()
            self.kills += 1
            self._start()
        if now > self._asked + ASK_SECONDS:
            runs = self._ask("")
            # The newest one is that which is worked on.
            for name in [run["name"] for run in runs["runs"][:1]] if runs else []:
                for document in OF_A_RUN:
                    self._ask(f"/{name}{document}")
            self._asked = time.monotonic()

    def _ask(self, what: str) -> Any:
        began = time.monotonic()
        try:
            with urllib.request.urlopen(f"{self._address}{what}", timeout=PATIENCE_SECONDS) as answer:
                found = json.load(answer)
        except HTTPError as fault:
            self.unanswered.append(f"{what or 'all runs'}: {fault.code} {fault.read().decode()}")
            return None
        except OSError as fault:
            self.unanswered.append(f"{what or 'all runs'}: {fault}")
            return None
        self.answers += 1
        self.slowest_s = max(self.slowest_s, round(time.monotonic() - began, 3))
        return found

"""A Ray cluster's jobs, over HTTP, as its dashboard offers them.

Ray's own JobSubmissionClient speaks the same requests. It takes a second to import, and the variables RAY_ADDRESS and
RAY_API_SERVER_ADDRESS, where set, silently take the place of the address that it is given; here the address counts.
"""

import http.client
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from spectral_search.errors import RequestError
from spectral_search.places import is_loopback

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
"""Where a cluster on this machine takes jobs."""
_TOKEN, _TOKEN_FILE = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
_NOT_YET = "No available agent"
"""What a cluster says that has just been started."""


class NotThereError(RequestError):
    """A cluster does not know what it was asked for."""


class _NoRedirect(HTTPRedirectHandler):
    """A redirect would carry the token on to wherever it points."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


def job_address(text: str) -> str:
    """Where a cluster takes jobs, as http://HOST:PORT.

    Raises:
        RequestError: It is none, or holds a password, which would be written down.
    """
    url = text if "://" in text else f"http://{text}"
    if "@" in url:  # first, and wherever it stands: a password may hold a / or a [, and is not to be repeated
        raise RequestError(
            "--address holds a user or a password, and addresses are written down: put Ray's token into "
            "~/.ray/auth_token instead."
        )
    try:
        parts = urlsplit(url)
        scheme, port, host = parts.scheme, parts.port, parts.hostname
    except ValueError:
        scheme, port, host = "", None, None
    if scheme not in ("http", "https") or not host or (port is None and scheme == "http"):
        raise RequestError(
            f"--address {text} is not where a cluster takes jobs: give its dashboard, such as {DEFAULT_ADDRESS}."
        )
    return url.rstrip("/")


def is_job_address(text: str | None) -> bool:
    """Whether an address is where jobs go, rather than a cluster to join."""
    return text is not None and text.startswith(("http://", "https://"))


def open_to_others(address: str) -> bool:
    """Whether requests to an address leave this machine in plain text."""
    return urlsplit(address).scheme == "http" and not on_this_machine(address)


def on_this_machine(address: str) -> bool:
    """Whether an address is a loopback one."""
    return is_loopback(urlsplit(address).hostname or "")


def known_token(environ: Mapping[str, str] = os.environ) -> str | None:
    """The token of the cluster, from where Ray looks for it; None where there is none."""
    if token := environ.get(_TOKEN):
        return token.strip()
    try:
        file = Path(environ[_TOKEN_FILE]) if environ.get(_TOKEN_FILE) else Path.home() / ".ray" / "auth_token"
        return file.read_text().strip() or None
    except (OSError, RuntimeError):
        return None


@dataclass(frozen=True)
class RayJobs:
    """The jobs of one cluster.

    Args:
        address: Where it takes them, from `job_address`.
        seconds: How long it may take to answer.
    """

    address: str
    seconds: float = 30.0

    def submit(self, entrypoint: str, submission_id: str, metadata: dict[str, str], variables: dict[str, str]) -> None:
        """Hand over a job; it is started when the cluster gets to it.

        Args:
            entrypoint: A shell's command line.
            submission_id: What it is called.
            metadata: What the job finds in its environment; other users of the cluster can read it.
            variables: Environment variables of the job.
        """
        request = {"entrypoint": entrypoint, "submission_id": submission_id, "metadata": metadata}
        deadline = time.monotonic() + self.seconds
        while True:
            try:
                self._ask("POST", "/api/jobs/", {**request, "runtime_env": {"env_vars": variables}})
                return
            except RequestError as error:
                # A fresh cluster answers before it can start jobs; every other refusal would come again.
                if _NOT_YET not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(1.0)

    def info(self, submission_id: str) -> dict[str, Any] | None:
        """What the cluster knows of a job: status, message, times; None where it knows no such job."""
        try:
            return dict(self._ask("GET", f"/api/jobs/{quote(submission_id, safe='')}"))
        except NotThereError:
            return None

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs of the cluster."""
        return list(self._ask("GET", "/api/jobs/"))

    def logs(self, submission_id: str) -> str:
        """What a job's own process has written so far."""
        return str(self._ask("GET", f"/api/jobs/{quote(submission_id, safe='')}/logs").get("logs") or "")

    def stop(self, submission_id: str) -> bool:
        """Ask a job to stop; whether it was there to be asked."""
        try:
            return bool(self._ask("POST", f"/api/jobs/{quote(submission_id, safe='')}/stop").get("stopped"))
        except NotThereError:
            return False

    def nodes(self) -> list[dict[str, float]]:
        """What each living node has: CPU, GPU, memory in bytes."""
        # Without a limit Ray's state API lists 100 nodes, and it never lists more than 10,000.
        found = self._ask("GET", "/api/v0/nodes?limit=10000")["data"]["result"]["result"]
        return [node["resources_total"] for node in found if node["state"] == "ALIVE"]

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON answer to a request.

        Raises:
            NotThereError: There is no such thing.
            RequestError: Nothing answers, it is no Ray, or it does not let us in.
        """
        headers = {"Content-Type": "application/json"}
        if token := known_token():
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.address}{path}", data=data, headers=headers, method=method)
        try:
            with build_opener(_NoRedirect).open(request, timeout=self.seconds) as answer:
                return json.loads(answer.read())
        except HTTPError as error:
            raise self._refused(error) from None
        except (URLError, OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            told = getattr(reason, "strerror", None) or str(reason)
            raise RequestError(
                f"No Ray cluster answers at {self.address} ({told.lower()}): check the address of its dashboard, and "
                "that it runs."
            ) from None
        except ValueError:
            raise RequestError(f"What answers at {self.address} is no Ray dashboard: check the address.") from None

    def _refused(self, error: HTTPError) -> RequestError:
        # What answers need not be Ray, and its page may be of any length.
        said = error.read(2000).decode(errors="replace").strip()
        if error.code in (401, 403):
            return RequestError(
                f"The cluster at {self.address} asks for its token: put it into ~/.ray/auth_token (readable by you "
                f"only), or name its file in {_TOKEN_FILE}."
            )
        if error.code == 404:
            return NotThereError(f"The cluster at {self.address} knows no {error.url.removeprefix(self.address)}.")
        line = next((line for line in reversed(said.splitlines()) if line.strip()), f"HTTP {error.code}")
        return RequestError(f"The cluster at {self.address} refused ({line.strip()}).")

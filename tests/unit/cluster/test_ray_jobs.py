"""Requests to a cluster: where they go, with which token, and what is said when nothing or something else answers."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from spectral_search.cluster.ray_jobs import (
    NotThereError,
    RayJobs,
    is_job_address,
    job_address,
    known_token,
    on_this_machine,
    open_to_others,
)
from spectral_search.errors import RequestError


class Recorder(BaseHTTPRequestHandler):
    """Answers as told, and remembers what it was asked."""

    answers: dict[str, tuple[int, str]] = {}
    asked: list[tuple[str, str, str | None, bytes]] = []
    elsewhere = ""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append((self.command, self.path, self.headers.get("Authorization"), body))
        code, text = self.answers.get(self.path, (404, "not found"))
        self.send_response(code)
        if code == 302:
            self.send_header("Location", self.elsewhere)
        self.end_headers()
        self.wfile.write(text.encode())

    do_POST = do_GET

    def log_message(self, *values: object) -> None:
        pass


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a-secret")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    Recorder.asked, Recorder.answers = [], {}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_address_that_is_given_counts_whatever_ray_would_take(
    cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:1")
    Recorder.answers["/api/jobs/"] = (200, "{}")
    RayJobs(cluster).submit("exec true", "a-1", {"name": "a"}, {"X": "1"})
    ((method, path, authorization, body),) = Recorder.asked
    assert (method, path, authorization) == ("POST", "/api/jobs/", "Bearer a-secret")
    assert json.loads(body) == {
        "entrypoint": "exec true",
        "submission_id": "a-1",
        "metadata": {"name": "a"},
        "runtime_env": {"env_vars": {"X": "1"}},
    }


def test_a_redirect_carries_the_token_nowhere(cluster: str) -> None:
    Recorder.answers["/api/jobs/"], Recorder.elsewhere = (302, ""), f"{cluster}/stolen"
    with pytest.raises(RequestError, match="refused"):
        RayJobs(cluster).jobs()
    assert [path for _, path, *_ in Recorder.asked] == ["/api/jobs/"]


def test_what_a_cluster_refuses_is_told_in_a_sentence_without_the_token(cluster: str) -> None:
    Recorder.answers["/api/jobs/"] = (401, "Unauthorized")
    with pytest.raises(RequestError, match="asks for its token: put it into") as told:
        RayJobs(cluster).jobs()
    assert "a-secret" not in str(told.value)
    Recorder.answers["/api/jobs/"] = (200, "<html>")
    with pytest.raises(RequestError, match="is no Ray dashboard"):
        RayJobs(cluster).jobs()
    with pytest.raises(NotThereError):
        RayJobs(cluster).nodes()
    assert RayJobs(cluster).info("x/../y") is None and Recorder.asked[-1][1] == "/api/jobs/x%2F..%2Fy"


def test_nothing_that_answers() -> None:
    with pytest.raises(RequestError, match=r"No Ray cluster answers at http://127.0.0.1:1 \(connection refused\)"):
        RayJobs("http://127.0.0.1:1").jobs()


@pytest.mark.parametrize(
    "address",
    [
        "ray://head:10001",
        "head",
        "http://",
        "http://head:port",
        "ftp://head:1",
        "http://[head:1",
        "http://me:word@head:8265",
        "http://me:a/word@head:8265",
    ],
)
def test_what_is_no_address_of_jobs(address: str) -> None:
    with pytest.raises(RequestError, match="--address") as told:
        job_address(address)
    assert "word" not in str(told.value).replace("password", "")


def test_addresses() -> None:
    assert job_address("head:8265") == "http://head:8265" == job_address("http://head:8265/")
    assert is_job_address("https://head") and not is_job_address("head:6379") and not is_job_address(None)
    assert open_to_others("http://10.0.0.5:8265") and not open_to_others("https://10.0.0.5")
    assert on_this_machine("http://127.0.0.1:8265") and on_this_machine("http://[::1]:8265")
    assert not on_this_machine("https://10.0.0.5")


def test_the_token_lies_where_ray_looks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert known_token({}) is None
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("of home\n")
    (tmp_path / "other").write_text("of a file")
    assert known_token({}) == "of home"
    assert known_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "other")}) == "of a file"
    assert known_token({"RAY_AUTH_TOKEN": "itself", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "other")}) == "itself"

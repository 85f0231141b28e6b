"""The server as a browser, and as a page that should not reach it, calls it."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from made_runs import MakeRun
from multidict import CIMultiDictProxy

from spectral_search.cluster.live_page.results_folder import ResultsFolder
from spectral_search.cluster.live_page.server import BROWSER, FILES, application, plotly_file
from spectral_search.errors import RequestError
from spectral_search.record.durable import append_line

Answer = tuple[int, CIMultiDictProxy[str], bytes]


def ask(root: Path, *paths: str, method: str = "GET", **headers: str) -> list[Answer]:
    """What a server of a results folder answers."""

    async def calls() -> list[Answer]:
        answers = []
        async with TestClient(TestServer(application(ResultsFolder(root)))) as client:
            for path in paths:
                answer = await client.request(method, path, headers=headers)
                answers.append((answer.status, answer.headers, await answer.read()))
        return answers

    return asyncio.run(calls())


def document(answer: Answer) -> Any:
    return json.loads(answer[2])


def test_documents_of_runs(make_run: MakeRun) -> None:
    root = make_run().root
    paths = ("", "/trials", "/curves", "/importance")
    answers = ask(root, "/api/runs", *(f"/api/runs/cnn_stage1a{path}" for path in paths))
    assert [status for status, _, _ in answers] == [200] * 5
    assert document(answers[0])["runs"][0]["best"] == 0.61
    assert document(answers[1])["best"]["trial"] == 1


def test_what_is_not_there_is_said_in_a_sentence(make_run: MakeRun) -> None:
    paths = make_run()
    paths.spec_yaml.write_text("{")
    gone, damaged = ask(paths.root, "/api/runs/gone", "/api/runs/cnn_stage1a")
    assert gone[0] == 404 and "No run 'gone'" in document(gone)["error"]
    assert damaged[0] == 404 and "spec.yaml" in document(damaged)["error"]
    assert [status for status, _, _ in ask(paths.root, "/other", "/../server.py", "/api/runs/..%2Fx")] == [404] * 3


def test_a_record_that_holds_anything_at_all_is_one_runs_fault(make_run: MakeRun) -> None:
    paths = make_run(best=None, retest={"low": []}, state="finished")
    append_line(paths.trial(4).progress_jsonl, {"epoch": 2, "val_r2": 0.3, "at_unix_seconds": "noon"})
    paths.manifest_json.write_text(paths.manifest_json.read_text().replace('"finished"', '"running"'))
    run, all_runs = ask(paths.root, "/api/runs/cnn_stage1a", "/api/runs")
    assert run[0] == 500 and "TypeError" in document(run)["error"]
    assert all_runs[0] == 200 and document(all_runs)["runs"][0]["best"] == 0.61


def test_what_the_browser_has_is_not_sent_again(tmp_path: Path) -> None:
    ((_, headers, _),) = ask(tmp_path, "/api/runs")
    ((status, _, body),) = ask(tmp_path, "/api/runs", **{"If-None-Match": headers["ETag"]})
    assert (status, body) == (304, b"")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::2]:80"])
def test_only_requests_that_name_this_machine_are_answered(tmp_path: Path, host: str) -> None:
    assert [status for status, _, _ in ask(tmp_path, "/", "/api/runs", Host=host)] == [421, 421]


def test_nothing_can_be_changed(tmp_path: Path) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(tmp_path, "/api/runs", method=method)[0][0] == 405


def test_every_answer_lets_scripts_come_from_here_alone(tmp_path: Path) -> None:
    for status, headers, _ in ask(tmp_path, "/", "/api/runs", "/nothing"):
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy, status
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_consists_of_its_files_and_makes_no_markup_of_texts() -> None:
    assert {path.name for path in BROWSER.iterdir()} == set(FILES)
    for path in BROWSER.glob("*.js"):
        source = path.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", source), path.name
        # What is tested for being an address, and the name of SVG, are no addresses that are asked.
        source = source.replace("/^http:\\/\\/", "").replace('"http://www.w3.org/2000/svg"', "")
        assert not re.search(r"https?://(?!\[)", source), path.name
    assert not re.search(r"<script>|https?://|\son\w+=", (BROWSER / "index.html").read_text())


def test_without_plotly_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spectral_search.cluster.live_page.server.find_spec", lambda name: None)
    with pytest.raises(RequestError, match="pip install plotly"):
        plotly_file()

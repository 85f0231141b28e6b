"""A search seen from outside: Ray's dashboard on loopback behind its token, and the trials' metrics."""

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from processes import Running
from small_search import make_data, make_spec

from spectral_search.run.ray_job import process_metrics, trial_metrics
from spectral_search.task.registry import task_of

DISCOVERY = Path("/tmp/ray/prom_metrics_service_discovery.json")
"""Where Ray lists the addresses of its metrics, as a Prometheus server reads them."""


def get(url: str, token: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


def exported_metrics() -> str:
    if not DISCOVERY.exists():
        return ""
    targets = [target for group in json.loads(DISCOVERY.read_text()) for target in group["targets"]]
    return "".join(get(f"http://{target}/metrics")[1] for target in targets)


@pytest.mark.slow
def test_the_dashboard_is_guarded_and_trials_reach_it(tmp_path: Path) -> None:
    make_spec(
        tmp_path, make_data(tmp_path / "data"), fit={"epochs": 20000, "patience": None}, search={"pruner": "none"}
    )
    log = tmp_path / "log.txt"
    arguments = ("run", tmp_path / "small.yaml", "--name", "seen", "--results", tmp_path / "results", "--dashboard")
    running = Running(*arguments, "--executor", "shared", log=log)
    try:
        assert running.wait_for(lambda: "Ray dashboard: http://" in log.read_text()), log.read_text()
        found = re.search(r"Ray dashboard: (http://127\.0\.0\.1:\d+)", log.read_text())
        assert found, "the dashboard is not on loopback"
        token = (Path.home() / ".ray" / "auth_token").read_text()
        assert get(f"{found[1]}/api/version")[0] == 401
        assert get(f"{found[1]}/api/version", token)[0] == 200
        line = r'ray_spectral_search_val_r2\{[^}]*run="seen"[^}]*trial="\d+"'
        assert running.wait_for(lambda: re.search(line, exported_metrics()) is not None)
        exported = exported_metrics()
        names = [*trial_metrics(task_of("spectra").objective), *process_metrics()]
        assert [name for name in names if f"ray_{name}{{" not in exported] == []
        assert re.search(r'ray_spectral_search_members\{[^}]*WorkerId="\w+"[^}]*run="seen"', exported)
        # As Ray's own dashboard has them, behind its token.
        actors = get(f"{found[1]}/api/v0/actors?detail=1&limit=100", token)[1]
        assert re.search(r'"small trial \d+ lr=[\d.e-]+ dropout=[\d.]+"', actors), actors
        tasks = get(f"{found[1]}/api/v0/tasks?detail=1&limit=1000", token)[1]
        assert re.search(r'"small trial \d+ lr=[^"]*, epoch \d+"', tasks), tasks[:2000]
        # And the run's record tells the live page where it is.
        manifest = json.loads((tmp_path / "results" / "seen" / "manifest.json").read_text())
        assert manifest["ray_dashboard"] == found[1]
        assert token not in log.read_text()
    finally:
        running.kill()

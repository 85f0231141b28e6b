"""A search seen from outside: Ray's dashboard on loopback behind its token, and the trials' metrics."""

import json
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import Running
from small_search import make_data, make_spec

from spectral_search.run.ray_job import process_metrics, trial_metrics
from spectral_search.task.registry import task_of

DISCOVERY = "prom_metrics_service_discovery.json"
"""Where, in the folder of its sessions, Ray lists the addresses of its metrics, as a Prometheus server reads them."""


def get(url: str, token: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


def exported_metrics(sessions: Path) -> str:
    if not (sessions / DISCOVERY).exists():
        return ""
    targets = [target for group in json.loads((sessions / DISCOVERY).read_text()) for target in group["targets"]]
    return "".join(get(f"http://{target}/metrics")[1] for target in targets)


@pytest.fixture
def sessions() -> Iterator[Path]:
    """A folder for Ray's sessions that no other cluster of this machine has; short, for the sockets in it."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "ray"


@pytest.mark.slow
def test_the_dashboard_is_guarded_and_trials_reach_it(tmp_path: Path, sessions: Path) -> None:
    make_spec(
        tmp_path, make_data(tmp_path / "data"), fit={"epochs": 20000, "patience": None}, search={"pruner": "none"}
    )
    log = tmp_path / "log.txt"
    arguments = ("run", tmp_path / "small.yaml", "--name", "seen", "--results", tmp_path / "results", "--dashboard")
    own = {"RAY_TMPDIR": str(sessions.parent)}
    running = Running(*arguments, "--executor", "shared", log=log, variables=own)
    # What Ray tells of a trial it tells in its own time, one thing after another.
    told = ""

    def tells(ask: Callable[[], str], *patterns: str) -> bool:
        def all_told() -> bool:
            nonlocal told
            told = ask()
            return all(re.search(pattern, told) for pattern in patterns)

        return running.wait_for(all_told)

    try:
        assert running.wait_for(lambda: "Ray dashboard: http://" in log.read_text()), log.read_text()
        found = re.search(r"Ray dashboard: (http://127\.0\.0\.1:\d+)", log.read_text())
        assert found, "the dashboard is not on loopback"
        token = (Path.home() / ".ray" / "auth_token").read_text()
        assert get(f"{found[1]}/api/version")[0] == 401
        assert get(f"{found[1]}/api/version", token)[0] == 200
        names = [*trial_metrics(task_of("spectra").objective), *process_metrics()]
        assert tells(
            lambda: exported_metrics(sessions),
            r'ray_spectral_search_val_r2\{[^}]*run="seen"[^}]*trial="\d+"',
            r'ray_spectral_search_members\{[^}]*WorkerId="\w+"[^}]*run="seen"',
            *(rf"ray_{name}\{{" for name in names),
        ), [name for name in names if f"ray_{name}{{" not in told]
        # As Ray's own dashboard has them, behind its token.
        actors, tasks = (f"{found[1]}/api/v0/{kind}?detail=1&limit=1000" for kind in ("actors", "tasks"))
        assert tells(lambda: get(actors, token)[1], r'"small trial \d+ lr=[\d.e-]+ dropout=[\d.]+"'), told[:2000]
        assert tells(lambda: get(tasks, token)[1], r'"small trial \d+ lr=[^"]*, epoch \d+"'), told[:2000]
        # And the run's record tells the live page where it is.
        manifest = json.loads((tmp_path / "results" / "seen" / "manifest.json").read_text())
        assert manifest["ray_dashboard"] == found[1]
        assert token not in log.read_text()
    finally:
        running.kill()

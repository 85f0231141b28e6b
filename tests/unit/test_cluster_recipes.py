"""The recipes of docs/clusters.md, as far as they can be checked where there is no such cluster."""

import re
import shlex
import subprocess
from typing import Any

import jsonschema
import pytest
import yaml
from documented_code import DOCS, code_of
from typer.main import get_command

from spectral_search.cli.main import app
from spectral_search.spec.load import find_spec

COMMANDS = get_command(app).commands
SCRIPTS = [*code_of("clusters.md", "Slurm", "bash"), *code_of("clusters.md", "Machines reached by SSH", "bash")]


def manifest(section: str) -> Any:
    (text,) = code_of("clusters.md", section, "yaml")
    return yaml.safe_load(text)


def require_known(line: str) -> None:
    """Fail unless the command line has this verb with these options."""
    words = shlex.split(line)
    verb, options = words[0], {word.split("=")[0] for word in words if word.startswith("-")}
    known = {option for parameter in COMMANDS[verb].params for option in parameter.opts}
    assert options <= known, (verb, options - known)
    if verb in ("run", "submit"):
        assert find_spec(words[1])


def test_there_are_recipes() -> None:
    assert len(SCRIPTS) == 3


@pytest.mark.parametrize("script", SCRIPTS, ids=range(len(SCRIPTS)))
def test_a_script_is_one_and_its_commands_are_known(script: str) -> None:
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    joined = script.replace("\\\n", " ")
    lines = re.findall(r"spectral-search ([^\n&|;]*)", joined)
    assert lines
    for line in lines:
        require_known(line)


@pytest.mark.slow
def test_ray_takes_the_machines_reached_by_ssh() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = manifest("Machines reached by SSH")
    prepared = prepare_config(config)
    validate_config(prepared)
    with pytest.raises(jsonschema.ValidationError):
        validate_config({**prepared, "head_start_commands": []})
    assert prepared["max_workers"] == len(config["provider"]["worker_ips"])
    starts = config["head_start_ray_commands"][-1], config["worker_start_ray_commands"][-1]
    assert all("RAY_AUTH_MODE=token" in start for start in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]


def test_the_job_of_kubernetes_has_the_fields_that_the_operator_reads() -> None:
    job = manifest("Kubernetes")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec, cluster = job["spec"], job["spec"]["rayClusterSpec"]
    assert set(spec) == {"entrypoint", "submissionMode", "shutdownAfterJobFinishes", "backoffLimit", "rayClusterSpec"}
    assert set(cluster) == {"rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs"}
    assert cluster["authOptions"] == {"mode": "token"}
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert container["resources"]["limits"] == container["resources"]["requests"]
    for line in re.findall(r"python -m spectral_search ([^|]*)", spec["entrypoint"]):
        require_known(line)
    pinned = re.search(r"^ray==(.*)$", (DOCS.parent / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned is not None and cluster["rayVersion"] == pinned[1]

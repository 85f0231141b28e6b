"""`baselines` and `audit` as a user has them: beside a run, as JSON, refused in plain words."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import call, errors, paths, write_spec
from default_signals import default_signals
from learnable_root import write_root

from spectral_search.report.evidence import load_standing

SPEC = """
model: {kind: mlp, hidden: [16], dropout: 0.1}
fit: {epochs: 2, batch_size: 64}
data: {num_train: 400, noise_level: 0.5}
search: {trials: 1, finalists: 1, retest_draws: 2, retest_seeds: 1}
resources: {gpus: []}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and a finished run on a part of them."""
    folder = tmp_path_factory.mktemp("standing")
    write_root(folder / "data", pixels=64, with_noisy=True)
    write_spec(folder / "small.yaml", SPEC)
    call(
        "run", "small.yaml", "--name", "small", "--data-root", "data", "--executor", "inline", "--json", folder=folder
    ).require()
    return folder


def test_baselines_like_a_run_stand_in_its_report(place: Path) -> None:
    done = call("baselines", "--like", "small", "--only", "ridge,oracle-mixture,ceiling", "--json", folder=place)
    found = done.require().json()
    assert set(found) == {"ridge", "lightgbm", "oracle_mixture", "ceiling"} and found["lightgbm"] is None
    assert found["ridge"]["spectra"] == 128 and "level 0.5" in found["ridge"]["noise"]
    standing = load_standing(place / "ray_results", ["small"])
    assert sorted(method.name for method in standing.baselines) == [
        "Ridge (400)",
        "ceiling (400)",
        "oracle mixture (400)",
    ]
    signal = call("baselines", "--like", "small", "--only", "ridge", "--input", "signal", "--json", folder=place)
    entry = signal.require().json()["ridge"]
    assert entry["input"] == "signal" and found["ridge"]["input"] == "pixels" and entry["test_r2"] > 0.5
    names = [method.name for method in load_standing(place / "ray_results", ["small"]).baselines]
    assert "Ridge on signal (400)" in names and "Ridge (400)" in names
    again = call("baselines", "--like", "small", "--only", "ridge", folder=place).require()
    assert f"{found['ridge']['test_r2']:.4f}" in again.stdout and "ridge: training spectra" not in again.stdout


def test_the_audit_answers_in_sentences_and_json(place: Path) -> None:
    found = call("audit", "--data-root", "data", "--json", folder=place).require().json()
    assert {"overlap", "validity", "scale", "noise", "error_alone", "snr_alone", "shuffled"} == {
        finding["check"] for finding in found["findings"]
    }
    planned = call(
        "run", "small.yaml", "--data-root", "data", "--dry-run", "--set", "data.input.kind=flux_error", folder=place
    )
    assert "as the audit measured" in " ".join(planned.require().stdout.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data-root", "nowhere"], "There is no data root"),
        (["--data-root", "data", "--only", "forest"], "No baseline is called forest"),
        (["--data-root", "data", "--input", "denoised"], "baselines read pixels or signal"),
        (["--data-root", "data", "--num-train", "100000"], "data.num_train asks for 100000"),
        (["--data-root", "data", "--noise-level", "-1"], "--noise-level"),
        (["--like", "nobody"], "No run 'nobody'"),
        (["--like", "small", "--num-train", "100"], "leave --num-train, --noise-level and --set out"),
        (["--data-root", "data", "--only", "ceiling", "--noise-level", "0"], "noise level 0"),
        (["--data-root", "data", "--results", "/proc/results"], "cannot be written"),
    ],
)
def test_wrong_requests_are_refused_in_one_sentence(place: Path, arguments: list[str], said: str) -> None:
    done = call("baselines", *arguments, "--json", folder=place).require(2)
    assert done.stdout == "" and any(said in fault for fault in errors(done))


def test_no_run_may_take_the_name_of_the_baselines(place: Path) -> None:
    done = call("run", "small.yaml", "--name", "baselines", "--data-root", "data", folder=place).require(2)
    assert "is where baselines lie" in errors(done)[0]


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished(place: Path) -> None:
    code = "from spectral_search.cli.main import main; main()"
    command = [sys.executable, "-c", code, "baselines", "--data-root", "data", "--only", "ridge,lightgbm", "--json"]
    process = subprocess.Popen(
        command,
        cwd=place,
        env=paths(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=default_signals,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("lightgbm: trees"):
            process.send_signal(signal.SIGINT)
            break
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130 and "finished baselines are kept" in rest
    found = call("baselines", "--data-root", "data", "--only", "ridge", "--json", folder=place).require()
    assert found.json()["ridge"]["test_r2"] > 0.5 and "training spectra" not in found.stderr

"""Slots from resources, whatever this machine has."""

from typing import Any

import pytest

from spectral_search.errors import RequestError
from spectral_search.run.plan import decide_executor
from spectral_search.spec.run import RunSpec
from spectral_search.spec.search import ResourcesSpec
from spectral_search.tasks.spectra.spectra_plan import spectra_traits
from spectral_search.train import devices as device
from spectral_search.train.devices import Slots, chosen_gpus, plan_slots, visible_gpus

UUIDS = {"GPU-aa11": 0, "GPU-ab22": 1, "GPU-cc33": 2}


@pytest.mark.parametrize(
    ("allowed", "chosen"),
    [
        (None, [0, 1, 2]),
        ("2,0", [2, 0]),
        ("", []),
        ("-1", []),
        ("1,7,0", [1]),
        ("GPU-cc33, GPU-aa", [2, 0]),
        ("GPU-a", []),
        ("MIG-1", []),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(allowed: str | None, chosen: list[int]) -> None:
    assert chosen_gpus(allowed, UUIDS) == chosen


def test_hidden_gpus_are_not_there() -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == []


MEMBERS = 8


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 16 cores and 4 GPUs."""
    monkeypatch.setattr(device, "visible_gpus", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(device, "cpu_count", lambda: 16)


def slots(executor: str = "separate", **resources: Any) -> Slots:
    return plan_slots(ResourcesSpec(**resources), executor, MEMBERS)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, Slots(4.0, 1.0, 4, (0, 1, 2, 3))),
        ({"gpus": []}, Slots(1.0, 0.0, 16, ())),
        ({"gpus": [], "concurrent": 2}, Slots(8.0, 0.0, 2, ())),
        ({"gpus": [1]}, Slots(16.0, 1.0, 1, (1,))),
        ({"gpus": [1, 1]}, Slots(16.0, 1.0, 1, (1,))),
        ({"gpus": [1], "gpus_per_trial": 0.25}, Slots(4.0, 0.25, 4, (1,))),
        ({"gpus": [1, 3], "concurrent": 8}, Slots(2.0, 0.25, 8, (1, 3))),
        ({"gpus": [0, 1], "gpus_per_trial": 2.0}, Slots(16.0, 2.0, 1, (0, 1))),
        ({"concurrent": 2}, Slots(8.0, 1.0, 2, (0, 1, 2, 3))),
        ({"cpus_per_trial": 8.0}, Slots(8.0, 1.0, 2, (0, 1, 2, 3))),
    ],
)
@pytest.mark.usefixtures("machine")
def test_slots(resources: dict[str, Any], expected: Slots) -> None:
    assert slots(**resources) == expected


@pytest.mark.usefixtures("machine")
def test_inline_has_one_pass_with_everything() -> None:
    assert slots("inline") == Slots(16.0, 1.0, MEMBERS, (0,), None, 1, MEMBERS)
    assert slots("inline", gpus=[], concurrent=4) == Slots(16.0, 0.0, 4, (), None, 1, MEMBERS)


@pytest.mark.usefixtures("machine")
def test_shared_has_a_pass_a_gpu_or_one_on_all_cores() -> None:
    assert slots("shared", gpus=[]) == Slots(16.0, 0.0, MEMBERS, (), None, 1, MEMBERS)
    assert slots("shared", gpus=[1, 3]) == Slots(8.0, 1.0, 2 * MEMBERS, (1, 3), None, 2, MEMBERS)
    assert slots("shared", concurrent=3) == Slots(16 / 3, 1.0, 3, (0, 1, 2, 3), None, 3, MEMBERS)


@pytest.mark.usefixtures("machine")
def test_a_cluster_counts_its_own() -> None:
    found = slots(address="10.0.0.5:6379", gpus=[9], cpus_per_trial=64.0)
    assert found.gpus == ()
    assert "cluster at 10.0.0.5:6379" in found.device


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        ({"gpus": [2, 7]}, "GPU 7 was asked for and this machine has GPU 0, 1, 2, 3"),
        ({"gpus": [], "gpus_per_trial": 1.0}, "the run has no GPU"),
        ({"gpus": [0], "gpus_per_trial": 2.0}, "the run has 1 GPU"),
        ({"cpus_per_trial": 17.0}, "17 cores and this machine has 16"),
    ],
)
@pytest.mark.usefixtures("machine")
def test_what_is_not_there(resources: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        slots(**resources)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (Slots(1.0, 0.0, 2, ()), "CPU, 2 trials at a time with 1 core each"),
        (Slots(2.0, 0.0, 1, ()), "CPU, 1 trial at a time with 2 cores each"),
        (Slots(4.0, 0.25, 8, (0, 2)), "GPUs 0, 2, 8 trials at a time with 0.25 GPU each"),
    ],
)
def test_the_device_in_words(given: Slots, text: str) -> None:
    assert given.device == text


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("model", "resources", "trials", "asked", "cores"),
    [
        ("mlp", {"concurrent": 4}, 8, "inline", 16.0),
        ("cnn", {"concurrent": 4}, 8, "inline", 4.0),
        ("cnn", {"concurrent": 4}, 8, "separate", 4.0),
        ("cnn", {}, 8, "inline", 1.0),
        ("cnn", {}, 8, "separate", 1.0),
        ("cnn", {"concurrent": 4}, 8, "shared", 16.0),
        ("cnn", {"concurrent": 4, "gpus": [0]}, 8, "inline", 16.0),
        ("cnn", {}, 1, "auto", 16.0),
        ("cnn", {}, 1, "inline", 16.0),
        ("cnn", {}, 1, "separate", 16.0),
        ("cnn", {"cpus_per_trial": 32.0}, 8, "inline", 16.0),
    ],
)
def test_an_inline_cnn_has_the_cores_that_a_process_of_its_own_would_have(
    model: str, resources: dict[str, Any], trials: int, asked: str, cores: float
) -> None:
    """Its numbers depend on them, and are to be those of the separate executor."""
    networks = {"mlp": {"kind": "mlp", "hidden": [8]}, "cnn": {"kind": "cnn", "channels": [4]}}
    document = {"stage": "s", "data": {}, "model": networks[model], "fit": {}, "resources": {"gpus": [], **resources}}
    searched = {"space": {"fit.lr": {"log_uniform": [1e-4, 1e-2]}}, "search": {"trials": trials}}
    spec = RunSpec.from_dict(document | searched)
    assert decide_executor(spec, spectra_traits(spec, 64), asked)[1].cpus_per_trial == cores


@pytest.mark.parametrize(
    ("changed", "spectra", "executor"),
    [
        ({}, 8192, "inline"),
        ({}, None, "shared"),
        ({}, 10_000_000, "shared"),
        ({"input": {"kind": "standardize"}}, 8192, "shared"),
        ({"residency": "stream"}, 8192, "shared"),
    ],
)
def test_a_search_on_the_signal_that_takes_less_than_rays_start_needs_no_ray(
    changed: dict[str, Any], spectra: int | None, executor: str
) -> None:
    document = {
        "stage": "s",
        "data": {"input": {"kind": "signal"}, **changed},
        "model": {"kind": "mlp", "hidden": [256, 64]},
        "fit": {"epochs": 20},
        "resources": {"gpus": []},
        "space": {"fit.lr": {"log_uniform": [1e-4, 1e-2]}},
        "search": {"trials": 12},
    }
    spec = RunSpec.from_dict(document)
    chosen, _, reason = decide_executor(spec, spectra_traits(spec, 4096, spectra), "auto")
    assert chosen == executor
    assert ("--executor shared" in reason) is (executor == "inline")
    assert decide_executor(spec, spectra_traits(spec, 4096, spectra), "shared")[0] == "shared"

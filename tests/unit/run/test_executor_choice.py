"""Which processes train a search: this one where Ray would take as long to start as all trials together."""

from typing import Any

import pytest

from spectral_search.run.executor_choice import choose_executor, most_members
from spectral_search.spec.run import RunSpec
from spectral_search.task.data_plan import Traits

CNN: dict[str, Any] = {
    "stage": "some",
    "task": "pairs",
    "model": {"kind": "siamese_cnn", "layers": [1, 1], "width": 8, "feat_dim": 16},
    "fit": {"epochs": 4, "loss": "bce"},
    "resources": {"gpus": []},
}


def traits(train: int = 1000, *, cheap: bool = True, streams: bool = False) -> Traits:
    kept, examples = 2 * 64 * train, "pairs"
    return Traits(2 * 64, train, kept, 0, streams, False, kept, kept, lambda config: cheap, cheap, "less", examples)


def chosen(document: dict[str, Any], traits: Traits, trials: int = 8, gpus: int = 0) -> str:
    return choose_executor("auto", RunSpec.from_dict(document), [], traits, trials=trials, gpus=gpus).executor


def test_a_small_search_of_networks_that_do_not_stack_runs_here() -> None:
    assert chosen(CNN, traits()) == "inline"
    assert chosen(CNN, traits(), trials=1) == "inline"


@pytest.mark.parametrize(
    ("traits_", "trials"), [(traits(10_000_000), 8), (traits(), 100_000), (traits(cheap=False), 8)]
)
def test_a_larger_one_or_one_of_dear_batches_has_a_process_a_trial(traits_: Traits, trials: int) -> None:
    assert chosen(CNN, traits_, trials) == "separate"


@pytest.mark.parametrize("resources", [{"concurrent": 1}, {"cpus_per_trial": 2.0}])
def test_what_a_spec_says_of_trials_is_kept(resources: dict[str, Any]) -> None:
    assert chosen({**CNN, "resources": {"gpus": [], **resources}}, traits()) == "separate"


def test_gpus_clusters_and_streams_share_passes_on_ray() -> None:
    assert chosen(CNN, traits(), gpus=1) == "shared"
    assert chosen(CNN, traits(streams=True)) == "shared"
    assert chosen({**CNN, "resources": {"gpus": [], "address": "10.0.0.1:6379"}}, traits()) == "shared"


def test_how_many_trials_a_pass_of_a_cluster_takes_is_left_to_its_nodes() -> None:
    there = RunSpec.from_dict({**CNN, "resources": {"address": "10.0.0.1:6379"}})
    assert choose_executor("auto", there, [], traits(), trials=100, gpus=0).members == most_members(True, 1) == 32
    assert choose_executor("auto", there, [], traits(), trials=5, gpus=0).members == 5
    assert [most_members(False, cores) for cores in (0, 1, 3, 64)] == [4, 4, 12, 16]


@pytest.mark.parametrize(("train", "expected"), [(1000, "inline"), (100_000_000, "shared")])
def test_networks_that_stack_share_passes_here_or_on_ray(train: int, expected: str) -> None:
    assert chosen({**CNN, "model": {"kind": "mlp", "hidden": [16]}}, traits(train)) == expected


_MLP = {"kind": "mlp", "hidden": [16]}
_NONE = ", said of a trial with a process of its own, count{} for none of them."


@pytest.mark.parametrize(
    ("asked", "model", "gpus", "resources", "told"),
    [
        ("shared", {}, 1, {"gpus_per_trial": 0.5}, f": resources.gpus_per_trial{_NONE.format('s')}"),
        (
            "shared",
            {},
            1,
            {"gpus_per_trial": 0.5, "cpus_per_trial": 2.0},
            f": resources.gpus_per_trial and resources.cpus_per_trial{_NONE.format('')}",
        ),
        ("shared", {}, 1, {}, "."),
        ("separate", {}, 1, {"cpus_per_trial": 2.0, "gpus_per_trial": 1.0}, "."),
        ("inline", {}, 1, {"gpus_per_trial": 1.0}, f": resources.gpus_per_trial{_NONE.format('s')}"),
        ("inline", {}, 1, {"cpus_per_trial": 2.0}, f": resources.cpus_per_trial{_NONE.format('s')}"),
        # A CNN gets as many cores in this process as in one of its own, which an MLP's stack shares.
        ("inline", {}, 0, {"cpus_per_trial": 2.0}, "."),
        ("inline", _MLP, 0, {"cpus_per_trial": 2.0}, f": resources.cpus_per_trial{_NONE.format('s')}"),
    ],
)
def test_what_passes_do_not_heed_is_told(
    asked: str, model: dict[str, Any], gpus: int, resources: dict[str, Any], told: str
) -> None:
    spec = RunSpec.from_dict({**CNN, "model": model or CNN["model"], "resources": resources})
    reason = choose_executor(asked, spec, [], traits(), trials=8, gpus=gpus).reason
    assert reason == f"Executor {asked}, as asked for{told}"

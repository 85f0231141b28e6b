"""Every number of a spec at its bounds, in a search of two trials: what a plan takes, a run brings to its end."""

from pathlib import Path

import pytest
from numeric_leaves import Leaf, numeric_leaves
from tiny_search import make_tiny_data, tiny_document

from spectral_search import service
from spectral_search.errors import RequestError
from spectral_search.spec.load import load_spec
from spectral_search.spec.yaml_io import dump_yaml

WIDEST = 256
"""Networks as wide as a spec allows take memory and minutes, which their plans tell; here they are this wide."""
SAYS_ITSELF = ("NonFiniteLossError", "RequestError")
"""Why a trial may fail: its loss is no number, or its data cannot be solved for; both say what to change."""


def numbers(leaf: Leaf) -> list[float]:
    """Both bounds, where they can be run."""
    assert leaf.low is not None and leaf.high is not None
    is_width = leaf.kind is not None and leaf.is_int and leaf.high == 65536
    return [leaf.low, min(leaf.high, WIDEST) if is_width else leaf.high]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_data(tmp_path_factory.mktemp("data"))


@pytest.mark.slow
@pytest.mark.parametrize("leaf", numeric_leaves(), ids=lambda leaf: leaf.name)
def test_a_number_at_its_bounds_is_run_to_the_end(data: Path, tmp_path: Path, leaf: Leaf) -> None:
    for place, number in enumerate(numbers(leaf)):
        file = tmp_path / f"tiny{place}.yaml"
        file.write_text(dump_yaml(tiny_document(data, leaf, number)))
        options = service.RunOptions(executor="inline", dashboard=False, results=str(tmp_path / "results"))
        try:
            made = service.plan(str(file), options, service.silent(), dry_run=False)
        except RequestError:
            continue  # refused before any work, as tests of the plan show
        record = service.run(made, f"run{place}", options, service.silent())
        errors = [trial.error or "" for trial in record.trials if trial.state == "failed"]
        assert all(error.startswith(SAYS_ITSELF) for error in errors), errors
        assert record.state == ("failed" if len(errors) == len(record.trials) else "finished")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [-(2**63), 2**64 - 1])
def test_any_split_seed_serves_baselines_and_evaluation_too(data: Path, tmp_path: Path, seed: int) -> None:
    (leaf,) = (leaf for leaf in numeric_leaves() if leaf.key == "data.split_seed")
    file, results = tmp_path / "tiny.yaml", str(tmp_path / "results")
    file.write_text(dump_yaml(tiny_document(data, leaf, seed)))
    assert load_spec(str(file)).data.split_seed == seed
    options = service.RunOptions(executor="inline", dashboard=False, results=results)
    made = service.plan(str(file), options, service.silent(), dry_run=False)
    service.run(made, "run", options, service.silent())
    service.evaluate("run", str(data), "val", results)
    service.baselines(service.RunOptions(results=results), service.silent(), like="run")

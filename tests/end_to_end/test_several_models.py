"""Several models of one task: one config with several seeds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import call

TASK = Path(__file__).parents[1] / "tiny_task.py"
pytestmark = pytest.mark.slow
INLINE = ("--executor", "inline")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with cars, a search of two networks on them, and its winner's config."""
    folder = tmp_path_factory.mktemp("several")
    rng = np.random.default_rng(0)
    weight_F, arrays = rng.normal(size=4), {}
    for part, count in (("train", 200), ("val", 120), ("test", 100)):
        x_NF = rng.normal(size=(count, 4))
        arrays |= {f"x_{part}": x_NF, f"y_{part}": 100 + 20 * (x_NF @ weight_F + np.sin(2 * x_NF[:, 0]))}
    np.savez(folder / "cars.npz", **arrays)
    spec = {
        "task": str(TASK),
        "data": {"root": str(folder / "cars.npz")},
        "model": {"kind": "mlp", "hidden": [16]},
        "fit": {"epochs": 4, "batch_size": 32, "lr": 1e-2},
        "grid": {"model.hidden": [[16], [8, 8]], "fit.lr": [0.01, 0.02]},
        "search": {"sampler": "grid", "pruner": "none", "retest_seeds": 1},
        "resources": {"gpus": []},
    }
    (folder / "cars.yaml").write_text(json.dumps(spec))
    call("run", "cars.yaml", "--name", "found", *INLINE, folder=folder).require()
    call("export", "found", "-o", "best.yaml", folder=folder).require()
    call("train", "best.yaml", "--seeds", "42,2023,7", "--name", "seeds", *INLINE, folder=folder).require()
    return folder


def asked(place: Path, *arguments: object) -> Any:
    return call(*arguments, "--json", folder=place).require().json()


def test_every_seed_has_a_model_that_gives_its_numbers_again(place: Path) -> None:
    told = asked(place, "status", "seeds")["seeds"]
    assert [entry["seed"] for entry in told["models"]] == [42, 2023, 7]
    for entry in told["models"]:
        assert entry["model"] == f"seeds/seed{entry['seed']}.yaml"
        model = f"ray_results/seeds/{entry['model']}"
        for part in ("val", "test"):
            found = asked(place, "evaluate", model, "--data", "cars.npz", "--part", part)
            assert found["mae"] == pytest.approx(entry[f"{part}_mae"], rel=1e-6)
    values = [entry["test_mae"] for entry in told["models"]]
    assert told["mean"]["test_mae"] == pytest.approx(np.mean(values))
    assert told["std"]["test_mae"] == pytest.approx(np.std(values, ddof=1)) and told["std"]["test_mae"] > 0


def test_the_table_shows_them(place: Path) -> None:
    shown = call("status", "seeds", folder=place).require().stdout
    assert "seeds/seed2023.yaml" in shown and "mean" in shown and " std" in shown
    assert "seeds/seed" not in call("status", "found", folder=place).require().stdout


def test_seeds_that_are_none_are_refused_before_anything_begins(place: Path) -> None:
    done = call("train", "best.yaml", "--seeds", "42,42", "--name", "none", folder=place).require(2)
    assert done.stderr == "error: --seeds names 42 more than once: list each seed once.\n"
    assert not (place / "ray_results" / "none").exists()

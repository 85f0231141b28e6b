"""Several models of one task: one config with several seeds, and stacks of models."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
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
    assert "models: seeds/seed42.yaml and on" in shown and "2023 " in shown and "mean" in shown and " std" in shown
    assert "seeds/seed" not in call("status", "found", folder=place).require().stdout


def test_seeds_that_are_none_are_refused_before_anything_begins(place: Path) -> None:
    done = call("train", "best.yaml", "--seeds", "42,42", "--name", "none", folder=place).require(2)
    assert done.stderr == "error: --seeds names 42 more than once: list each seed once.\n"
    assert not (place / "ray_results" / "none").exists()


def test_a_stack_is_compared_exported_and_gives_its_numbers_again(place: Path) -> None:
    told = asked(place, "stack", "found", "ray_results/seeds/seeds", "-o", "out/stack.yaml", "--data-root", "cars.npz")
    models = ["found", "seed2023", "seed42", "seed7"]
    assert told["models"] == models and not told["classes"]
    for part in ("val", "test"):
        values, apart = told[part]["values"], told[part]["differences"]
        assert list(values) == ["stack", *models, "mean"] and list(apart) == [*models, "mean"]
        for name, found in apart.items():
            assert found["mae"]["value"] == pytest.approx(values["stack"]["mae"] - values[name]["mae"], abs=1e-4)
            assert found["mae"]["low"] < found["mae"]["value"] < found["mae"]["high"]
        again = asked(place, "evaluate", "out/stack.yaml", "--data", "cars.npz", "--part", part)
        assert again["mae"] == values["stack"]["mae"]
        one = asked(place, "evaluate", "found", "--data", "cars.npz", "--part", part)
        assert one["mae"] == values["found"]["mae"]
    call("predict", "out/stack.yaml", "cars.npz", "-o", "power.csv", folder=place).require()
    table = pd.read_csv(place / "power.csv")
    off = np.abs(table["power_predicted"] - table["power"]).mean()
    assert off == pytest.approx(told["test"]["values"]["stack"]["mae"], rel=1e-5)
    assert {file.name.split(".", 1)[1] for file in (place / "out").iterdir()} == {
        "yaml",
        "model.safetensors",
        "preprocessing.safetensors",
        "metrics.json",
    }
    shown = call("stack", "found", "best.yaml", "-o", "x.yaml", "--data-root", "cars.npz", folder=place).require()
    assert "stack - mean" in shown.stdout and "wrote x.yaml" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["found"], "A stack needs two models at least, and 1 is named."),
        (["found", "found"], "found is named twice"),
        (["found", "gone", "lost"], "lost is neither an exported model nor a finished run"),
        (["found", "results"], "results holds no exported model"),
    ],
)
def test_what_makes_no_stack_is_refused(place: Path, arguments: list[str], told: str) -> None:
    (place / "results").mkdir(exist_ok=True)
    done = call("stack", *arguments, "-o", "none.yaml", "--data-root", "cars.npz", folder=place).require(2)
    assert told in done.stderr and not (place / "none.yaml").exists()


def test_pairs_are_voted_on(tmp_path: Path) -> None:
    spec = {
        "task": "pairs",
        "data": {"size": 8, "num_val": 300},
        "model": {"kind": "siamese_cnn", "layers": [1], "width": 4, "feat_dim": 8, "head": [4]},
        "fit": {"epochs": 1, "batch_size": 128, "lr": 3e-3, "loss": "bce"},
        "grid": {"fit.seed": [1, 2, 3]},
        "search": {"sampler": "grid", "pruner": "none", "retest_seeds": 1, "finalists": 1},
        "resources": {"gpus": []},
    }
    (tmp_path / "pairs.yaml").write_text(json.dumps(spec))
    call("run", "pairs.yaml", "--name", "pairs", *INLINE, folder=tmp_path).require()
    told = asked(tmp_path, "stack", "ray_results/pairs/seeds", "-o", "stack.yaml", "--data-root", "digits")
    assert told["classes"] and list(told["test"]["differences"])[-1] == "majority vote"
    assert set(told["test"]["values"]["stack"]) == {"accuracy", "auc", "log_loss"}
    for part in ("val", "test"):
        again = asked(tmp_path, "evaluate", "stack.yaml", "--data", "digits", "--part", part)
        assert again["accuracy"] == told[part]["values"]["stack"]["accuracy"]


def test_models_unlike_each_other_are_exported_and_stacked(place: Path) -> None:
    told = asked(place, "export", "found", "--top", 5, "--unlike", "-o", "unlike")
    assert sorted(map(str, (one["model"]["hidden"] for one in told["models"]))) == ["[16]", "[8, 8]"]
    assert told["models"][0]["apart"] == 0.0 < told["models"][1]["apart"]
    assert (told["asked"], told["not_kept"]) == (5, [])
    shown = call("export", "found", "--top", 5, "--unlike", "-o", "unlike", folder=place).require().stdout
    assert "found has 2 architectures with weights, fewer than the 5 asked for." in shown
    assert "mlp hidden=[16]" in shown and "mlp hidden=[8,8]" in shown and "from the best" in shown
    ranked = asked(place, "export", "found", "--top", 3, "-o", "ranked")["files"]
    assert [Path(file).name for file in ranked] == ["best.yaml", "best-2.yaml", "best-3.yaml"]
    made = asked(place, "stack", "unlike", "-o", "two.yaml", "--data-root", "cars.npz")
    assert made["models"] == ["best", "best-2"]

"""Recorded tasks of others: what is read, what is refused, and searches replayed on them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.bench_context import BenchContext
from benchmarks.parts.search_efficiency import DEFAULT, METHODS, RANDOM, _options, on_tasks, random_epochs
from benchmarks.recorded_tasks import read_tasks
from benchmarks.replay import epochs_to_find
from benchmarks.run_parts import run_bench
from spectral_search.errors import RequestError
from spectral_search.spec.search import SearchSpec

EPOCHS, COUNT = 20, 120


def write_tasks(file: Path, **changes: np.ndarray) -> Path:
    """One task whose loss falls towards a value that two of three hyperparameters decide; some diverge."""
    rng = np.random.default_rng(0)
    hp_CH = np.exp(rng.uniform(-8, 2, (COUNT, 3)))
    depth_C = np.log(hp_CH[:, 0] / 0.05) ** 2 + 0.5 * np.log(hp_CH[:, 1] / 0.1) ** 2
    loss_CE = depth_C[:, None] / 20 + 3.0 / np.arange(1, EPOCHS + 1)
    loss_CE[hp_CH[:, 0] > 4, 2:] = np.inf
    loss_CE[hp_CH[:, 0] > 6, 1:] = np.nan
    arrays: dict[str, Any] = {"made": loss_CE.astype(np.float32), "made__hp": hp_CH, "hp_names": np.array(list("abc"))}
    np.savez(file, **{name: array for name, array in (arrays | changes).items() if array is not None})
    return file


def test_higher_is_better_and_what_diverged_stays_so(tmp_path: Path) -> None:
    (task,) = read_tasks(write_tasks(tmp_path / "tasks.npz"))
    assert (task.name, task.epochs, len(task.params), list(task.domains)) == ("made", EPOCHS, COUNT, ["a", "b", "c"])
    diverged = ~np.isfinite(task.values_CE[:, -1])
    assert diverged.any() and not (task.values_CE[diverged, -1] > -np.inf).any() and not np.isnan(task.values_CE).any()
    assert len(task.top) == 1 and int(np.argmax(task.values_CE[:, -1])) in task.top
    for key in task.domains:
        assert sorted(params[key] for params in task.params) == pytest.approx(np.linspace(0, 1, COUNT))


def test_a_run_that_comes_back_from_infinity_is_not_taken_up_again(tmp_path: Path) -> None:
    loss_CE = np.ones((COUNT, EPOCHS))
    loss_CE[3, 5] = np.inf
    (task,) = read_tasks(write_tasks(tmp_path / "tasks.npz", made=loss_CE))
    assert np.isfinite(task.values_CE[3, :5]).all() and np.isneginf(task.values_CE[3, 5:]).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"made__hp": None}, "holds no task"),
        ({"made": None}, "no array made"),
        ({"made": np.ones((3, EPOCHS))}, r"shape \(3, 20\)"),
        ({"made": np.ones(COUNT)}, "must be tables"),
        ({"made": np.ones((COUNT, 2))}, "120 configurations x 2 points"),
        ({"made": np.full((COUNT, EPOCHS), "x")}, "must hold numbers"),
        ({"made": np.full((COUNT, EPOCHS), None)}, "no .npz file of plain numpy arrays"),  # would run what it holds
    ],
)
def test_other_files_are_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    loss = changes.get("made", 0)
    if loss is None:
        np.savez(tmp_path / "tasks.npz", made__hp=np.ones((COUNT, 3)))
    elif isinstance(loss, np.ndarray) and loss.dtype == object:
        np.savez(tmp_path / "tasks.npz", made=loss, made__hp=np.ones((COUNT, 3)))
    else:
        write_tasks(tmp_path / "tasks.npz", **changes)
    with pytest.raises(RequestError, match=words):
        read_tasks(tmp_path / "tasks.npz")


def test_what_is_no_file_of_arrays_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("a,b\n1,2\n")
    np.save(tmp_path / "array.npy", np.ones(3))
    for name, words in (("none.npz", "cannot be read"), ("text.npz", "no .npz"), ("array.npy", "no .npz")):
        with pytest.raises(RequestError, match=words):
            read_tasks(tmp_path / name)


def test_curves_are_refused_before_anything_is_measured(tmp_path: Path) -> None:
    file = write_tasks(tmp_path / "tasks.npz")
    with pytest.raises(RequestError, match="is for `bench efficiency`, not for packs"):
        run_bench(["packs"], None, curves=file)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="cannot be read"):
        run_bench(["efficiency"], None, curves=tmp_path / "none.npz")  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_best_the_same_way_twice(tmp_path: Path, method: str) -> None:
    (task,) = read_tasks(write_tasks(tmp_path / "tasks.npz"))
    search = SearchSpec(seed=3, trials=COUNT, **_options(method, EPOCHS))
    assert epochs_to_find(task, search) == epochs_to_find(task, search) <= task.values_CE.size


@pytest.mark.slow
def test_the_default_learns_from_hyperparameters_and_partial_curves(tmp_path: Path) -> None:
    (task,) = read_tasks(write_tasks(tmp_path / "tasks.npz"))
    summary = on_tasks([task], BenchContext(True, tmp_path, lambda text: None, lambda title: lambda done, of: None))
    assert summary["default"] == DEFAULT and set(summary["curves"]["made"]) == {*METHODS, RANDOM}
    assert set(summary["curves"]["made"][DEFAULT]) == {"median_epochs", "times_cheaper_than_random"}
    assert summary["geometric_mean"][RANDOM] == summary["worst"][RANDOM] == 1.0

    def median(sampler: str, pruner: str) -> float:
        searches = [SearchSpec(seed=seed, trials=COUNT, sampler=sampler, pruner=pruner) for seed in range(9)]
        return float(np.median([epochs_to_find(task, search) for search in searches]))

    at_random = float(np.median([random_epochs(task, seed) for seed in range(9)]))
    assert median("parzen", "promote") < 0.7 * median("random", "promote") < 0.7 * at_random

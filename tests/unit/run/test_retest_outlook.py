"""What a run says of the time after its last trial: in the plan, while it runs, and no more when it is done."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from small_search import make_spec
from small_shards import make_shard

from spectral_search.record.live_view import SearchView
from spectral_search.run.copy_progress import CopyProgress
from spectral_search.run.plan import Plan
from spectral_search.run.plan_view import render_plan
from spectral_search.run.retest_outlook import Afterwards
from spectral_search.run.retrain_copies import Copy
from spectral_search.spec.search import SearchSpec
from spectral_search.task.registry import task_of
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.split import make_splits
from spectral_search.tasks.spectra.spectra_plan import SpectraPlan
from spectral_search.train.devices import Slots

SEARCH = SearchSpec(finalists=2, retest_draws=5, retest_seeds=3, retest_share=0.5)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> DataRoot:
    folder = tmp_path_factory.mktemp("data")
    for seed, (part, spectra) in enumerate({"train_0": 60, "val_0": 20, "test_0": 10}.items()):
        make_shard(folder / part / "dataset.h5", spectra, seed=seed)
    return DataRoot.find(folder)


def plan(root: DataRoot, folder: Path, slots: Slots | None = None, executor: str = "shared", **search: Any) -> Plan:
    """A search of 8 trials to epoch 9 by halving, with copies of its 2 finalists."""
    spec = make_spec(folder, folder, search={"retest_seeds": 3, **search})
    data = SpectraPlan(spec, root, make_splits(root, spec.data))
    return Plan(spec, data, slots or Slots(1.0, 0.0, 1, ()), executor)  # type: ignore[arg-type]


def test_work_is_counted_in_epochs_of_the_search() -> None:
    after = Afterwards(SEARCH, epoch_passes=100, retest_passes=5 * 20, test_passes=10)
    # The winner's two copies in 10 passes, which cost 10 more, and one of the other's in the same: of 0.5 (70 + 10).
    assert after.copies([10, 10], 70) == [(2, 10), (1, 10)]
    assert after.training_epochs([10, 10], 70) == 30
    # Five networks on five draws of 20 spectra, and the test set.
    assert after.equivalent_epochs([10, 10], 70) == pytest.approx(30 + (5 * 5 * 20 + 10) / 100)


def test_where_nothing_is_trained_anew_predicting_is_left() -> None:
    after = Afterwards(SEARCH, 100, 5 * 20, 0, trains=False)
    assert after.equivalent_epochs([10, 10], 60) == pytest.approx(2 * 5 * 20 / 100)


def test_one_device_takes_longer_than_the_many_of_the_search() -> None:
    one, two = (Afterwards(SEARCH, 100, 5 * 20, 0, lanes=lanes) for lanes in (1, 2))
    assert two.equivalent_epochs([10], 60) == 2 * one.equivalent_epochs([10], 60)


def test_an_epoch_counts_its_training_spectra_three_times(root: DataRoot, tmp_path: Path) -> None:
    after = plan(root, tmp_path).afterwards  # 8 draws of so few val spectra
    assert (after.epoch_passes, after.retest_passes, after.test_passes) == (3 * 60 + 8 * 20, 2 * 20, 10)


def test_the_plan_says_it_before_anything_starts(root: DataRoot, tmp_path: Path) -> None:
    made = plan(root, tmp_path)
    equivalent = made.afterwards.equivalent_epochs([9, 9], made.epochs)
    share = equivalent / (equivalent + made.epochs)
    (copies, epochs), other = made.afterwards.copies([9, 9], made.epochs)
    assert made.document()["retest"] == {
        "finalists": 2,
        "draws": 2,
        "copies": copies,
        "epochs": epochs * copies,
        "copy_epochs": epochs,
        "share_of_time": pytest.approx(share, abs=1e-3),
    }
    assert (copies, other) == (2, (0, 0)) and 1 < epochs < 9
    assert f"about {share:.0%} of the time" in told(made)
    assert f"trained anew {copies} times with other seeds in at most {epochs * copies} epochs" in told(made)
    assert f"stopped after {epochs} of 9: search.retest_share" in told(made)
    assert "without: --set search.retest_seeds=1" in told(made)


def told(made: Plan) -> str:
    file = io.StringIO()
    Console(file=file, width=80).print(render_plan(made))
    return " ".join(file.getvalue().split())


def test_without_other_seeds_it_says_so_too(root: DataRoot, tmp_path: Path) -> None:
    text = told(plan(root, tmp_path, retest_seeds=1))
    assert "the best 2 on 2 draws of fresh noise; about" in text
    assert "trained anew" not in text


def test_a_searched_number_of_epochs_counts_at_its_most(root: DataRoot, tmp_path: Path) -> None:
    spec = make_spec(
        tmp_path,
        tmp_path,
        search={"retest_seeds": 3, "pruner": "none", "retest_share": 9.0},
        space={"fit.epochs": {"choice": [4, 7]}},
    )
    made = Plan(spec, SpectraPlan(spec, root, make_splits(root, spec.data)), Slots(1.0, 0.0, 1, ()))
    assert made.retest["epochs"] % 7 == 0


def test_devices_of_this_machine_and_of_a_cluster(root: DataRoot, tmp_path: Path) -> None:
    two = Slots(1.0, 1.0, 2, (0, 1))
    assert plan(root, tmp_path, two).afterwards.lanes == 2
    assert plan(root, tmp_path, two, "inline").afterwards.lanes == 1
    cluster = plan(root, tmp_path, Slots(1.0, 0.0, 0, (), address="here:6379"))
    assert not cluster.trains_anew
    assert cluster.retest["copies"] == 0


class Kept:
    """A view that keeps the last snapshot."""

    last: SearchView

    def update(self, view: SearchView) -> None:
        self.last = view


@pytest.mark.parametrize("trained", [True, False])
def test_no_time_is_left_when_all_is_done(trained: bool) -> None:
    view = Kept()
    over = SearchView("run", task_of("spectra"), eta_s=30.0, retest_s=30.0, epochs_done=4)
    progress = CopyProgress("run", view, lambda: over)  # type: ignore[arg-type]
    if trained:
        progress.begin([Copy(1, {}, 43, 2)])
        progress.ended(Copy(1, {}, 43, 2), "done")
    progress.end()
    assert (view.last.eta_s, view.last.retest_s, view.last.epochs_done) == (None, None, 4)
    assert len(view.last.events) == (2 if trained else 0)

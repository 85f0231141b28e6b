"""What the live view is told of a search by halving: how many epochs are still to come."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from small_search import make_spec

from spectral_search.record.live_view import SearchView
from spectral_search.record.paths import RunPaths
from spectral_search.run.retest_outlook import Afterwards
from spectral_search.run.search_progress import Progress
from spectral_search.run.study import Study
from spectral_search.run.study_storage import open_storage


class Kept:
    """A view that keeps the last snapshot."""

    last: SearchView

    def update(self, view: SearchView) -> None:
        self.last = view


@pytest.mark.parametrize("resumed", [False, True])
def test_epochs_to_come_are_those_that_halving_plans(tmp_path: Path, resumed: bool) -> None:
    """Four trials to epoch 2, of which two go on to epoch 6; one of them ends early and one fails."""
    search = {"trials": 4, "pruner": "halving", "min_epochs": 2, "reduction_factor": 4, "finalists": 2}
    spec, view = make_spec(tmp_path, tmp_path, fit={"epochs": 6}, search=search), Kept()
    paths = RunPaths(tmp_path / "results", "run").create()
    with ExitStack() as opened:

        def study() -> Study:
            made = Study(spec, paths, opened.enter_context(open_storage(paths.study_url)), "run")
            made.listener = Progress(spec, "run", made, view)  # type: ignore[arg-type]
            return made

        one = study()
        planned = []
        for number in range(4):
            one.next_trial()
            for epoch in (1, 2):
                one.report(number, {"epoch": epoch, "val_r2": 0.1 * number, "train_loss": 1.0})
                planned.append(view.last.epochs_planned)
            one.stop(number)
        assert planned == [4 * 2 + 2 * 4] * 8
        assert view.last.counts["waiting"] == 4 and not view.last.live
        if resumed:
            one = study()
        for _ in range(2):
            one.next_trial()
        one.report(2, {"epoch": 3, "val_r2": 0.1, "train_loss": 1.0})
        one.finish(2, "complete")
        assert view.last.epochs_planned == 16 - 3
        one.finish(3, "failed", "it diverged")
        assert (view.last.epochs_done, view.last.epochs_planned, view.last.eta_s) == (9, 9, None)


def test_the_time_left_holds_that_of_the_retest(tmp_path: Path) -> None:
    """Two trials of 4 epochs, an epoch a second; the winner's two copies take as long as it took to its best."""
    search = {"trials": 2, "pruner": "none", "finalists": 1, "retest_seeds": 3, "retest_draws": 2, "retest_share": 9.0}
    spec, view, now = make_spec(tmp_path, tmp_path, fit={"epochs": 4}, search=search), Kept(), [0.0]
    after = Afterwards(spec.search, epoch_passes=10, retest_passes=2 * 5, test_passes=0)
    paths = RunPaths(tmp_path / "results", "run").create()
    with open_storage(paths.study_url) as storage:
        study = Study(spec, paths, storage, "run")
        study.listener = Progress(spec, "run", study, view, after, clock=lambda: now[0])  # type: ignore[arg-type]
        for number in range(2):
            study.next_trial()
            if number == 0:
                assert (view.last.eta_s, view.last.retest_s) == (None, None)
            for epoch, value in enumerate((0.1, 0.3, 0.2, 0.1), start=1):
                now[0] += 1.0
                study.report(number, {"epoch": epoch, "val_r2": value, "train_loss": 1.0, "seconds": 1.0})
                left = 8 - 4 * number - epoch
                # Three networks predict two draws, half an epoch each; the first trial is best at epoch 2.
                retest = 3 + 2 * (4 if number == 0 else 2)
                assert (view.last.retest_s, view.last.eta_s) == (retest, left + retest)
            study.finish(number, "complete")
        assert view.last.eta_s == view.last.retest_s == 3 + 2 * 2

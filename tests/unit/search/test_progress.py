"""What the live view is told of a search by halving: how many epochs are still to come."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from small_search import make_spec

from spectral_search.results.paths import RunPaths
from spectral_search.results.view import SearchView
from spectral_search.search.progress import Progress
from spectral_search.search.study import Study, open_storage


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
            made.listener = Progress(spec, "run", made, 100, view)  # type: ignore[arg-type]
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

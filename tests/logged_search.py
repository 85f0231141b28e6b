"""A search with loggers and without anything that trains; as a script, one that is killed in the middle."""

import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from small_search import make_spec

from spectral_search.record.paths import RunPaths
from spectral_search.run.loggers.fed import Loggers
from spectral_search.run.study import Study
from spectral_search.run.study_storage import open_storage


class Search:
    """A study with loggers, without anything that trains."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.folder = folder
        search = {"trials": 4, "sampler": "random", "pruner": "none", "loggers": names}
        self.spec = make_spec(folder, folder, search=search)
        self.paths, self.said = RunPaths(folder / "results", "run"), list[str]()
        self.opened = ExitStack()

    def take_up(self) -> Study:
        """As a process would that takes up the run; what went before is left as a kill leaves it."""
        study = Study(self.spec, self.paths, self.opened.enter_context(open_storage(self.paths.study_url)), "run")
        self.loggers = Loggers(self.spec, self.paths, study, lambda event, trial: None, self.said.append)
        study.listener = self.loggers
        return study


def told(study: Study, number: int, *epochs: int) -> None:
    for epoch in epochs:
        study.record(number, {"epoch": epoch, "val_r2": number + epoch / 8, "train_loss": 1.0, "seconds": float("nan")})


if __name__ == "__main__":
    search = Search(Path(sys.argv[1]), [sys.argv[2]])
    study = search.take_up()
    first, second = study.next_trial(), study.next_trial()
    told(study, 0, 1, 2, 3)
    study.finish(0, "complete")
    told(study, 1, 1, 2)
    os.kill(os.getpid(), signal.SIGKILL)

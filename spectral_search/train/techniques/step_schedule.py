"""Times `step_factor` every `step_epochs` epochs."""

from spectral_search.spec.fit import FitSpec
from spectral_search.train.techniques.schedule import Progress


def _rate(highest: float, fit: FitSpec, progress: Progress) -> float:
    return highest * fit.step_factor ** (progress.step // progress.steps_per_epoch // fit.step_epochs)


SCHEDULE = _rate

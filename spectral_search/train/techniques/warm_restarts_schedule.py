"""Down along half a cosine again and again, as in torch's CosineAnnealingWarmRestarts (Loshchilov and Hutter 2017)."""

from spectral_search.spec.fit import FitSpec
from spectral_search.train.techniques.schedule import Progress, cosine_between


def _rate(highest: float, fit: FitSpec, progress: Progress) -> float:
    step, length = progress.after_warmup, fit.restart_epochs * progress.steps_per_epoch
    if fit.restart_factor == 1:
        step %= length
    while step >= length:  # each descent takes so many times as long as the one before
        step, length = step - length, length * fit.restart_factor
    return cosine_between(highest, max(highest * fit.final_lr_fraction, fit.lr_floor), step / length)


SCHEDULE = _rate

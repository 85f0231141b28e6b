"""The baselines of spectra: their names, what each reads, and what it is to networks."""

from dataclasses import dataclass

from spectral_search.record.methods import Role

INPUTS = ("pixels", "signal")
"""What Ridge, LightGBM and the oracle mixture read; the ceiling is of the spectra, whatever is read of them."""


@dataclass(frozen=True)
class BaselineMethod:
    """A baseline.

    Attributes:
        name: As it is asked for.
        reads: Of `INPUTS`.
        family: Its name for people.
        input: What it reads, in the words of a network's input.
        role: What it is to networks.
        fair: Whether it is told nothing but the noisy flux.
        called: Its name in a sentence, where it is to be told of in one.
    """

    name: str
    reads: str
    family: str
    input: str
    role: Role = "baseline"
    fair: bool = True
    called: str = ""

    @property
    def stored(self) -> str:
        """Its key on disk."""
        return stored_name(self.name, self.reads)


def stored_name(method: str, reads: str) -> str:
    """The key on disk of a method that reads pixels, or the components of the signal."""
    return method if reads == "pixels" or method == "ceiling" else f"{method}_{reads}"


BASELINES = {
    method.stored: method
    for method in (
        BaselineMethod("ridge", "pixels", "Ridge", "standardize", called="Ridge"),
        BaselineMethod("lightgbm", "pixels", "LightGBM", "flux", called="LightGBM"),
        BaselineMethod(
            "oracle_mixture", "pixels", "oracle mixture", "standardize, true bin", "bound", False, "the oracle"
        ),
        BaselineMethod("ceiling", "pixels", "ceiling", "noise-free templates", "ceiling", False),
        BaselineMethod("ridge", "signal", "Ridge on signal", "signal"),
        BaselineMethod("lightgbm", "signal", "LightGBM on signal", "signal"),
        BaselineMethod("oracle_mixture", "signal", "oracle mixture on signal", "signal, true bin", fair=False),
    )
}
"""All of them by their key on disk, in the order in which they are told."""
METHODS = tuple(dict.fromkeys(method.name for method in BASELINES.values()))
"""What can be asked for."""

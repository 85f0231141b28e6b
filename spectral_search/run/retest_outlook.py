"""What comes after the last trial, told beforehand: the re-test of the finalists and their training with other seeds.

Work is counted in epochs of the search: the passes forward of the network over examples that it takes, over those of an
epoch, in which each training example counts for three (forward, and backward for inputs and weights) and each noise
draw of a val example for one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from spectral_search.spec.copies import Copies
from spectral_search.spec.run import RunSpec
from spectral_search.spec.search import SearchSpec
from spectral_search.task.data_plan import Sizes
from spectral_search.task.registry import task_of

_STEP_PASSES = 3


@dataclass(frozen=True)
class Afterwards:
    """What a search has still to do when its last trial is over.

    Attributes:
        search: How often finalists are re-tested.
        epoch_passes: Passes forward of an epoch.
        retest_passes: Of re-testing one network on val, all draws of it.
        test_passes: Of predicting the test set.
        trains: Whether finalists are trained anew on this machine.
        lanes: Devices that the trials train on at a time; what comes after has one.
    """

    search: SearchSpec
    epoch_passes: int
    retest_passes: int
    test_passes: int
    trains: bool = True
    lanes: int = 1

    @classmethod
    def of(cls, spec: RunSpec, sizes: Sizes, *, trains: bool = True, lanes: int = 1) -> "Afterwards":
        """What comes after a search on so many examples."""
        epoch = _STEP_PASSES * sizes.train + sizes.val_draws * sizes.val
        retest = task_of(spec.task).retest_draws(spec.search) * sizes.val
        return cls(spec.search, epoch, retest, sizes.test or 0, trains, lanes)

    def copies(self, best_epochs: Sequence[int], epochs_trained: float) -> list[Copies]:
        """How many copies of each finalist are trained, and for how long.

        Args:
            best_epochs: The best epoch of each finalist, the winner's first.
            epochs_trained: Of all trials together.
        """
        none = [Copies(0, 0)] * len(best_epochs)
        return self.search.copies_of(best_epochs, epochs_trained) if self.trains else none

    def training_epochs(self, best_epochs: Sequence[int], epochs_trained: float) -> int:
        """Epochs of those copies together."""
        return sum(count * epochs for count, epochs in self.copies(best_epochs, epochs_trained))

    def equivalent_epochs(self, best_epochs: Sequence[int], epochs_trained: float) -> float:
        """Epochs that the search makes in the time that all of this takes."""
        copies = self.copies(best_epochs, epochs_trained)  # those that are stopped early predict nothing
        whole = sum(made.times for made, best in zip(copies, best_epochs, strict=True) if made.epochs == best)
        networks = len(best_epochs) + whole
        predicting = networks * self.retest_passes + self.test_passes
        training = self.training_epochs(best_epochs, epochs_trained)
        return self.lanes * (training + predicting / self.epoch_passes)

"""What the `data` section of every task has, and what it may decide about the rest of a spec."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Self

from spectral_search.spec.base import Section
from spectral_search.spec.model_section import ModelSection


class InputSection(Section):
    """What networks see of an example; its keys are the task's own, and may be searched."""

    @property
    def channels(self) -> int:
        """Channels of the network's input."""
        return 1

    def length(self, values: int) -> int:
        """Values a channel of the network's input, for examples of so many values."""
        return values

    def height(self, values: int) -> int:
        """Rows of equal length that the values of a channel lie in, for examples of so many values."""
        return 1

    def outputs(self, values: int) -> int:
        """Numbers that a network gives for an example of so many values."""
        return 1

    def sizes(self, values: int) -> dict[str, int]:
        """All four, as those who build and count networks take them, by keyword."""
        sizes = {"pixels": self.length(values), "channels": self.channels}
        return {**sizes, "height": self.height(values), "outputs": self.outputs(values)}

    def cause_of_collapse(self) -> str | None:
        """What of this input may be why a network learns nothing, a clause; None where nothing is known."""
        return None


class DataSection(Section):
    """Where the data are and what is used of them; its keys are the task's own.

    A subclass has a field `root` (text, a list of texts or null: where the data are) and a field `input`, an
    `InputSection`.
    """

    FIXED: ClassVar[Mapping[str, str]] = {}
    """Keys below `data.input` that cannot vary between trials, and why, each a clause."""

    SETTING: ClassVar[Sequence[str]] = ()
    """Keys without which the best values of one run say little of another: where they differ, it is told."""

    @property
    def roots(self) -> list[str]:
        """Where the data are, as given: paths, globs of them where the task takes these, URLs of object stores."""
        root = getattr(self, "root", None)
        return [root] if isinstance(root, str) else list(root or [])

    def check_beside(self, model: ModelSection) -> None:
        """Refuse a network that cannot read these inputs, with a `linked_fault`.

        Args:
            model: The `model` section.
        """

    def on_another_machine(self) -> Self:
        """The section without what was decided for this machine's memory."""
        return self

    @classmethod
    def asked_for(cls, raw: dict[str, Any], keys: Collection[str]) -> None:
        """Change a raw section in place where keys were asked for by a user, and others must give way to them."""

    @classmethod
    def beside_neighbours(cls, raw: dict[str, Any]) -> None:
        """Change a raw section in place, as far as it leaves that open, for networks that need neighbouring values."""

    @classmethod
    def quick(cls, limits: Mapping[str, int]) -> dict[str, int]:
        """The largest values of this section's keys in a quick run.

        Args:
            limits: Examples to train on (train) and to be measured on (val), and draws of each of these (draws).
        """
        return {}

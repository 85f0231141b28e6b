"""What a family of networks is to everything that does not build one."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar, get_args

from spectral_search.spec.fit import FitSpec
from spectral_search.spec.model_section import ModelSection

S = TypeVar("S", bound=ModelSection)
BINS = 9
"""Parts that the examples of a task fall into, where it does not say otherwise."""


@dataclass(frozen=True)
class InputShape:
    """What a network reads of one example.

    Attributes:
        pixels: Values of a channel, side by side.
        channels: How many there are.
        bins: Parts that the examples fall into, for networks that treat each apart.
        height: Rows of equal length that the values of a channel lie in, one after the other: lines of an image,
            sensors of a network; 1 where there is only one.
        outputs: Numbers that a network gives for an example.
    """

    pixels: int
    channels: int = 1
    bins: int = BINS
    height: int = 1
    outputs: int = 1

    @property
    def width(self) -> int:
        """Values of a row."""
        return self.pixels // self.height


class Colour(NamedTuple):
    """A colour of figures, on paper and in the light theme, and in the dark one."""

    light: str
    dark: str


class Family(ABC, Generic[S]):
    """Networks of one kind: their section of a spec, what they cost, and where the modules lie that build them.

    One object a family, `FAMILY` of a module in `spectral_search.models.families` or an entry point of another package.
    It imports no torch: a dry run asks it for everything but `network` and `stack`, which name what is to be imported.

    Attributes:
        section: Its section of a spec, with a literal `kind`.
        label: Its name in figures and tables. Families of one label are drawn in one colour and compared as one.
        colour: Its colour in figures, which no other label has.
        network: Where the function lies that builds a network from a section and an InputShape, as "module:name".
        stack: Where the `Stack` (spectral_search.models.stack) lies that takes the steps of several as one, as
            "module:name"; None where each goes alone.
        needs_neighbours: Whether pixels must lie beside those that they belong with.
        several_outputs: Whether its networks can give several numbers an example; others are refused where a task asks
            for that.
        recomputes: Whether its networks can compute activations once more on the way back instead of keeping them:
            their blocks then lie in an `nn.Sequential` called `blocks` or `layers`.
        compares: Whether its networks can compare any two images of a batch, and not only those that come together.
        high_lr: Learning rate from which on such networks have been seen to die.
        make_smaller: What to change in a spec whose network is too large.
    """

    section: type[S]
    label: str
    colour: Colour
    network: str
    stack: str | None = None
    needs_neighbours: bool = True
    several_outputs: bool = False
    recomputes: bool = False
    compares: bool = False
    high_lr: float = 3e-2
    make_smaller: str

    @property
    def kind(self) -> str:
        """Its name in specs."""
        kind: str = get_args(self.section.model_fields["kind"].annotation)[0]
        return kind

    @abstractmethod
    def input_faults(self, section: S, shape: InputShape) -> list[str]:
        """Why a network cannot read such an input, one plain sentence a fault; empty where it can.

        An input has one pixel and one channel or more, here and below.
        """

    @abstractmethod
    def parameters(self, section: S, shape: InputShape) -> int:
        """Trainable parameters, in closed form, of a network that can read such an input."""

    @abstractmethod
    def forward_operations(self, section: S, shape: InputShape) -> int:
        """Multiply-accumulates of matrix products and convolutions, there, for one example."""

    @abstractmethod
    def step_bytes(self, section: S, shape: InputShape, element: int) -> int:
        """Memory that one example takes at the fullest moment of a training step, without weights and the input.

        Counted is what autograd keeps for the way back, and what the way back needs beside it where that is most.

        Args:
            section: Of the spec.
            shape: Of an example.
            element: Bytes of a number in a product: 4, or 2 in half precision.
        """

    def recomputed_bytes(self, section: S, shape: InputShape, element: int) -> int:
        """The same where only what blocks read is kept, and one block at a time is computed once more."""
        return self.step_bytes(section, shape, element)

    def needs_bin(self, section: S) -> bool:
        """Whether the network is told the true bin of each example, which nothing unlabelled comes with."""
        return False

    def stacked_units(self, section: S) -> int:
        """Numbers a layer puts out, over all layers, for one example: what a stack holds of all members at a time."""
        return 0

    def likely_cause_of_collapse(self, section: S, fit: FitSpec) -> str | None:
        """Why a network may have learnt nothing, with what to change, where such networks are known for it."""
        return None

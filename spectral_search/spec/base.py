"""The strict base of every section of a spec, and the bounds that its numbers share."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

MANY = 1_000_000_000
"""The most of anything that is counted: more than there can be, and yet a number that whatever reads it later takes."""
LARGE = 1e9
"""The largest of a number that may be as large as one likes: single precision holds it and its square."""
SMALL = 1e-9
"""The smallest of a number that must be above 0 to mean anything."""

SEEDS = 2**31
"""Seeds of training and of proposals: 0 up to this, as every library takes them."""


class Section(BaseModel):
    """A section of a spec: immutable, and an unknown key is a fault."""

    # Strict, or pydantic reads text and booleans as numbers without a word.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

    @classmethod
    def of(cls, raw: Any) -> "type[Section]":
        """The class that plain values are of: this one, or one of several that share a field."""
        return cls


def linked_fault(message: str, *keys: str) -> PydanticCustomError:
    """A fault of several keys together, each of which would be fine alone.

    Args:
        message: One plain clause naming the keys and the values found.
        keys: Dotted keys from the root of the spec, so that a search over only some of them can tell
            whether the fault is its own.
    """
    return PydanticCustomError("linked", "{message}", {"message": message, "keys": list(keys)})

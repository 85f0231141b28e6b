"""The strict base of every section of a spec."""

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A section of a spec: immutable, and an unknown key is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


def linked_fault(message: str, *keys: str) -> PydanticCustomError:
    """A fault of several keys together, each of which would be fine alone.

    Args:
        message: One plain clause naming the keys and the values found.
        keys: Dotted keys from the root of the spec, so that a search over only some of them can tell
            whether the fault is its own.
    """
    return PydanticCustomError("linked", "{message}", {"message": message, "keys": list(keys)})

"""The strict base of every section of a spec."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of a spec: immutable, and an unknown key is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

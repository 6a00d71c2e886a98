"""A model's parameters: each with its unit, its default and where that number comes from.

A model declares them as a frozen class (`class CentreParameters(Parameters)`) whose fields are made by
`parameter(default, unit, source, sentence)`. A scenario may override any of them; the limits are checked when
the scenario is read, so a model can trust them. `haina scenario schema` prints them from the same declaration.
"""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

ASSUMED: Final = "assumed"
"""The source of a number that nobody measured for us."""


class Parameters(BaseModel):
    """A frozen set of parameters that accepts no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def parameter(default: Any, unit: str, source: str, sentence: str, **limits: Any) -> Any:
    """A field of `Parameters`. `limits` are pydantic's: `ge`, `gt`, `le`, `lt`, `min_length`, `max_length`."""
    return Field(default, description=sentence, json_schema_extra={"unit": unit, "source": source}, **limits)

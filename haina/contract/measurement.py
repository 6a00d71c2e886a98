"""What a reading may contain: a *measurement* is a named set of *fields*, declared once.

From a declaration come the validating decoder, the JSON Schema, line protocol, the columns of a table and
the docs. Adding an optional field is compatible; renaming or retyping one is a new measurement, because
stores keep the old type for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec

FieldType = Literal["float", "int", "bool", "str"]
Value = float | int | bool | str | None

MAX_TEXT_CHARS = 64
INT_LIMIT = 2**53 - 1  # what JSON readers everywhere keep exactly

_FREE_TEXT = Annotated[str, msgspec.Meta(max_length=MAX_TEXT_CHARS, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
_PYTHON_TYPE: dict[FieldType, type] = {"float": float, "int": int, "bool": bool, "str": str}


@dataclass(frozen=True)
class Field:
    """One value of a measurement.

    `low` and `high` are inclusive limits in `unit`; a reading outside them is rejected, so they are what a
    working device could possibly say, not what is healthy or usual. `choices` lists the texts a `str` may be;
    `states` names the numbers an `int` may be. `decimals` is how many a `float` is sent with.
    """

    name: str
    type: FieldType
    unit: str
    sentence: str
    low: float | None = None
    high: float | None = None
    required: bool = True
    decimals: int = 2
    choices: tuple[str, ...] = ()
    states: Mapping[int, str] | None = None

    def annotation(self) -> Any:
        """The msgspec type that accepts exactly this field's values."""
        python_type: Any = _PYTHON_TYPE[self.type]
        if self.type == "str":
            python_type = Literal[self.choices] if self.choices else _FREE_TEXT
        elif self.type == "int":
            low, high = self.limits()
            python_type = Annotated[int, msgspec.Meta(ge=int(low), le=int(high))]
        elif self.type == "float" and (self.low is not None or self.high is not None):
            python_type = Annotated[float, msgspec.Meta(ge=self.low, le=self.high)]
        return python_type if self.required else python_type | None

    def limits(self) -> tuple[float, float]:
        """The inclusive limits of an `int` field; for one with states, the first and last of them."""
        if self.states:
            return min(self.states), max(self.states)
        return (
            self.low if self.low is not None else -INT_LIMIT,
            self.high if self.high is not None else INT_LIMIT,
        )


class Telemetry(msgspec.Struct, gc=False):
    """A decoded reading. `values` is a struct with the measurement's fields, in declared order."""

    time: int
    boot: int
    seq: int
    values: Any


LAST_MS = 9_000_000_000_000
"""No reading is of a later time, in ms since 1970: in 2255, for nanoseconds to fit 64 bits."""

TIME_MS = Annotated[int, msgspec.Meta(ge=0, le=LAST_MS)]
BOOT = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
SEQ = Annotated[int, msgspec.Meta(ge=1, le=INT_LIMIT)]


@dataclass(frozen=True)
class Measurement:
    """A declared measurement: what a device of `kind` says, one sentence on it, and its fields."""

    name: str
    kind: str
    sentence: str
    fields: tuple[Field, ...]

    @cached_property
    def field_names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The fields that may hold any text, and so the name of a site."""
        return tuple(field.name for field in self.fields if field.type == "str" and not field.choices)

    @cached_property
    def values_type(self) -> type[msgspec.Struct]:
        declared: list[Any] = [
            (field.name, field.annotation()) if field.required else (field.name, field.annotation(), None)
            for field in self.fields
        ]
        return msgspec.defstruct(f"{self.name}_values", declared, forbid_unknown_fields=True, gc=False)

    @cached_property
    def telemetry_type(self) -> type[msgspec.Struct]:
        return msgspec.defstruct(
            f"{self.name}_telemetry",
            [("time", TIME_MS), ("boot", BOOT), ("seq", SEQ), ("values", self.values_type)],
            forbid_unknown_fields=True,
            gc=False,
        )

    @cached_property
    def decoder(self) -> "msgspec.json.Decoder[Telemetry]":
        """Decodes and validates a telemetry payload; raises msgspec.DecodeError / ValidationError with a path."""
        return msgspec.json.Decoder(self.telemetry_type)

    def field(self, name: str) -> Field:
        """The field called `name`. Raises KeyError with a sentence."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"measurement {self.name} has no field {name!r}; it has {', '.join(self.field_names)}")

"""Every measurement of the town, found where applications declare them.

A module of this package that is not part of the contract's own machinery belongs to an application: `centre` declares
a tuple `CENTRE`. Nobody lists them, so an application adds its module and nothing else.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from haina.contract.measurement import Measurement

_MACHINERY = frozenset({"catalogue", "document", "measurement", "message", "point", "table", "topic"})


def _declared() -> Iterator[Measurement]:
    for _, name, _ in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if name not in _MACHINERY:
            measurements: tuple[Measurement, ...] = getattr(
                importlib.import_module(f"haina.contract.{name}"), name.upper()
            )
            yield from measurements


MEASUREMENTS: dict[str, Measurement] = {declared.name: declared for declared in _declared()}


def measurement(name: str) -> Measurement:
    """The declared measurement. Raises KeyError with a sentence that lists what there is."""
    try:
        return MEASUREMENTS[name]
    except KeyError:
        raise KeyError(f"unknown measurement {name!r}; declared are {', '.join(MEASUREMENTS)}") from None

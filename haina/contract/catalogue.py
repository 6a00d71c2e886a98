"""Every measurement of the town, in the order the docs list them. An application adds its own tuple here."""

from haina.contract.care import CARE
from haina.contract.centre import CENTRE
from haina.contract.crew import CREW
from haina.contract.measurement import Measurement
from haina.contract.weather import WEATHER

MEASUREMENTS: dict[str, Measurement] = {declared.name: declared for declared in (*CENTRE, *CARE, *CREW, *WEATHER)}


def measurement(name: str) -> Measurement:
    """The declared measurement. Raises KeyError with a sentence that lists what there is."""
    try:
        return MEASUREMENTS[name]
    except KeyError:
        raise KeyError(f"unknown measurement {name!r}; declared are {', '.join(MEASUREMENTS)}") from None

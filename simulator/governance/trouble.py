"""What really goes wrong in a street, whether anybody notices or not.

A *trouble* begins, is perhaps reported -- by a sensor, by a resident -- and is over: because a crew saw to it, or by
itself, for the driver came back or the water ran off. The truth ledger has all of them; the grid station knows what it
was told. A resident who would report one does so after a while, if it still lasts.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import simpy

from simulator.governance.parameters import GovernanceParameters
from simulator.randomness import Stream
from simulator.town import Site

if TYPE_CHECKING:
    from simulator.governance.station import Station


class Trouble:
    """One thing that is wrong at a block. `over` is an event that happens once."""

    def __init__(self, kind: str, block: Site, station: "Station", draws: Stream, p: GovernanceParameters) -> None:
        self.kind, self.block = kind, block
        self.over: simpy.Event = block.env.event()
        self._station = station
        self.was_reported = False
        self._event = block.begins("trouble", trouble=kind)
        will_report, after_s = draws.chance(p.of("reported_share", kind)), p.of("reported_after_min", kind) * 60
        delay_s = draws.exponential(after_s)
        if will_report:
            block.env.process(self._report_by_resident(delay_s))

    @property
    def lasts(self) -> bool:
        return not self.over.triggered

    def report(self, source: str) -> None:
        """Tell the station, if there still is anything to tell."""
        if self.lasts:
            self.was_reported = True
            self._station.told_of(self.kind, self.block, source, self)

    def end(self, by: str) -> None:
        """It is over, by a crew or by itself; once."""
        if self.lasts:
            self.block.ends("trouble", self._event, trouble=self.kind, by=by, was_reported=self.was_reported)
            self.over.succeed()

    def end_by_itself(self, after_s: float) -> None:
        self.block.env.timeout(after_s).callbacks.append(lambda _: self.end("itself"))

    def _report_by_resident(self, delay_s: float) -> Generator[Any, Any, None]:
        yield self.block.env.timeout(delay_s)
        self.report("resident")

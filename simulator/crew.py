"""People who travel: technicians, volunteers, nurses, ambulances, cleaners.

A *crew* waits at its base, a site of its own whose devices are its *members*. Whoever needs one, in any model, says

    member = yield from crew.send(site, errand="repair")
    ...                             # the work, at the site
    crew.release(member)

and goes on when a member has arrived. The nearest free member goes, turning out first if it stands at its base; when
nobody is free the errand waits, the most urgent first, then the longest waiting. A released member takes the next
errand from where it stands, or returns to its base and may be called back on the way. Travel follows the map: straight
distance times a detour, at the crew's speed. Nothing here is drawn at random: same errands, same journeys.

Members say `crew_member` on every change, hourly as well, and on the way there as often as the map needs to show them
where they are.
"""

import itertools
from collections.abc import Generator
from typing import Any, Final

import simpy
from simpy.resources.resource import SortedQueue

from haina.contract.crew import CREW_MEMBER
from haina.contract.measurement import Value
from haina.zone import Position, distance_m
from simulator.town import Device, Site

WAITING, TRAVELLING, WORKING, RETURNING = 0, 1, 2, 3
DETOUR: Final = 1.3
"""Length of the way through the streets against the straight line; assumed."""

HEARTBEAT_S: Final = 3_600.0
UNDER_WAY_S: Final = 60.0
"""How often a travelling member says where it is."""


class Member:
    """One of a crew: where it is, and what it is doing."""

    def __init__(self, device: Device, crew: str, base: Position) -> None:
        self.device = device
        self.crew: Final = crew
        self.state = WAITING
        self.destination: Site | None = None
        self.errand = ""
        self._env = device.site.env
        self._from = self._to = base
        self._left_s = self._arrives_s = 0.0
        self.trips = 0

    def __repr__(self) -> str:
        return f"<Member {self.device.id}, {self.state}>"

    @property
    def position(self) -> Position:
        """Where the member is now, also on its way."""
        if self._env.now >= self._arrives_s:
            return self._to
        if self._env.now <= self._left_s:
            return self._from
        share = (self._env.now - self._left_s) / (self._arrives_s - self._left_s)
        (x, y), (to_x, to_y) = self._from, self._to
        return x + share * (to_x - x), y + share * (to_y - y)

    def set_out(self, to: Position, after_s: float, travel_s: float) -> None:
        """Leave for a position after so long, and travel so long."""
        self.trips += 1
        self._from = self.position
        self._to = to
        self._left_s = self._env.now + after_s
        self._arrives_s = self._left_s + travel_s

    @property
    def left_s(self) -> float:
        """How long the way ahead still takes."""
        return max(self._arrives_s - self._env.now, 0.0)

    @property
    def travelled_s(self) -> float:
        """How long the way takes, or took when it has led to its end."""
        return self._arrives_s - self._left_s

    def stop(self) -> None:
        """Stay where the way has led so far."""
        self._from = self._to = self.position
        self._arrives_s = self._env.now

    def become(self, state: int, destination: Site | None = None, errand: str = "") -> None:
        self.state, self.destination, self.errand = state, destination, errand
        self.say()

    def say(self) -> None:
        longitude, latitude = self.position
        said: dict[str, Value] = {
            "state": self.state,
            "longitude_deg": round(longitude, 6),
            "latitude_deg": round(latitude, 6),
        }
        if self.state in {TRAVELLING, RETURNING}:
            said["travel_s"] = float(round(min(self.left_s, 86_400.0)))
        if self.destination is not None:
            said["destination"] = self.destination.id
            said["errand"] = self.errand
        said["crew"] = self.crew
        self.device.send(CREW_MEMBER, said)


class Errand(simpy.Event):
    """An errand that waits: it happens when a member is free for it. The smallest `key` goes first."""

    def __init__(self, env: simpy.Environment, key: tuple[int, int]) -> None:
        super().__init__(env)
        self.key: Final = key
        """Urgency, then the order in which errands came."""


class Crew:
    """Members who are sent out and come back. `site` is their base; their devices are `name-1`, `name-2` and so on."""

    def __init__(
        self,
        site: Site,
        name: str,
        members: int,
        speed_m_per_s: float,
        *,
        turnout_s: float = 0.0,
        detour: float = DETOUR,
    ) -> None:
        self.site: Final = site
        self._env = site.env
        self._speed_m_per_s = speed_m_per_s
        self._turnout_s = turnout_s
        self._detour = detour
        self._numbers = itertools.count()
        self.errands = SortedQueue()
        self.members: Final = [
            Member(site.device(f"{name}-{number}", "crew-member", crew=name), name, site.position)
            for number in range(1, members + 1)
        ]
        if self.members:
            site.env.process(self._heartbeat())

    @property
    def free(self) -> int:
        """Members without an errand: at their base, or returning to it."""
        return sum(member.state in {WAITING, RETURNING} for member in self.members)

    @property
    def waiting(self) -> int:
        """Errands that nobody has set out for."""
        return len(self.errands)

    def send(self, destination: Site, *, errand: str = "", priority: int = 0) -> Generator[Any, Any, Member]:
        """Wait for a member to be free and to have arrived; a smaller `priority` goes first.

        A process that is interrupted here sends nobody: the member turns back, and the errand is struck off. Raises
        ValueError for a crew without members, whom nobody should wait for.
        """
        if not self.members:
            raise ValueError(f"{self.site!r} has no members to send")
        member = self._nearest(destination.position)
        if member is None:
            member = yield from self.wait_for_member(priority)
        try:
            at_base = member.state == WAITING
            member.stop()
            travel_s = self.travel_s(member.position, destination.position)
            member.set_out(destination.position, self._turnout_s if at_base else 0.0, travel_s)
            member.become(TRAVELLING, destination, errand)
            while member.left_s > 0:
                yield self._env.timeout(min(member.left_s, UNDER_WAY_S))
                if member.left_s > 0:
                    member.say()
        except simpy.Interrupt:
            self.release(member)
            raise
        member.become(WORKING, destination, errand)
        return member

    def wait_for_member(self, priority: int) -> Generator[Any, Any, Member]:
        """Queue until a member is free to set out."""
        member: Member
        errand = Errand(self._env, (priority, next(self._numbers)))
        self.errands.append(errand)
        try:
            member = yield errand
        except simpy.Interrupt:
            if errand.triggered:  # a member was told in this very moment
                assert isinstance(errand.value, Member)
                self.release(errand.value)
            else:
                self.errands.remove(errand)
            raise
        return member

    def release(self, member: Member) -> None:
        """The member is free where it stands: the next errand, or back to the base."""
        member.stop()
        if self.errands:
            member.state = WORKING  # whoever waited is about to send it on
            self.errands.pop(0).succeed(member)
            return
        member.set_out(self.site.position, 0.0, self.travel_s(member.position, self.site.position))
        member.become(RETURNING)
        self._env.process(self._return(member, member.trips))

    def travel_s(self, one: Position, other: Position) -> float:
        """Seconds on the way between two positions."""
        return distance_m(one, other) * self._detour / self._speed_m_per_s

    def _return(self, member: Member, trip: int) -> Generator[Any, Any, None]:
        yield self._env.timeout(member.left_s)
        if member.trips == trip:  # not called away meanwhile
            member.become(WAITING)

    def _nearest(self, position: Position) -> Member | None:
        free = [member for member in self.members if member.state in {WAITING, RETURNING}]
        return min(free, key=lambda member: distance_m(member.position, position), default=None)

    def _heartbeat(self) -> Generator[Any, Any, None]:
        while True:
            for member in self.members:
                member.say()
            yield self._env.timeout(HEARTBEAT_S)

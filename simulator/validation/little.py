"""Little's law on every queue of the shipped scenarios: L = λ W, exactly.

Over a stretch of time that begins with an empty queue, the area under the queue's length is the sum of everybody's
time in it, whatever the laws; those still waiting count up to its end. The length is watched in the queue itself, the
times are taken person by person from outside, so somebody who is forgotten there, served twice or dropped shows at
once. There is no sampling error: the tolerance is that of floating-point sums.

The town is the whole one, founded as `haina simulate` founds it, and searched for whatever people, errands and
incidents queue at, so that an application to come is asked as well. Help goes by commands alone: each of its desks is
told to send somebody, often enough that errands wait, and to recall some.
"""

import contextlib
import gc
from collections.abc import Generator, Sequence
from typing import Any

import simpy
from simpy.resources.resource import SortedQueue

from simulator.centres import CENTRE
from simulator.crew import Crew
from simulator.governance import Station
from simulator.population import build_town, planned
from simulator.scenario import load, shipped
from simulator.town import DAY_S, Device, Refused, Town
from simulator.validation.finding import Finding, Settings
from simulator.validation.laboratory import found_town

_RELATIVE_ERROR = 1e-9
_FROM_H = 8.0  # a working morning, when queues begin
_LARGE_CENTRES, _LARGE_HOURS = 10, 6
_SLICE_S = 1_800.0
_ERRAND_EVERY_S, _RECALLED = 900.0, 0.1  # of each helper: more than most can do


class Watch:
    """One queue from now on, when nobody may be in it: the area under its length, and everybody's time in it."""

    def __init__(self, env: simpy.Environment, what: str) -> None:
        self._env, self.what, self._since_s = env, what, env.now
        self.queue: Any = ()
        self.area = 0.0
        self.came = 0
        self._there: dict[Any, float] = {}
        self._spent_s = 0.0

    def pass_time(self) -> None:
        """To be called before the queue's length changes."""
        self.area += len(self.queue) * (self._env.now - self._since_s)
        self._since_s = self._env.now

    def come(self, who: Any) -> None:
        self.came += 1
        self._there[who] = self._env.now

    def go(self, who: Any) -> None:
        """Somebody leaves, if still there."""
        came_s = self._there.pop(who, None)
        if came_s is not None:
            self._spent_s += self._env.now - came_s

    @property
    def spent_s(self) -> float:
        """Everybody's time in the queue until now, s."""
        return self._spent_s + sum(self._env.now - came_s for came_s in self._there.values())


class _WatchedQueue(SortedQueue):
    """A waiting list that lets time pass before it changes."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def append(self, item: Any) -> None:
        self._watch.pass_time()
        super().append(item)

    def pop(self, index: Any = -1) -> Any:
        self._watch.pass_time()
        return super().pop(index)

    def remove(self, item: Any) -> None:
        self._watch.pass_time()
        super().remove(item)


class _WatchedDesk(dict[Any, Any]):
    """The same for what lies on a desk."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def __setitem__(self, number: Any, incident: Any) -> None:
        self._watch.pass_time()
        super().__setitem__(number, incident)

    def __delitem__(self, number: Any) -> None:
        self._watch.pass_time()
        super().__delitem__(number)


def watch_slots(slots: simpy.PriorityResource) -> Watch:
    """Those who wait for a kiosk, a gate, an operator or a clerk, until they are served or give up."""
    watch = Watch(slots._env, "persons at gates, kiosks and desks")
    watch.queue = slots.put_queue = _WatchedQueue(watch)
    ask = slots.request

    def request(*args: Any, **options: Any) -> Any:
        asked = ask(*args, **options)
        if not asked.triggered:
            watch.come(asked)
            asked.callbacks.append(watch.go)
            give_up = asked.cancel

            def cancel() -> None:
                watch.go(asked)
                give_up()

            asked.cancel = cancel  # type: ignore[method-assign]
        return asked

    slots.request = request  # type: ignore[method-assign]
    return watch


def watch_crew(crew: Crew) -> Watch:
    """Errands for which nobody has set out yet, until somebody does or they are called off."""
    watch = Watch(crew.site.env, "errands without a crew")
    watch.queue = crew.errands = _WatchedQueue(watch)
    wait = crew.wait_for_member

    def wait_for_member(priority: int) -> Generator[Any, Any, Any]:
        errand = object()
        watch.come(errand)
        try:
            return (yield from wait(priority))
        finally:
            watch.go(errand)

    crew.wait_for_member = wait_for_member  # type: ignore[method-assign]
    return watch


def watch_station(station: Station) -> Watch:
    """Incidents from found to closed, by what the station says of them."""
    watch = Watch(station.crew.site.env, "incidents from found to closed")
    watch.queue = station.open = _WatchedDesk(watch)
    say = station.say

    def heard(incident: Any, stage: str, **more: Any) -> None:
        say(incident, stage, **more)
        if stage in {"opened", "reopened"}:
            watch.come(incident)
        elif stage == "closed":
            watch.go(incident)

    station.say = heard  # type: ignore[method-assign]
    return watch


def watches_of(town: Town) -> list[Watch]:
    """A watch on every queue of a town that was just founded."""
    kinds, watches = (simpy.PriorityResource, Crew, Station), []
    for thing in gc.get_objects():
        match thing if issubclass(type(thing), kinds) else None:
            case simpy.PriorityResource() if thing._env is town.env:
                watches.append(watch_slots(thing))
            case Crew() if thing.site.env is town.env:
                watches.append(watch_crew(thing))
            case Station() if thing.crew.site.env is town.env:
                watches.append(watch_station(thing))
    return watches


def little(settings: Settings) -> list[Finding]:
    """Every queue of every shipped scenario; of a large one, six hours."""
    findings = []
    for name in shipped():
        scenario = load(name)
        is_large = len(list(planned(scenario, CENTRE))) > _LARGE_CENTRES
        if settings.quick and is_large:
            continue
        town = found_town(settings.seed, at_h=_FROM_H)
        build_town(scenario, town)
        watches = watches_of(town)
        for site in town.sites.values():
            for desk in site.devices.values():
                if desk.kind == "help-desk":
                    town.env.process(_ask_for_help(town, desk))
        length_s = _LARGE_HOURS * 3_600.0 if is_large else settings.sized(1, 2) * DAY_S
        while town.env.now < length_s:
            town.env.run(until=min(town.env.now + _SLICE_S, length_s))
            town.outbox.clear()
        kinds = sorted({watch.what for watch in watches})
        findings += [compare(name, [each for each in watches if each.what == kind], length_s) for kind in kinds]
    return findings


def _ask_for_help(town: Town, desk: Device) -> Generator[Any, Any, None]:
    """Commands to a help desk, at a constant rate for each of its crew."""
    draws = desk.site.stream("validation commands")
    helpers = sum(device.kind == "crew-member" for device in desk.site.devices.values())
    serves = desk.labels["serves"]
    homes = [site.id for site in town.sites.values() if site.kind == "home" and serves in {"all", site.area}]
    while True:
        yield town.env.timeout(draws.exponential(_ERRAND_EVERY_S / helpers))
        with contextlib.suppress(Refused):  # somebody is on the way there already
            said: Any = desk.commands["send"]({"home": draws.choice(homes)})
            if draws.chance(_RECALLED):
                desk.commands["recall"]({"errand": said["errand"]})


def compare(name: str, watches: Sequence[Watch], length_s: float) -> Finding:
    """L and λ W of all these queues together; the distance is that of the queue where they lie farthest apart."""
    for watch in watches:
        watch.pass_time()
    return Finding(
        f"{name}: {watches[0].what}",
        sum(watch.spent_s for watch in watches) / length_s,
        sum(watch.area for watch in watches) / length_s,
        _RELATIVE_ERROR * max(length_s / DAY_S, 1.0),
        "1",
        "Little, Oper. Res. 9 (1961); Stidham 1974 for sample paths",
        f"identity of the worst of {len(watches)} queues in {length_s / 3_600:,.0f} h; "
        f"{sum(watch.came for watch in watches):,} waited",
        distance=max(abs(watch.area - watch.spent_s) for watch in watches) / length_s,
    )

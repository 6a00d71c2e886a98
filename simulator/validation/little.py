"""Little's law on every queue of the shipped scenarios: L = λ W, exactly.

Over a stretch of time that begins with an empty queue, the area under the queue's length is the sum of everybody's
time in it, whatever the laws; those still waiting count up to its end. The length is watched in the kiosks' own
waiting list, the times are taken request by request from outside, so somebody who is forgotten in the list, served
twice or dropped shows at once. There is no sampling error: the tolerance is that of floating-point sums.
"""

from typing import Any

import simpy
from simpy.resources.resource import SortedQueue

from simulator.centres import CENTRE, open_centre
from simulator.centres.support import found_support
from simulator.population import planned
from simulator.scenario import load, shipped
from simulator.town import DAY_S
from simulator.validation.finding import Finding, Settings
from simulator.validation.laboratory import ZHENRU, found_town, weather_of

_RELATIVE_ERROR = 1e-9


class _WatchedQueue(SortedQueue):
    """A waiting list that adds up the area under its length."""

    def __init__(self, env: simpy.Environment) -> None:
        super().__init__()
        self._env, self._since_s = env, env.now
        self.area = 0.0

    def pass_time(self) -> None:
        self.area += len(self) * (self._env.now - self._since_s)
        self._since_s = self._env.now

    def append(self, item: Any) -> None:
        self.pass_time()
        super().append(item)

    def pop(self, index: Any = -1) -> Any:
        self.pass_time()
        return super().pop(index)

    def remove(self, item: Any) -> None:
        self.pass_time()
        super().remove(item)


class Watch:
    """Watches one resource from now on; nobody may be waiting yet."""

    def __init__(self, slots: simpy.PriorityResource) -> None:
        self._env = slots._env
        self.queue = slots.put_queue = _WatchedQueue(self._env)
        self._ask = slots.request
        slots.request = self._request  # type: ignore[method-assign]
        self._waiting: dict[Any, float] = {}
        self._waited_s = 0.0
        self.asked = self.delayed = 0

    def _request(self, *args: Any, **options: Any) -> Any:
        request = self._ask(*args, **options)
        self.asked += 1
        if not request.triggered:
            self.delayed += 1
            self._waiting[request] = self._env.now
            request.callbacks.append(self._end)
            give_up = request.cancel

            def cancel() -> None:
                self._end(request)
                give_up()

            request.cancel = cancel  # type: ignore[method-assign]
        return request

    def _end(self, request: Any) -> None:
        began_s = self._waiting.pop(request, None)
        if began_s is not None:
            self._waited_s += self._env.now - began_s

    @property
    def waited_s(self) -> float:
        """Everybody's time in the queue until now, s."""
        return self._waited_s + sum(self._env.now - began_s for began_s in self._waiting.values())


def little(settings: Settings) -> list[Finding]:
    """Every queue of every centre, at its gate and its kiosks, and that for the operators."""
    findings = []
    for name in shipped():
        scenario = load(name)
        if settings.quick and len(list(planned(scenario, CENTRE))) > 10:
            continue
        days = settings.sized(1, 2)
        town = found_town(settings.seed)
        weather = weather_of(town, scenario.parameters.of("weather"))
        plans, parameters = list(planned(scenario, CENTRE)), scenario.parameters.of("centre")
        support = found_support(town, plans[0][0], len(plans), parameters)
        watches = [Watch(support.operators)] if support.operators else []
        for area, centre_id, plan in plans:
            site = town.site(area, centre_id, "centre", ZHENRU)
            centre = open_centre(site, plan, parameters, weather, support)
            watches += [Watch(centre.gate.lane), *(Watch(pool.slots) for pool in centre.pools.values())]
        while town.env.now < days * DAY_S:
            town.env.run(until=min(town.env.now + DAY_S / 8, days * DAY_S))
            town.outbox.clear()
        findings.append(compare(name, watches, town.env.now))
    return findings


def compare(name: str, watches: list[Watch], length_s: float) -> Finding:
    """The queue where L and λ W lie farthest apart."""
    lengths, products = [], []
    for watch in watches:
        watch.queue.pass_time()
        lengths.append(watch.queue.area / length_s)
        products.append(watch.waited_s / length_s)
    worst = max(range(len(watches)), key=lambda number: abs(lengths[number] - products[number]))
    delayed = sum(watch.delayed for watch in watches)
    return Finding(
        f"{name}: the worst of {len(watches)} queues",
        products[worst],
        lengths[worst],
        _RELATIVE_ERROR * max(length_s / DAY_S, 1.0),
        "persons",
        "Little, Oper. Res. 9 (1961); Stidham 1974 for sample paths",
        f"identity; {sum(watch.asked for watch in watches):,} requests, {delayed:,} of which waited",
    )

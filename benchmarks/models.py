"""What the models cost: forty centres beside bare SimPy and Ciw, then a day and a week of whole scenarios.

    python -m benchmarks.models [--scenario pilot-zone] [--week laptop] [--days 7] [--docs]

**Forty centres** of six kiosks, as busy as a staffed hall: 900 visits a day each, so that kiosks are used for four
fifths of the time at the busiest hour. Three contenders live the same Tuesday in turns, each turn in a process of its
own, and the best of three counts:

- *Haina*: the centres as they are, all readings encoded, every visitor with a random stream of their own;
- *bare SimPy*: the same processes on the same SimPy, event for event, with what Haina adds taken away: nothing is
  encoded or kept, no truth is recorded, and all draws come from one `random.Random`;
- *Ciw* (Palmer et al. 2019), an independent simulator in Python: forty nodes of six servers with the same arrivals,
  lognormal sessions and patience, and nothing else: no gates, no breakdowns, no readings.

An event is one of SimPy's, or in Ciw an arrival or an end of service. Goals are stated in events, as simulators are
compared; Ciw's customers have two each, ours sixteen, so customers per second stand beside them.

**A day** of a scenario is made into a null sink: every reading encoded and dropped. **A week** of another (or the
same) shows whether memory grows: resident memory after its last day against day 1. All times are those of one process's
CPU. Exits 1 when a goal is missed.
"""

import argparse
import importlib
import importlib.util
import json
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks._process import rss_mib
from simulator import centres, population, scenario, town, truth, weather
from simulator.centres.arrivals import WEEKDAY_PROFILE
from simulator.centres.support import found_support

CENTRES, KIOSKS, PERSONS_PER_DAY = 40, 6, 900.0
TURNS = 3
TUESDAY_MS = 1_790_006_400_000  # 22 September 2026, midnight in Shanghai
OF_SIMPY_GOAL, OF_CIW_GOAL = 0.7, 5.0
DAY_GOAL_S, GROWTH_GOAL = 90.0, 1.05
SLICE_S = 300.0
TABLE = Path(__file__).resolve().parents[1] / "docs/performance.md"
BEGIN, END = "<!-- bench-models -->", "<!-- /bench-models -->"


class PlainDraws(random.Random):
    """The standard library's generator under the names of `simulator.randomness.Stream`."""

    def exponential(self, mean: float) -> float:
        return self.expovariate(1 / mean) if mean else 0.0

    def normal(self, mean: float, sd: float) -> float:
        return self.gauss(mean, sd)

    def lognormal_mean_cv(self, mean: float, cv: float) -> float:
        variance = math.log1p(cv * cv)
        return self.lognormvariate(math.log(mean) - variance / 2, math.sqrt(variance))

    def gamma(self, shape: float, scale: float) -> float:
        return self.gammavariate(shape, scale)

    def weibull(self, shape: float, scale: float) -> float:
        return self.weibullvariate(scale, shape)

    def poisson(self, mean: float) -> int:
        count, total = 0, self.expovariate(1)
        while total < mean:
            count, total = count + 1, total + self.expovariate(1)
        return count

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def integer(self, low: int, high: int) -> int:
        return self.randint(low, high)

    def choice(self, items: Sequence[Any], weights: Sequence[float] | None = None) -> Any:
        return items[int(self.random() * len(items))] if weights is None else self.choices(items, weights)[0]


def new_town() -> town.Town:
    return town.Town(seed=1, start_ms=TUESDAY_MS, run="bench", boot=1, truth=truth.NoTruth())


def live(a_town: town.Town, days: float) -> int:
    """Let it live so many days more, throwing away what it says; how many readings that were."""
    said, until_s = 0, a_town.env.now + days * town.DAY_S
    while a_town.env.now < until_s:
        a_town.env.run(until=min(a_town.env.now + SLICE_S, until_s))
        said += len(a_town.outbox)
        a_town.outbox.clear()
    return said


# -- forty centres ----------------------------------------------------------------------------------------------------


def run_haina() -> dict[str, float]:
    """A day of the centres as they are."""
    a_town, p = new_town(), centres.CentreParameters()
    sky = weather.Weather(
        a_town,
        weather.WeatherParameters(),
        a_town.site("a01", "w01", "weather", (121.4, 31.25)).device("station", "weather-station"),
    )
    support = found_support(a_town, "a01", CENTRES, p)
    opened = [
        centres.Centre(
            a_town.site("a01", f"c{number:02d}", "centre", (121.4, 31.25)),
            ["household"] * KIOSKS,
            PERSONS_PER_DAY,
            None,
            p,
            sky,
            support,
        )
        for number in range(CENTRES)
    ]
    began_s = time.process_time()
    said = live(a_town, 1)
    took_s = time.process_time() - began_s
    events = next(a_town.env._eid)  # SimPy numbers what it schedules
    return {"cpu_s": took_s, "events": events, "customers": sum(c._visitors for c in opened), "readings": said}


def run_simpy() -> dict[str, float]:
    """The same processes without what Haina adds to SimPy."""
    draws = PlainDraws(1)
    town.Stream = lambda *_: draws  # type: ignore[assignment,misc]
    town.Device.send = lambda *_: None  # type: ignore[assignment,method-assign]
    return run_haina()


def run_ciw() -> dict[str, float]:
    """The queues alone, in Ciw; its own calls for a network whose rates change by the hour."""
    ciw: Any = importlib.import_module("ciw")
    p = centres.CentreParameters()
    rate = [PERSONS_PER_DAY * share / 3_600 for share in WEEKDAY_PROFILE]
    variance = math.log1p(p.service_cv**2)

    def each(make: Callable[[], Any]) -> list[Any]:
        return [make() for _ in range(CENTRES)]

    ciw.seed(1)
    network = ciw.create_network(
        arrival_distributions=each(
            lambda: ciw.dists.PoissonIntervals(
                rates=rate, endpoints=[3_600 * (hour + 1) for hour in range(24)], max_sample_date=86_400
            )
        ),
        service_distributions=each(
            lambda: ciw.dists.Lognormal(math.log(p.service_mean_s) - variance / 2, math.sqrt(variance))
        ),
        reneging_time_distributions=each(lambda: ciw.dists.Exponential(1 / p.patience_mean_s)),
        number_of_servers=[KIOSKS] * CENTRES,
        routing=[[0.0] * CENTRES for _ in range(CENTRES)],
    )
    simulation = ciw.Simulation(network)
    began_s = time.process_time()
    simulation.simulate_until_max_time(86_400)
    took_s = time.process_time() - began_s
    customers = len(simulation.get_all_records())
    return {"cpu_s": took_s, "events": 2 * customers, "customers": customers}


# -- whole scenarios --------------------------------------------------------------------------------------------------


def run_days(name: str, days: int) -> dict[str, float]:
    """Days of a scenario into a null sink, its founding included; memory after the first and the last."""
    began_s = time.process_time()
    a_town = new_town()
    population.build_town(scenario.load(name), a_town)
    said = live(a_town, 1)
    took_s, first_mib = time.process_time() - began_s, rss_mib(os.getpid())
    live(a_town, days - 1)
    return {
        "cpu_s": took_s,
        "readings": said,
        "devices": sum(len(site.devices) for site in a_town.sites.values()),
        "first_mib": first_mib,
        "last_mib": rss_mib(os.getpid()),
    }


PARTS: dict[str, Callable[..., dict[str, float]]] = {
    "haina": run_haina,
    "simpy": run_simpy,
    "ciw": run_ciw,
    "days": run_days,
}


def measure(part: str, *arguments: str) -> dict[str, float]:
    """One part in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.models", "--part", part, *arguments]
    process = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if process.returncode:
        sys.exit(f"benchmarks.models: part {part} ended with code {process.returncode}")
    found: dict[str, float] = json.loads(process.stdout)
    return found


def best_of(parts: Sequence[str]) -> dict[str, dict[str, float]]:
    """The turn of each that took the least; turns alternate, so a busy machine is busy for all."""
    turns: dict[str, list[dict[str, float]]] = {part: [] for part in parts}
    for _ in range(TURNS):
        for part in parts:
            turns[part].append(measure(part))
    return {part: min(found, key=lambda turn: turn["cpu_s"]) for part, found in turns.items()}


def table(
    network: dict[str, dict[str, float]], day: dict[str, float], week: dict[str, float], names: list[str], days: int
) -> str:
    """The section of docs/performance.md."""
    haina, simpy, ciw = network["haina"], network["simpy"], network["ciw"]
    rows = [
        "| forty centres, a day | CPU s | events/s | customers/s | readings |",
        "|---|---|---|---|---|",
        *(
            f"| {title} | {found['cpu_s']:.1f} | {_rate(found, 'events')} | {_rate(found, 'customers')} "
            f"| {found.get('readings', 0):,.0f} |"
            for title, found in (("Haina", haina), ("bare SimPy", simpy), ("Ciw", ciw))
        ),
        "",
        "| what | result | goal |",
        "|---|---|---|",
        f"| events per CPU second against bare SimPy | **{of_simpy(network):.3f}×** | at least {OF_SIMPY_GOAL}× |",
        f"| events per CPU second against Ciw | **{of_ciw(network):.1f}×** | at least {OF_CIW_GOAL:.0f}× |",
        f"| a day of `{names[0]}`, {day['devices']:,.0f} devices, {day['readings'] / 1e6:.2f} million readings encoded "
        f"| **{day['cpu_s']:.0f} s** of CPU | under {DAY_GOAL_S:.0f} s |",
        f"| memory of `{names[1]}` after day {days} against day 1 | {week['last_mib']:.0f} MiB against "
        f"{week['first_mib']:.0f}: **{growth(week):.2f}×** | at most {GROWTH_GOAL}× |",
    ]
    return "\n".join(rows)


def of_simpy(network: dict[str, dict[str, float]]) -> float:
    ours, theirs = network["haina"], network["simpy"]
    return (ours["events"] / ours["cpu_s"]) / (theirs["events"] / theirs["cpu_s"])


def of_ciw(network: dict[str, dict[str, float]]) -> float:
    ours, theirs = network["haina"], network["ciw"]
    return (ours["events"] / ours["cpu_s"]) / (theirs["events"] / theirs["cpu_s"])


def growth(week: dict[str, float]) -> float:
    return week["last_mib"] / week["first_mib"]


def _rate(found: dict[str, float], what: str) -> str:
    return f"{found[what] / found['cpu_s']:,.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scenario", default="pilot-zone", help="whose day is timed")
    parser.add_argument(
        "--week", default="laptop", help="whose week is watched for memory (the same: one run does both)"
    )
    parser.add_argument("--days", type=int, default=7, help="how long that week is")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/performance.md")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        days = [int(word) if word.isdigit() else word for word in options.arguments]
        print(json.dumps(PARTS[options.part](*days)))
        return 0
    if importlib.util.find_spec("ciw") is None:
        parser.error("Ciw is one of the contenders and is not installed; `make install-dev` brings it")
    if options.days < 2:
        parser.error("--days must be 2 or more: memory is watched from the first day to the last")
    try:
        for name in (options.scenario, options.week):
            scenario.load(name)
    except scenario.BadScenario as error:
        parser.error(str(error))
    network = best_of(("haina", "simpy", "ciw"))
    same = options.scenario == options.week
    day = measure("days", options.scenario, str(options.days if same else 1))
    week = day if same else measure("days", options.week, str(options.days))
    found = table(network, day, week, [options.scenario, options.week], options.days)
    print(found)
    if options.docs:
        before, _, rest = TABLE.read_text().partition(BEGIN)
        TABLE.write_text(f"{before}{BEGIN}\n{found}\n{END}{rest.partition(END)[2]}")
    missed = [
        goal
        for goal, is_met in (
            ("bare SimPy", of_simpy(network) >= OF_SIMPY_GOAL),
            ("Ciw", of_ciw(network) >= OF_CIW_GOAL),
            (f"the day of {options.scenario}", day["cpu_s"] < DAY_GOAL_S),
            ("flat memory", growth(week) <= GROWTH_GOAL),
        )
        if not is_met
    ]
    print(
        f"Forty centres run at {of_simpy(network):.3f} times the events per CPU second of bare SimPy and "
        f"{of_ciw(network):.1f} times those of Ciw; a day of {options.scenario} takes {day['cpu_s']:.0f} s, memory "
        f"grows {growth(week):.2f} times in {options.days} days; goals missed: {', '.join(missed) or 'none'}."
    )
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())

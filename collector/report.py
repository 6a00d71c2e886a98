"""What the collector says about itself: `/status` for people and programs, `/metrics` for Prometheus, `/healthz`.

All three read the same numbers. The accounts in them always close: ``received = rejected + duplicates + journaled +
in_memory``, and for each store ``journaled = stored + pending + refused + forgotten`` since it was first configured.
A refused point that the store took later (`haina deadletter replay`) is stored, not refused, and counted as *replayed*.
The first two ask for the token in HAINA_COLLECTOR_TOKEN, if there is one.
"""

import asyncio
import contextlib
import heapq
import itertools
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector as MetricSource
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from collector.accounting import Device
from collector.bearer import doorkeeper
from collector.latency import Latency
from collector.presence import State, allowed_silence_ms, state
from haina import __version__
from haina.store_url import collector_token

if TYPE_CHECKING:
    from collector.service import Collector

RATE_S: Final = 5
"""Rates are means over the last so many seconds."""

MAX_DEVICES_SHOWN: Final = 10_000
WORST_SHOWN: Final = 20
REFUSED_IN_A_ROW: Final = 100
"""A store that has refused so many points and taken none in between looks to be the wrong one, or set up wrongly, and
of dead letters only the last are kept. Assumed."""

GLANCE_S: Final = 0.5
GLANCE_SHARE: Final = 0.01
"""A look at all devices is remembered for so long, and longer where it would take more than this share of the time:
200,000 of them cost most of a second."""


class Sample(NamedTuple):
    """The counters at one moment of the loop's clock; `cursors` by store."""

    time_s: float
    received: int
    journaled: int
    cursors: dict[str, int]


class Choice(NamedTuple):
    """Which devices to list; what is empty excludes none."""

    state: str = ""
    area: str = ""
    site: str = ""

    def takes(self, device: Device, state: State) -> bool:
        site = device.site
        return self.state in {"", state} and self.area in {"", site.area} and self.site in {"", site.name}


@dataclass
class Glance:
    """All devices at one moment, summed up: what they miss, how they are, and the ones to look at first."""

    missing: int = 0
    reordered: int = 0
    unverified: int = 0
    elsewhere: int = 0
    states: dict[State, int] = field(default_factory=lambda: dict.fromkeys(State, 0))
    worst: list[tuple[Device, State]] = field(default_factory=list)


class Report:
    """The collector's numbers, as plain values."""

    def __init__(self, collector: "Collector") -> None:
        self._collector = collector
        self._glance = Glance()
        self._glance_until_s = float("-inf")

    def problems(self) -> list[str]:
        """Why the collector is not healthy; empty when it is. A store that is down is not among them."""
        collector = self._collector
        problems = []
        stands_still = collector.connection is not None and collector.paused  # it is not the broker's fault
        if collector.broker_reason is not None and not stands_still:
            problems.append(f"broker down: {collector.broker_reason}")
        if collector.journal_full:
            problems.append("journal full")
        if collector.disk_reason is not None:
            problems.append(f"disk: {collector.disk_reason}")
        if collector.ingest.turns_away is not None:
            problems.append(f"what is beyond a limit is rejected: {collector.ingest.turns_away}")
        problems += (
            f"store {shipper.name} refused its last {shipper.refused_in_a_row:,} points: see `haina deadletter list`"
            for shipper in collector.shippers
            if shipper.refused_in_a_row >= REFUSED_IN_A_ROW
        )
        return problems

    def status(self) -> dict[str, Any]:
        """Everything but the device table."""
        collector = self._collector
        settings = collector.settings
        counters = collector.durable_counters
        clock = collector.ingest.clock
        commits = sorted(collector.commit_s)
        glance = self._look()
        return {
            "version": __version__,
            "uptime_s": round(time.monotonic() - collector.started_s, 1),
            "problems": self.problems(),
            "broker": {
                "url": str(settings.broker),
                "client_id": settings.client_id,
                "connected": collector.broker_reason is None,
                "reason": collector.broker_reason,
                "paused_for": collector.paused,
                "stalled_at": collector.stall.messages,
                "stall": collector.stall.sentence,
            },
            "areas": {
                "served": sorted(collector.partition.wanted),
                "taking_over": sorted(collector.partition.arriving),
                "handing_over": sorted(collector.partition.leaving),
            },
            "clock": None if clock is None else msgspec.to_builtins(clock),
            "counters": {
                "received": collector.received_readings,
                "rejected": counters.get("rejected", 0),
                "duplicates": counters.get("duplicates", 0),
                "journaled": counters.get("journaled", 0),
                "in_memory": collector.in_memory,
                "missing": glance.missing,
                "reordered": glance.reordered,
                "unverified": glance.unverified,
                "elsewhere": glance.elsewhere,
            },
            "rejected": {
                kind.removeprefix("rejected_"): number
                for kind, number in sorted(counters.items())
                if kind.startswith("rejected_")
            },
            "rates": {"received_hz": self._rate("received"), "journaled_hz": self._rate("journaled")},
            "journal": {
                "folder": str(settings.data),
                "source": collector.journal.source,
                "bytes": collector.size.groups_bytes,
                "limit_bytes": settings.journal_limit_bytes,
                "full": collector.journal_full,
                "disk": collector.disk_reason,
                "dead_letters": collector.size.dead_letters,
                "dead_letters_dropped": counters.get("dead_letters_dropped", 0) + collector.size.dead_letters_forgotten,
                "commit_ms_p50": _percentile_ms(commits, 0.50),
                "commit_ms_p99": _percentile_ms(commits, 0.99),
            },
            "stores": [
                {
                    "name": shipper.name,
                    "url": shipper.key,
                    "since": shipper.since,
                    "stored": shipper.stored,
                    "pending": shipper.pending,
                    "refused": shipper.refused - shipper.replayed,
                    "replayed": shipper.replayed,
                    "forgotten": shipper.forgotten,
                    "rate_hz": self._store_rate(shipper.name),
                    "lag_s": self._lag_s(shipper.cursor, shipper.pending),
                    "latency_ms_p50": latency_ms[0],
                    "latency_ms_p99": latency_ms[1],
                    "down": shipper.down_reason,
                }
                for shipper in collector.shippers
                if (latency_ms := shipper.latency.percentiles_ms(0.50, 0.99))
            ],
            "gateways": self._gateways(),
            "devices": {
                "known": len(collector.accounting.devices),
                "limit": settings.max_devices,
                "states": glance.states,
                "worst": [_row(device, state) for device, state in glance.worst],
            },
        }

    def latencies(self) -> list[tuple[str, Latency]]:
        """The receive-to-stored times of each store."""
        return [(shipper.name, shipper.latency) for shipper in self._collector.shippers]

    def devices(self, choice: Choice = Choice()) -> list[dict[str, Any]]:
        """A row for each device that was chosen, at most 10,000."""
        rows = (_row(device, state) for device, state in self._states() if choice.takes(device, state))
        return list(itertools.islice(rows, MAX_DEVICES_SHOWN))

    def _states(self) -> Iterator[tuple[Device, State]]:
        """Every device, and how it is by the run's clock."""
        collector = self._collector
        gateways, clock = collector.ingest.gateways, collector.ingest.clock
        now_ms = int(time.time() * 1000) if clock is None else clock.time
        for site in collector.accounting.sites.values():
            if not collector.partition.speaks_for(site.area):
                continue  # it was handed over, and what is known of it here is past
            gateway = gateways.get((site.area, site.name))
            online = None if gateway is None else gateway.online
            for device in site.devices:
                yield device, state(device, online, now_ms)

    def _look(self) -> Glance:
        """Sum up all devices, unless that was done a moment ago."""
        began_s = time.monotonic()
        if began_s < self._glance_until_s:
            return self._glance
        self._glance = glance = Glance()
        bad: list[tuple[Device, State]] = []
        for device in self._collector.accounting.devices.values():
            glance.missing += device.missing
            glance.reordered += device.reordered
            glance.unverified += device.unverified
            glance.elsewhere += device.elsewhere
        for device, state_now in self._states():
            glance.states[state_now] += 1
            if state_now is not State.ONLINE or device.missing:
                bad.append((device, state_now))
        glance.worst = heapq.nsmallest(WORST_SHOWN, bad, key=_urgency)
        now_s = time.monotonic()
        self._glance_until_s = now_s + max(GLANCE_S, (now_s - began_s) / GLANCE_SHARE)
        return glance

    def _gateways(self) -> dict[str, int]:
        known = self._collector.ingest.gateways
        online = sum(gateway.online for gateway in known.values())
        silent = sum(1 for site in self._collector.accounting.sites if site not in known)
        return {"online": online, "offline": len(known) - online, "unknown": silent}

    def _window(self) -> tuple[Sample, Sample] | None:
        samples = self._collector.samples
        if len(samples) < 2:
            return None
        return samples[max(-len(samples), -1 - RATE_S)], samples[-1]

    def _rate(self, counter: str) -> float:
        if (window := self._window()) is None:
            return 0.0
        first, last = window
        number: int = getattr(last, counter) - getattr(first, counter)
        return round(number / (last.time_s - first.time_s), 1)

    def _store_rate(self, name: str) -> float:
        if (window := self._window()) is None:
            return 0.0
        first, last = window
        return round((last.cursors[name] - first.cursors[name]) / (last.time_s - first.time_s), 1)

    def _lag_s(self, cursor: int, pending: int) -> float:
        """How old the oldest point is that the store lacks, since its commit, to a second."""
        if not pending:
            return 0.0
        now_s = asyncio.get_running_loop().time()
        for sample in reversed(self._collector.samples):
            if sample.journaled <= cursor:
                return round(now_s - sample.time_s, 1)
        return round(time.monotonic() - self._collector.started_s, 1)


_ORDER: Final = {state: order for order, state in enumerate(State)}


def _urgency(found: tuple[Device, State]) -> tuple[int, int, int, str]:
    """Silent devices first, which nothing explains; among equals those that miss most, then the longest unheard."""
    device, state = found
    return _ORDER[state], -device.missing, device.last_ms, device.name


def _row(device: Device, state: State) -> dict[str, Any]:
    """A device's account. `expected` are the numbers it has used as far as is known, those had elsewhere left out."""
    area, site, name = device.key
    received, missing, waited_for = device.received, device.missing, device.waited_for
    return {
        "area": area,
        "site": site,
        "device": name,
        "state": state,
        "boot": device.current.boot,
        "contiguous": device.current.contiguous,
        "waiting": len(device.current.above),
        "expected": received + missing + waited_for,
        "received": received,
        "waited_for": waited_for,
        "missing": missing,
        "duplicates": device.duplicates,
        "reordered": device.reordered,
        "last_seen": device.last_ms or None,
        "silent_after_s": round(allowed_silence_ms(device) / 1000),
    }


def _percentile_ms(ascending: list[float], share: float) -> float | None:
    if not ascending:
        return None
    return round(1000 * ascending[min(int(share * len(ascending)), len(ascending) - 1)], 2)


class _Metrics(MetricSource):
    """The report's numbers under Prometheus names."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def collect(self) -> Iterator[Metric]:
        status = self._report.status()
        counters = status["counters"]
        for name, sentence in (
            ("received", "Readings received."),
            ("rejected", "Readings that broke the contract."),
            ("duplicates", "Readings that had come before."),
            ("journaled", "Readings made durable."),
            ("reordered", "Readings that came after a later one."),
        ):
            yield CounterMetricFamily(f"haina_collector_{name}", sentence, value=counters[name])
        for name, sentence in (  # each falls again: by what comes late, or with a device that is forgotten
            ("missing", "Readings given up and not come since."),
            ("unverified", "Readings taken where it is no longer known whether they had come before."),
            ("elsewhere", "Readings that the collector before this one has."),
        ):
            yield _gauge(name, sentence, counters[name])
        yield _gauge("in_memory", "Readings received and not yet durable.", counters["in_memory"])
        rejected = CounterMetricFamily(
            "haina_collector_rejected_by", "Rejected readings, by reason.", labels=["reason"]
        )
        for reason, number in status["rejected"].items():
            rejected.add_metric([reason], number)
        yield rejected
        journal = status["journal"]
        yield _gauge("journal_bytes", "Points in the journal, in bytes.", journal["bytes"])
        yield _gauge("journal_limit_bytes", "The journal's limit, in bytes.", journal["limit_bytes"])
        yield _gauge("dead_letters", "Dead letters kept.", journal["dead_letters"])
        yield CounterMetricFamily(
            "haina_collector_dead_letters_dropped",
            "Dead letters over the limit, which were not kept.",
            value=journal["dead_letters_dropped"],
        )
        yield _gauge("healthy", "1 unless the status names problems.", not status["problems"])
        yield _gauge("devices", "Devices known.", status["devices"]["known"])
        for name, numbers in (("gateways", status["gateways"]), ("devices_by", status["devices"]["states"])):
            family = GaugeMetricFamily(f"haina_collector_{name}", "How many, by state.", labels=["state"])
            for state_name, number in numbers.items():
                family.add_metric([state_name], number)
            yield family
        yield _gauge(
            "stalled_at",
            "Unacknowledged messages at which the broker holds back, or 0.",
            status["broker"]["stalled_at"],
        )
        yield from self._stores(status["stores"])
        latency = HistogramMetricFamily(
            "haina_collector_store_latency_seconds", "From a reading's arrival until a store has it.", labels=["store"]
        )
        for store, measured in self._report.latencies():
            latency.add_metric([store], measured.buckets(), measured.total_s)
        yield latency

    @staticmethod
    def _stores(stores: list[dict[str, Any]]) -> Iterator[Metric]:
        families: list[tuple[str, Metric]] = []
        for key, sentence in (
            ("stored", "Points stored."),
            ("replayed", "Points among them that it had refused before."),
            ("forgotten", "Points passed over, for their site was forgotten."),
        ):
            families.append((key, CounterMetricFamily(f"haina_collector_store_{key}", sentence, labels=["store"])))
        for key, sentence in (
            ("pending", "Points not yet settled."),
            ("refused", "Points the store has refused and not taken since."),
            ("lag_s", "Age of the oldest of them, in seconds."),
        ):
            families.append((key, GaugeMetricFamily(f"haina_collector_store_{key}", sentence, labels=["store"])))
        for key, family in families:
            assert isinstance(family, CounterMetricFamily | GaugeMetricFamily)
            for store in stores:
                family.add_metric([store["name"]], store[key])
            yield family


def _gauge(name: str, sentence: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"haina_collector_{name}", sentence, value=float(value))


def application(report: Report, token: str | None, host: str) -> Starlette:
    """The HTTP application, for `host`."""
    registry = CollectorRegistry()
    registry.register(_Metrics(report))

    async def status(request: Request) -> Response:
        answer = report.status()
        if request.query_params.get("devices") in {"1", "true"}:
            wanted = {name: request.query_params[name] for name in Choice._fields if name in request.query_params}
            answer["device_table"] = report.devices(Choice(**wanted))
        return Response(msgspec.json.encode(answer), media_type="application/json")

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    async def healthz(_request: Request) -> Response:
        problems = report.problems()
        return PlainTextResponse("; ".join(problems) or "ok", 503 if problems else 200)

    routes = [Route("/status", status), Route("/metrics", metrics), Route("/healthz", healthz)]
    return Starlette(routes=routes, middleware=doorkeeper(token, host))


class _Server(uvicorn.Server):
    """A server that leaves signals to the process it is a guest in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def build_server(collector: "Collector", host: str) -> uvicorn.Server:
    """What answers HTTP at `host`, with all it needs loaded."""
    config = uvicorn.Config(
        application(Report(collector), collector_token(), host),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",  # and need not be loaded
        limit_concurrency=100,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=1,
        date_header=False,
        server_header=False,
    )
    config.load()
    return _Server(config)


async def serve(server: uvicorn.Server, listener: socket.socket) -> None:
    """Answer HTTP on `listener` until cancelled."""
    try:
        await server.serve(sockets=[listener])
    finally:
        for listening in getattr(server, "servers", ()):  # an event loop may hold a copy of the socket
            listening.close()
        listener.close()

"""What the collector says about itself: `/status` for people and programs, `/metrics` for Prometheus, `/healthz`.

All three read the same numbers. The accounts in them always close: ``received = rejected + duplicates + journaled +
in_memory``, and for each store ``journaled = stored + pending + refused`` since it was first configured. The first two
ask for the token in HAINA_COLLECTOR_TOKEN, if there is one.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector as MetricSource
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from collector.bearer import doorkeeper
from haina import __version__
from haina.store_url import COLLECTOR_TOKEN

if TYPE_CHECKING:
    from collector.service import Collector

RATE_S: Final = 5
"""Rates are means over the last so many seconds."""

MAX_DEVICES_SHOWN: Final = 10_000
TOTALS_S: Final = 5.0
"""Sums over all devices are remembered for so long: with 200,000 of them they cost more than a glance is worth."""


class Sample(NamedTuple):
    """The counters at one moment of the loop's clock; `cursors` by store."""

    time_s: float
    received: int
    journaled: int
    cursors: dict[str, int]


class Report:
    """The collector's numbers, as plain values."""

    def __init__(self, collector: "Collector") -> None:
        self._collector = collector
        self._totals: tuple[float, dict[str, int]] = (float("-inf"), {})

    def problems(self) -> list[str]:
        """Why the collector is not healthy; empty when it is. A store that is down is not among them."""
        collector = self._collector
        problems = []
        if collector.broker_reason is not None:
            problems.append(f"broker down: {collector.broker_reason}")
        if collector.journal_full:
            problems.append("journal full")
        if collector.disk_reason is not None:
            problems.append(f"disk: {collector.disk_reason}")
        return problems

    def status(self) -> dict[str, Any]:
        """Everything but the device table."""
        collector = self._collector
        settings = collector.settings
        counters = collector.durable_counters
        clock = collector.ingest.clock
        commits = sorted(collector.commit_s)
        totals = self._device_totals()
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
            },
            "clock": None if clock is None else msgspec.to_builtins(clock),
            "counters": {
                "received": collector.received_readings,
                "rejected": counters.get("rejected", 0),
                "duplicates": counters.get("duplicates", 0),
                "journaled": counters.get("journaled", 0),
                "in_memory": collector.in_memory,
                "missing": totals["missing"],
                "reordered": totals["reordered"],
                "unverified": totals["unverified"],
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
                    "refused": shipper.refused,
                    "rate_hz": self._store_rate(shipper.name),
                    "lag_s": self._lag_s(shipper.cursor, shipper.pending),
                    "down": shipper.down_reason,
                }
                for shipper in collector.shippers
            ],
            "gateways": self._gateways(),
            "devices": {"known": len(collector.accounting.devices), "limit": settings.max_devices},
        }

    def devices(self) -> list[dict[str, Any]]:
        """A row for each device, at most 10,000."""
        rows: list[dict[str, Any]] = []
        for device in self._collector.accounting.devices.values():
            if len(rows) == MAX_DEVICES_SHOWN:
                break
            area, site, name = device.key
            rows.append(
                {
                    "area": area,
                    "site": site,
                    "device": name,
                    "boot": device.current.boot,
                    "contiguous": device.current.contiguous,
                    "waiting": len(device.current.above),
                    "received": device.received,
                    "missing": device.missing,
                    "duplicates": device.duplicates,
                    "reordered": device.reordered,
                    "last_seen": device.last_ms,
                }
            )
        return rows

    def _device_totals(self) -> dict[str, int]:
        now_s = time.monotonic()
        if now_s - self._totals[0] > TOTALS_S:
            totals = {"missing": 0, "reordered": 0, "unverified": 0}
            for device in self._collector.accounting.devices.values():
                totals["missing"] += device.missing
                totals["reordered"] += device.reordered
                totals["unverified"] += device.unverified
            self._totals = (now_s, totals)
        return self._totals[1]

    def _gateways(self) -> dict[str, int]:
        known = self._collector.ingest.gateways
        online = sum(known.values())
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
            ("missing", "Readings given up for missing."),
        ):
            yield CounterMetricFamily(f"haina_collector_{name}", sentence, value=counters[name])
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
        yield _gauge(
            "healthy", "1 unless the broker is down, the journal full or the disk failing.", not status["problems"]
        )
        yield _gauge("devices", "Devices known.", status["devices"]["known"])
        gateways = GaugeMetricFamily("haina_collector_gateways", "Gateways, by state.", labels=["state"])
        for state, number in status["gateways"].items():
            gateways.add_metric([state], number)
        yield gateways
        yield from self._stores(status["stores"])

    @staticmethod
    def _stores(stores: list[dict[str, Any]]) -> Iterator[Metric]:
        families: list[tuple[str, Metric]] = []
        for key, sentence in (("stored", "Points stored."), ("refused", "Points the store will never accept.")):
            families.append((key, CounterMetricFamily(f"haina_collector_store_{key}", sentence, labels=["store"])))
        for key, sentence in (
            ("pending", "Points not yet settled."),
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


def application(report: Report, token: str | None = None) -> Starlette:
    """The HTTP application."""
    registry = CollectorRegistry()
    registry.register(_Metrics(report))

    async def status(request: Request) -> Response:
        answer = report.status()
        if request.query_params.get("devices") in {"1", "true"}:
            answer["device_table"] = report.devices()
        return Response(msgspec.json.encode(answer), media_type="application/json")

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    async def healthz(_request: Request) -> Response:
        problems = report.problems()
        return PlainTextResponse("; ".join(problems) or "ok", 503 if problems else 200)

    routes = [Route("/status", status), Route("/metrics", metrics), Route("/healthz", healthz)]
    return Starlette(routes=routes, middleware=doorkeeper(token))


class _Server(uvicorn.Server):
    """A server that leaves signals to the process it is a guest in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(collector: "Collector", listener: socket.socket) -> None:
    """Answer HTTP on `listener` until cancelled."""
    config = uvicorn.Config(
        application(Report(collector), os.environ.get(COLLECTOR_TOKEN)),
        log_config=None,
        access_log=False,
        lifespan="off",
        limit_concurrency=100,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=1,
        date_header=False,
        server_header=False,
    )
    server = _Server(config)
    try:
        await server.serve(sockets=[listener])
    finally:
        listener.close()

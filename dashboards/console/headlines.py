"""What the map tells of a site at a glance: its few telling values, and when they were last said."""

from dataclasses import dataclass
from typing import Any

from haina.query import Aggregate, Filter, Query
from haina.query.reader import QueryRefused, Reader


@dataclass(frozen=True)
class Headline:
    """A value of a site: key `console.headline.<name>`, its unit, and how far back to look for it."""

    name: str
    query: Query
    unit: str
    decimals: int = 0
    recent_s: int = 900


def _last(measurement: str, field: str) -> Query:
    return Query(measurement, field, Aggregate.LAST)


_HOUR_S = 3_600

_HEADLINES: dict[str, tuple[Headline, ...]] = {
    "centre": (
        Headline("inside", _last("centre_door", "occupancy_persons"), "persons"),
        Headline("waiting", _last("centre_queue", "waiting_persons"), "persons"),
        Headline("co2", _last("centre_air", "co2_ppm"), "ppm"),
        Headline("temperature", _last("centre_air", "temperature_c"), "celsius", 1),
        Headline("power", _last("centre_energy", "power_w"), "watt"),
    ),
    "home": (
        Headline("in_bed", _last("home_bed", "in_bed"), "yes_no", recent_s=2 * _HOUR_S),
        Headline("heart_rate", _last("wearable", "heart_rate_bpm"), "bpm", recent_s=_HOUR_S),
        Headline("spo2", _last("wearable", "spo2_pct"), "percent", recent_s=2 * _HOUR_S),
        Headline("steps", Query("wearable", "steps", Aggregate.SUM), "steps", recent_s=_HOUR_S),
        Headline("battery", _last("wearable", "battery_pct"), "percent"),
    ),
    "weather": (
        Headline("temperature", _last("weather", "temperature_c"), "celsius", 1),
        Headline("humidity", _last("weather", "humidity_pct"), "percent"),
        Headline("pm25", _last("weather", "pm25_ug_m3"), "ug_m3"),
    ),
}


def headlines(kind: str) -> tuple[Headline, ...]:
    """What to tell of a site of this kind; nothing of a kind nobody has declared."""
    return _HEADLINES.get(kind, ())


async def read_headlines(reader: Reader, wanted: tuple[Headline, ...], site: str, now_ms: int) -> list[dict[str, Any]]:
    """The values there are. Raises StoreUnreachable."""
    told = []
    here = (Filter("site", "=", (site,)),)
    for recent_s in sorted({headline.recent_s for headline in wanted}):
        asked = [headline for headline in wanted if headline.recent_s == recent_s]
        queries = [Query(each.query.measurement, each.query.field, each.query.aggregate, where=here) for each in asked]
        answers = await reader.run_many_async(queries, now_ms - recent_s * 1000, now_ms + 1)
        for headline, answer in zip(asked, answers, strict=True):
            if not isinstance(answer, QueryRefused) and answer and answer[0].values:
                value = answer[0].values[-1]
                told.append(
                    {"name": headline.name, "value": value, "unit": headline.unit, "decimals": headline.decimals}
                )
    order = [headline.name for headline in wanted]
    return sorted(told, key=lambda value: order.index(value["name"]))

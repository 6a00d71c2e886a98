"""What the map tells of a site at a glance: its few telling values, and when they were last said."""

from typing import Any

from dashboards.pages import SITES
from dashboards.panels import Headline
from haina.query import Filter, Query
from haina.query.reader import QueryRefused, Reader


def headlines(kind: str) -> tuple[Headline, ...]:
    """What to tell of a site of this kind; nothing of a kind nobody has declared."""
    return SITES[kind].headlines if kind in SITES else ()


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

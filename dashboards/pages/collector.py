"""The line itself: how much arrives, from whom. The collector's own counters are a component of the console."""

from dataclasses import replace

from dashboards.pages.town import MESSAGES
from dashboards.panels import Kind, Line, Page, Panel, Span, readings
from haina.contract import MEASUREMENTS


def _by_area(panel_id: str, measurement: str) -> Panel:
    return Panel(
        panel_id,
        Kind.TIME_SERIES,
        (Line(replace(readings(measurement), group=("area",))),),
        unit="per_min",
        per_s=60,
        least_window_s=300,
        stacked=True,
        low=0,
        decimals=1,
    )


READINGS = Panel(
    "readings_in_range",
    Kind.BAR_CHART,
    tuple(Line(readings(name), f"m_{name}") for name in MEASUREMENTS),
    span=Span.RANGE,
    most_series=60,
    width=4,
    height=12,
)

COLLECTOR = Page(
    "collector",
    (
        replace(MESSAGES, most_series=60, width=8, height=12),
        READINGS,
        _by_area("kiosk_readings_by_area", "kiosk_state"),
        _by_area("wearable_readings_by_area", "wearable"),
        Panel("about_line", Kind.TEXT, width=12, height=3),
    ),
    rank=9,
)

"""Panels as classic dashboard JSON, for Grafana 12 with an InfluxDB data source that is asked in InfluxQL.

A dashboard is a plain dict (`schemaVersion` 41) with a fixed uid, so that pushing it again replaces it. Three
variables stand at its top: `ds`, the data source; `area`; and `site`, which offers the sites of the chosen area.
Panel kinds map to Grafana's panel types in `_KINDS`, one small function each.

The town's dashboard has one panel of its own, a geomap. Its base map is the drawn zone and its places come from a
gazetteer, two files that Grafana itself serves once they are mounted in its `public` folder (`haina/zone.geojson` as
`ZONE_FILE`, `map/haina-areas.json` as `PLACES_FILE`), so nothing is fetched from outside; without them the panel
stays empty and the rest works.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dashboards.pages import PAGES
from dashboards.panels import Kind, Level, Line, Page, Panel, Span
from dashboards.text import LANGUAGES, Language, catalogue, text
from haina import zone
from haina.contract import measurement
from haina.query import Aggregate, Query
from haina.query.influxql import compile_from_hours, compile_influxql
from haina.query.value import HOUR_S, fits_rollups

SCHEMA_VERSION = 41
DATA_SOURCE = {"type": "influxdb", "uid": "${ds}"}
FOLDER_UID = "haina"
ZONE_FILE = "public/maps/haina-zone.geojson"
PLACES_FILE = "public/gazetteer/haina-areas.json"

_WHERE = ('"area" =~ /^${area:regex}$/', '"site" =~ /^${site:regex}$/')
_COLOUR = {Level.CALM: "blue", Level.GOOD: "green", Level.WATCH: "orange", Level.BAD: "red"}
_UNIT = {
    "none": "short",
    "count": "short",
    "persons": "short",
    "sites": "short",
    "homes": "short",
    "kiosks": "short",
    "seconds": "s",
    "ppm": "ppm",
    "celsius": "celsius",
    "percent": "percent",
    "watt": "watt",
    "kwh": "kwatth",
}

MOST_BELOW = 8  # names that fit below a chart; more stand beside it
_SCALED = frozenset({"watt", "seconds", "kwh"})  # Grafana chooses the prefix, and so must choose the decimals

Json = dict[str, Any]


def render_all() -> dict[str, str]:
    """Every file there is to keep: path below this folder → its text."""
    files = {
        f"{language}/{name}.json": _document(model)
        for language in LANGUAGES
        for name, model in dashboards(language).items()
    }
    files["map/haina-areas.json"] = _document(_gazetteer())
    return files


def stale(folder: Path) -> list[str]:
    """The names of files in `folder` that are missing, differ from what would be rendered, or are too many."""
    fresh = render_all()
    wrong = [
        name
        for name, content in fresh.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != content
    ]
    kept = [path.relative_to(folder).as_posix() for kind in (*LANGUAGES, "map") for path in (folder / kind).glob("*")]
    return sorted([*wrong, *(name for name in kept if name not in fresh)])


def dashboards(language: Language) -> dict[str, Json]:
    """Every dashboard there is, by name: the pages, and the history of what hours can tell."""
    return {page.id: dashboard(page, language) for page in PAGES.values()} | {"history": _history(language)}


def _history(language: Language) -> Json:
    """The panels that hours can answer, asked of the bucket beside the points' that `haina rollup` fills."""
    shown = {panel.id: panel for page in PAGES.values() for panel in page.panels if _hours_can_tell(panel)}
    drawn = dashboard(Page("history", tuple(shown.values())), language)
    for panel, rendered in zip(shown.values(), drawn["panels"], strict=True):
        rendered["interval"] = _duration(max(panel.least_window_s, HOUR_S))
        for line, target in zip(panel.lines, rendered["targets"], strict=True):
            target["query"] = statement(panel, line, from_hours=True)
    bucket = {"text": "haina-hourly", "value": "haina-hourly"}
    hours = {"name": "hours", "label": text(language, "console.hours"), "type": "textbox"}
    drawn["templating"]["list"].append(hours | {"query": bucket["value"], "current": bucket, "options": [bucket]})
    return drawn | {"time": {"from": "now-90d", "to": "now"}, "refresh": "15m"}


def _hours_can_tell(panel: Panel) -> bool:
    is_curve = panel.kind is Kind.TIME_SERIES and panel.span is Span.WINDOWS
    return is_curve and all(fits_rollups(line.query) for line in panel.lines)


def dashboard(page: Page, language: Language) -> Json:
    """A page as a dashboard."""
    panels: list[Json] = []
    x = y = row_height = 0
    shown = [_map_panel(language)] if page.id == "town" else []
    for drawn in shown:
        panels.append(drawn)
        y += drawn["gridPos"]["h"]
    for panel in page.panels:
        width, height = panel.width * 2, _height(panel)
        if x + width > 24:
            x, y, row_height = 0, y + row_height, 0
        place = {"x": x, "y": y, "w": width, "h": height}
        panels.append({"id": len(panels) + 1, "gridPos": place, **_panel(panel, language)})
        x, row_height = x + width, max(row_height, height)
    return {
        "uid": f"haina-{page.id}-{language}",
        "title": f"Haina · {text(language, f'page.{page.id}')}",
        "tags": ["haina", language],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "Asia/Shanghai",
        "time": {"from": "now-24h", "to": "now"},
        "refresh": "10s",
        "templating": {"list": _variables(language)},
        "annotations": {"list": []},
        "links": [
            {
                "type": "dashboards",
                "title": "Haina",
                "tags": ["haina", language],
                "asDropdown": False,
                "keepTime": True,
                "includeVars": True,
                "targetBlank": False,
            }
        ],
        "panels": panels,
    }


def _height(panel: Panel) -> int:
    """Rows of about 30 px: a panel that names its series one below the other needs room for the names."""
    if panel.kind in {Kind.STATE_TIMELINE, Kind.STATUS_HISTORY}:
        return max(panel.height, 4 + panel.most_series // 2)
    return max(panel.height, panel.most_series) if panel.kind is Kind.BAR_GAUGE else panel.height


def _document(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _variables(language: Language) -> list[Json]:
    def tags(name: str, statement: str) -> Json:
        return {
            "name": name,
            "label": text(language, f"console.{name}"),
            "type": "query",
            "datasource": DATA_SOURCE,
            "query": statement,
            "definition": statement,
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        }

    return [
        {"name": "ds", "label": text(language, "console.store"), "type": "datasource", "query": "influxdb"},
        tags("area", 'SHOW TAG VALUES WITH KEY = "area"'),
        tags("site", 'SHOW TAG VALUES WITH KEY = "site" WHERE "area" =~ /^${area:regex}$/'),
    ]


def _panel(panel: Panel, language: Language) -> Json:
    type_name, build = _KINDS[panel.kind]
    rendered: Json = {
        "type": type_name,
        "title": text(language, f"panel.{panel.id}"),
        "description": text(language, f"about.{panel.id}"),
        "options": {},
    }
    if panel.kind is not Kind.TEXT:
        rendered["datasource"] = DATA_SOURCE
        rendered["interval"] = f"{panel.least_window_s}s"
        rendered["maxDataPoints"] = 200
        rendered["targets"] = [_target(panel, line, number, language) for number, line in enumerate(panel.lines)]
        rendered["fieldConfig"] = {"defaults": _field(panel, language), "overrides": []}
    if panel.span is Span.RECENT:
        rendered["timeFrom"] = _duration(panel.recent_s)
        rendered["hideTimeOverride"] = panel.kind is Kind.STAT  # where it would stand in place of the title
    build(panel, language, rendered)
    return rendered


def _duration(seconds: int) -> str:
    if seconds % 3_600 == 0:
        return f"{seconds // 3_600}h"
    return f"{seconds // 60}m" if seconds % 60 == 0 else f"{seconds}s"


def _target(panel: Panel, line: Line, number: int, language: Language) -> Json:
    names = " ".join(f"$tag_{tag}" for tag in line.query.group)
    alias = " · ".join(part for part in (text(language, f"line.{line.name}") if line.name else "", names) if part)
    return {
        "refId": _ref_id(number),
        "datasource": DATA_SOURCE,
        "rawQuery": True,
        "query": statement(panel, line),
        "resultFormat": "table" if panel.kind is Kind.TABLE else "time_series",
        "alias": alias or text(language, f"panel.{panel.id}"),
    }


def _ref_id(number: int) -> str:
    """A … Z, then AA … AZ, BA … and so on, as Grafana names queries."""
    name = ""
    while number >= 0:
        number, letter = divmod(number, 26)
        name = chr(ord("A") + letter) + name
        number -= 1
    return name


def statement(panel: Panel, line: Line, *, from_hours: bool = False) -> str:
    """What Grafana asks for a line, with its own macros and this dashboard's variables in it."""
    window = "$__interval" if panel.span is Span.WINDOWS else None
    where = () if panel.everywhere else _WHERE
    if from_hours:
        asked = compile_from_hours(
            line.query, "${hours:raw}", time_range="$timeFilter", window="$__interval", where_raw=where
        )
    else:
        asked = compile_influxql(line.query, time_range="$timeFilter", window=window, where_raw=where)
    if panel.per_s is None:
        return asked
    tags = ", ".join(f'"{tag}"' for tag in line.query.group)
    # The line break keeps Grafana from reading a slash, and what follows it, as a regular expression of its variables.
    rate = f'SELECT "value" * {panel.per_s * 1_000} /\n$__interval_ms AS "value" FROM ({asked}) WHERE $timeFilter'
    return rate + (f" GROUP BY {tags}" if tags else "")


def _field(panel: Panel, language: Language) -> Json:
    unit = text(language, f"unit.{panel.unit}").rpartition("|")[2]
    field: Json = {
        "unit": _UNIT.get(panel.unit) or f"suffix:{unit}",
        "decimals": panel.decimals,
        "color": {"mode": "thresholds" if panel.thresholds else "palette-classic"},
        "mappings": [],
        "custom": {},
    }
    if panel.kind is Kind.TIME_SERIES:
        field["color"] = {"mode": "palette-classic"}
        if panel.unit in _SCALED:
            del field["decimals"]
    elif panel.kind in {Kind.STAT, Kind.BAR_CHART} and not panel.thresholds:
        field["color"] = {"mode": "fixed", "fixedColor": "blue"}
    steps = [
        {"value": None if number == 0 else threshold.value, "color": _COLOUR[threshold.level]}
        for number, threshold in enumerate(panel.thresholds)
    ]
    field["thresholds"] = {"mode": "absolute", "steps": steps or [{"value": None, "color": "blue"}]}
    if panel.states:
        named = {
            str(state.value): {"text": text(language, f"state.{state.name}"), "color": _COLOUR[state.level], "index": n}
            for n, state in enumerate(panel.states)
        }
        field["mappings"] = [{"type": "value", "options": named}]
    field["mappings"] += _named_choices(panel, language)
    if panel.counts and panel.kind is Kind.STAT:
        field["noValue"] = "0"
    if panel.low is not None:
        field["min"] = panel.low
    if panel.high is not None:
        field["max"] = panel.high
    return field


def _named_choices(panel: Panel, language: Language) -> list[Json]:
    """The words of a text field that has words: `line.<field>_<choice>` of the catalogue."""
    mappings: list[Json] = []
    for line in panel.lines:
        asked = measurement(line.query.measurement).field(line.query.field)
        keys = {choice: f"line.{asked.name}_{choice}" for choice in asked.choices}
        named = {choice: {"text": text(language, key)} for choice, key in keys.items() if key in catalogue(language)}
        if named and line.query.aggregate is not Aggregate.COUNT:
            mappings.append({"type": "value", "options": named})
    return mappings


def _last(values: bool = False) -> Json:
    return {"calcs": ["lastNotNull"], "fields": "", "values": values}


def _kept(panel: Panel) -> list[Json]:
    """Transformations that keep the series a panel has room for, the most telling first."""
    steps: list[Json] = [{"id": "reduce", "options": {"reducers": ["lastNotNull"]}}]
    if panel.order != "asked":
        sort = [{"field": "Last *", "desc": panel.order == "highest"}]
        steps.append({"id": "sortBy", "options": {"fields": {}, "sort": sort}})
    return [*steps, {"id": "limit", "options": {"limitField": panel.most_series}}]


def _time_series(panel: Panel, language: Language, rendered: Json) -> None:
    rendered["fieldConfig"]["defaults"]["custom"] = {
        "drawStyle": "bars" if panel.bars else "line",
        "lineWidth": 1 if panel.stacked else 2,
        "fillOpacity": 60 if panel.bars else 25 if panel.stacked else 0,
        "showPoints": "auto",
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if panel.thresholds else "off"},
    }
    rendered["options"] = {
        "legend": {
            "showLegend": True,
            "displayMode": "list",
            "placement": "right" if len(panel.lines) > MOST_BELOW else "bottom",
            "calcs": [],
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _stat(panel: Panel, language: Language, rendered: Json) -> None:
    rendered["options"] = {
        "reduceOptions": _last(),
        "colorMode": "value",
        "graphMode": "none",
        "textMode": "value",
        "justifyMode": "auto",
        "orientation": "auto",
    }


def _gauge(panel: Panel, language: Language, rendered: Json) -> None:
    rendered["options"] = {"reduceOptions": _last(), "showThresholdMarkers": True, "showThresholdLabels": False}


def _bar_gauge(panel: Panel, language: Language, rendered: Json) -> None:
    rendered["transformations"] = _kept(panel)
    rendered["options"] = {
        "reduceOptions": _last(values=True),
        "orientation": "horizontal",
        "displayMode": "basic",
        "valueMode": "color",
        "showUnfilled": True,
    }


def _table(panel: Panel, language: Language, rendered: Json) -> None:
    name = panel.lines[0].name
    renamed = {"area": text(language, "console.area"), "site": text(language, "console.site")}
    renamed |= {"device": text(language, "console.device"), "value": text(language, f"line.{name}")}
    order = {name: place for place, name in enumerate(renamed)}
    organise = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": renamed}
    rendered["transformations"] = [{"id": "organize", "options": organise}]
    rendered["fieldConfig"]["defaults"]["custom"] = {"filterable": True, "align": "auto"}
    rendered["fieldConfig"]["defaults"]["noValue"] = text(language, "console.empty")
    rendered["options"] = {"showHeader": True, "cellHeight": "sm"}


def _state_timeline(panel: Panel, language: Language, rendered: Json) -> None:
    rendered["fieldConfig"]["defaults"]["custom"] = {"fillOpacity": 80, "lineWidth": 0}
    rendered["options"] = {
        "showValue": "never",
        "perPage": panel.most_series,
        "mergeValues": True,
        "rowHeight": 0.8,
        "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom"},
    }


def _status_history(panel: Panel, language: Language, rendered: Json) -> None:
    _state_timeline(panel, language, rendered)
    rendered["options"] = {
        "showValue": "never",
        "perPage": panel.most_series,
        "rowHeight": 0.8,
        "colWidth": 0.9,
        "legend": {"showLegend": True},
    }


def _bar_chart(panel: Panel, language: Language, rendered: Json) -> None:
    rendered["transformations"] = _kept(panel)
    rendered["options"] = {
        "xField": "Field",
        "orientation": "horizontal",
        "showValue": "auto",
        "barWidth": 0.6,
        "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom"},
    }


def _heatmap(panel: Panel, language: Language, rendered: Json) -> None:
    rendered["options"] = {
        "calculate": False,
        "color": {"mode": "scheme", "scheme": "Blues", "steps": 64, "reverse": False},
        "rowsFrame": {"layout": "auto"},
        "cellGap": 1,
        "legend": {"show": True},
        "tooltip": {"mode": "single", "yHistogram": False},
    }


def _pie(panel: Panel, language: Language, rendered: Json) -> None:
    rendered["options"] = {
        "reduceOptions": _last(),
        "pieType": "donut",
        "displayLabels": [],
        "legend": {"showLegend": True, "displayMode": "table", "placement": "right", "values": ["value", "percent"]},
    }


def _text(panel: Panel, language: Language, rendered: Json) -> None:
    rendered["options"] = {"mode": "markdown", "content": rendered.pop("description")}


_KINDS: dict[Kind, tuple[str, Callable[[Panel, Language, Json], None]]] = {
    Kind.TIME_SERIES: ("timeseries", _time_series),
    Kind.STAT: ("stat", _stat),
    Kind.GAUGE: ("gauge", _gauge),
    Kind.BAR_GAUGE: ("bargauge", _bar_gauge),
    Kind.TABLE: ("table", _table),
    Kind.STATE_TIMELINE: ("state-timeline", _state_timeline),
    Kind.STATUS_HISTORY: ("status-history", _status_history),
    Kind.BAR_CHART: ("barchart", _bar_chart),
    Kind.HEATMAP: ("heatmap", _heatmap),
    Kind.PIE: ("piechart", _pie),
    Kind.TEXT: ("text", _text),
}


# The town's map

_MAP_QUERY = Query("centre_door", "occupancy_persons", Aggregate.LAST, group=("area",), across=Aggregate.SUM)
MAP_FULL_PERSONS = 20  # assumed: so many people in an area's centres draw the largest marker
_MAP_RULES = (  # what the zone's kinds of feature look like; the first match wins
    ("creek", "#8fbcd4", 0.9),
    ("pond", "#8fbcd4", 0.9),
    ("park", "#9cc79b", 0.6),
    ("temple", "#d9b98a", 0.7),
    ("hall", "#b98a4e", 0.9),
    ("square", "#b9b9b9", 0.4),
    ("area", "#7a8794", 0.04),
)


def _map_panel(language: Language) -> Json:
    shown = Panel(
        "people_in_centres", Kind.BAR_GAUGE, (Line(_MAP_QUERY),), unit="persons", span=Span.RECENT, width=12, height=14
    )
    target = _target(shown, shown.lines[0], 0, language) | {"resultFormat": "table", "alias": ""}
    longitudes, latitudes = zip(*zone.outline(), strict=True)
    style = {"color": {"fixed": "#9aa5b1"}, "lineWidth": 1, "opacity": 0.1}
    located = {"mode": "lookup", "gazetteer": PLACES_FILE, "lookup": "area"}
    return {
        "id": 1,
        "gridPos": {"x": 0, "y": 0, "w": 24, "h": 14},
        "type": "geomap",
        "title": text(language, "console.map"),
        "description": text(language, "about.people_in_centres"),
        "datasource": DATA_SOURCE,
        "timeFrom": _duration(shown.recent_s),
        "targets": [target],
        "fieldConfig": {"defaults": _field(shown, language) | {"min": 0, "max": MAP_FULL_PERSONS}, "overrides": []},
        "options": {
            "basemap": {
                "type": "geojson",
                "name": "Haina",
                "config": {
                    "src": ZONE_FILE,
                    "style": style,
                    "rules": [
                        {
                            "check": {"property": "kind", "operation": "eq", "value": kind},
                            "style": style | {"color": {"fixed": colour}, "opacity": opacity},
                        }
                        for kind, colour, opacity in _MAP_RULES
                    ],
                },
            },
            "layers": [
                {
                    "type": "markers",
                    "name": text(language, "panel.people_in_centres"),
                    "location": located,
                    "config": {
                        "showLegend": False,
                        "style": {
                            "color": {"fixed": "blue"},
                            "opacity": 0.55,
                            "size": {"field": "value", "fixed": 10, "min": 6, "max": 34},
                            "symbol": {"mode": "fixed", "fixed": "img/icons/marker/circle.svg"},
                        },
                    },
                    "tooltip": True,
                },
                {  # a marker shows its symbol or its text, so the numbers are a layer of their own
                    "type": "markers",
                    "name": text(language, "unit.persons").rpartition("|")[2],
                    "location": located,
                    "config": {
                        "showLegend": False,
                        "style": {
                            "color": {"fixed": "text"},
                            "opacity": 1,
                            "text": {"field": "value", "mode": "field", "fixed": ""},
                            "textConfig": {"fontSize": 14, "textAlign": "center", "textBaseline": "middle"},
                        },
                    },
                    "tooltip": False,
                },
            ],
            "view": {
                "id": "coords",
                "lon": round((min(longitudes) + max(longitudes)) / 2, 5),
                "lat": round((min(latitudes) + max(latitudes)) / 2, 5),
                "zoom": 14.9,
            },
            "controls": {"showZoom": True, "mouseWheelZoom": False, "showAttribution": False},
            "tooltip": {"mode": "details"},
        },
    }


def _gazetteer() -> list[Json]:
    """The middle of each area, as Grafana's gazetteers are written."""
    places = []
    for area in zone.areas():
        longitudes, latitudes = zip(*area.ring[:-1], strict=True)
        places.append(
            {
                "key": area.id,
                "latitude": round(sum(latitudes) / len(latitudes), 5),
                "longitude": round(sum(longitudes) / len(longitudes), 5),
                "name": f"{area.name_en} {area.name_zh}",
            }
        )
    return places
